"""Who asked is gone before the answer: that is no fault of the core, and fills no log."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from loa.control_api.problems import middleware


class Line(asyncio.Transport):
    """The connection under a request."""

    def __init__(self, closing: bool) -> None:
        super().__init__()
        self._closing = closing

    def is_closing(self) -> bool:
        return self._closing

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default


async def cut_off(_request: web.Request) -> web.StreamResponse:
    raise ConnectionResetError("Cannot write to closing transport")


async def test_an_answer_to_nobody_is_no_error() -> None:
    request = make_mocked_request("GET", "/link", transport=Line(closing=True))
    answer = await middleware(request, cut_off)
    assert cast(web.Response, answer).body is None


async def test_another_connection_that_breaks_is_one() -> None:
    request = make_mocked_request("GET", "/link", transport=Line(closing=False))
    with pytest.raises(ConnectionResetError):
        await middleware(request, cut_off)
