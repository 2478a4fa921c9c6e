"""Uploads over HTTP: how far one's own are."""

from __future__ import annotations

import asyncio

from aiohttp import web

from loa.broadcast.content.uploads import Upload
from loa.control_api.answers import answer
from loa.control_api.auth import PRINCIPAL
from loa.control_api.models.uploads import UploadOut
from loa.control_api.places import place
from loa.control_api.requests import path_id, services
from loa.control_api.sse import Send, frame, stream
from loa.errors import NotFound

MAX_WATCHERS = 200
LOOK_S = 0.25
HEARTBEAT_S = 15.0
COMES_S = 15.0
"""Who watches may come before the upload that is watched, by so much."""


async def get_upload(request: web.Request) -> web.Response:
    """How far one of the caller's own uploads is. It is told of for a quarter of an hour after its end."""
    return answer(request, UploadOut.of(_own(request)))


async def watch_upload(request: web.Request) -> web.StreamResponse:
    """Watch one of the caller's own uploads to its end, as server-sent events `progress`.

    An upload that has not begun is waited for a while.
    """
    with place(request, "upload watchers", MAX_WATCHERS):
        upload = await _coming(request)
        return await stream(request, lambda send: _tell(request, send, upload))


def _own(request: web.Request) -> Upload:
    core = services(request)
    return core.uploads.get(path_id(request), request[PRINCIPAL].actor, core.now_ms)


async def _coming(request: web.Request) -> Upload:
    try:
        async with asyncio.timeout(COMES_S):
            while True:
                try:
                    return _own(request)
                except NotFound:
                    await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return _own(request)


async def _tell(request: web.Request, send: Send, upload: Upload) -> None:
    closing, loop = services(request).closing, asyncio.get_running_loop()
    told, told_s = "", loop.time()
    while not closing.is_set():
        ended = upload.ended_ms is not None
        now = UploadOut.of(upload).model_dump_json()
        if now != told:
            await send(frame("progress", now))
            told, told_s = now, loop.time()
        elif loop.time() - told_s > HEARTBEAT_S:
            await send(": heartbeat\n\n")
            told_s = loop.time()
        if ended:
            return
        await asyncio.sleep(LOOK_S)
