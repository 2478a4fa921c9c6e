"""Connections of the HTTP face that ask for nothing: they are not kept."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from aiohttp import web

from loa import config as settings
from loa.app import http_face

ASK = b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("said", [b"", ASK[:-2]], ids=["nothing", "half a question"])
async def test_a_connection_on_which_nothing_is_asked_is_closed(
    said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_face, "IDLE_S", 0.05)
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        asked.set()
        await may_answer.wait()
        return web.Response(text="at last")

    app = web.Application()
    app.router.add_get("/slow", slow)
    async with contextlib.AsyncExitStack() as stack:
        face = await http_face.serve(app, settings.load(data_dir=tmp_path, http_port=0), stack)
        waits, writes = await asyncio.open_connection("127.0.0.1", face.port)
        stack.callback(writes.close)
        writes.write(ASK)
        await asked.wait()
        idle, opened = await asyncio.open_connection("127.0.0.1", face.port)
        stack.callback(opened.close)
        opened.write(said)
        async with asyncio.timeout(10):
            assert await idle.read() == b""
        # Who has asked, and waits for so long, has his answer.
        may_answer.set()
        assert b"at last" in await waits.readuntil(b"at last")
