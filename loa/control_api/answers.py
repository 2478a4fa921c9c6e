"""Answers as the route's operation declares them: one thing, or a page of a list."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel

from loa.broadcast.store.paging import Page, Paged
from loa.control_api.cursors import cursor
from loa.control_api.once import REPLAYED, replayed
from loa.control_api.operation import OPERATION

Row = TypeVar("Row", bound=Paged)


def answer(
    request: web.Request, model: BaseModel, *, version: int | None = None, live: bool = False
) -> web.Response:
    """The declared answer. A GET of what the caller has already (`If-None-Match`) is 304 without a body.

    `version`: of a versioned thing, for its ETag; else the ETag of a GET is made of the body. `live`: more than the
    version tells may have changed in the answer, so the ETag is made of both.
    """
    operation = request[OPERATION]
    assert type(model) is operation.answer, operation.route
    assert (version is not None) == operation.versioned, operation.route
    text = model.model_dump_json(by_alias=True)
    tag = None
    if version is not None:
        tag = f"{version_tag(version)}.{_digest(text)}" if live else version_tag(version)
    elif not operation.changes:
        tag = _digest(text)
    headers = {} if tag is None else {"ETag": f'"{tag}"'}
    if replayed(request):
        headers[REPLAYED] = "true"
    if not operation.changes and _has(request, tag):
        return web.Response(status=304, headers=headers)
    return web.Response(status=operation.status, text=text, content_type="application/json", headers=headers)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def version_tag(version: int) -> str:
    """The ETag of a version, without its quotes."""
    return f"v{version}"


def _has(request: web.Request, tag: str | None) -> bool:
    known = request.if_none_match or ()
    return any(each.value in (tag, "*") for each in known)


def answer_page(
    request: web.Request,
    page: Page,
    rows: Sequence[Row],
    show: Callable[[Row], BaseModel],
    beside: BaseModel | None = None,
) -> web.Response:
    """A page of rows: `items`, `next` where there may be more, and the members of what stands `beside` them."""
    assert request[OPERATION].many
    assert request[OPERATION].beside is (None if beside is None else type(beside))
    items = ",".join(show(row).model_dump_json(by_alias=True) for row in rows)
    following = f'"{cursor(page, rows[-1])}"' if len(rows) == page.limit else "null"
    more = "" if beside is None else "," + beside.model_dump_json(by_alias=True)[1:-1]
    return web.Response(text=f'{{"items":[{items}],"next":{following}{more}}}', content_type="application/json")


def done() -> web.Response:
    """It is done, and there is nothing to say."""
    return web.Response(status=204)
