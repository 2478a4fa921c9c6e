"""What is open to all: health, and the public's ear."""

from __future__ import annotations

from aiohttp import HttpVersion11, web

from loa.broadcast.listen.framing import Framing
from loa.broadcast.people.rights import Right
from loa.control_api.places import busy
from loa.control_api.problems import REQUEST_ID, Problem
from loa.control_api.reach import require_in
from loa.control_api.requests import at_core, path_id, services


async def healthz(_request: web.Request) -> web.Response:
    """Whether the process answers."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """Whether it can take a broadcast on air."""
    if missing := services(request).not_ready():
        raise Problem(503, "not-ready", missing)
    return web.Response(text="ready\n")


async def metrics(request: web.Request) -> web.Response:
    """The metrics of the whole core, in Prometheus's text format: the right must hold everywhere."""
    await require_in(request, Right.METRICS_READ, None)
    return web.Response(
        body=services(request).metrics(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


async def listen(request: web.Request) -> web.StreamResponse:
    """Listen to a broadcast on air, as Ogg Opus (RFC 7845): its last sound at once, then all to its end.

    Problem 410 `not-on-air`; 503 `busy` when as many listen as may (`listeners_most`).
    """
    core, rooms = services(request), at_core(request)
    broadcast_id = path_id(request)
    running = rooms.director.running(broadcast_id)
    if running is None:
        await core.broadcasts.get(broadcast_id)
        raise Problem(410, "not-on-air", "this broadcast is not on air")
    if not rooms.listeners.has_room():
        raise busy()
    answer = web.StreamResponse(
        headers={
            "Content-Type": "audio/ogg",
            "Cache-Control": "no-store",
            "X-Request-Id": request[REQUEST_ID],
        }
    )
    answer.force_close()
    framing = Framing.BARE if request.version < HttpVersion11 else Framing.CHUNKED
    if framing is Framing.CHUNKED:
        answer.enable_chunked_encoding()
    if request.method == "HEAD":
        return answer
    with rooms.listeners.joining(running) as station:
        await answer.prepare(request)
        if request.transport is not None:
            await station.listen(request.transport, framing)
    # The body was written beside the answer, or goes on without it.
    return answer
