"""What is open to all: health, and the public's ear."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.air.listen import ogg_pages
from loa.control_api.problems import REQUEST_ID, Problem
from loa.control_api.requests import path_id, services


async def healthz(_request: web.Request) -> web.Response:
    """GET /healthz: the process answers."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: it can take a broadcast on air."""
    if missing := services(request).not_ready():
        raise Problem(503, "not-ready", missing)
    return web.Response(text="ready\n")


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics in Prometheus's text format."""
    return web.Response(
        body=services(request).metrics(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


async def listen(request: web.Request) -> web.StreamResponse:
    """GET /listen/{id}.ogg: a broadcast on air as Ogg Opus (RFC 7845), from now to its end."""
    core = services(request)
    broadcast_id = path_id(request)
    running = core.director.running(broadcast_id)
    if running is None:
        await core.broadcasts.get(broadcast_id)
        raise Problem(410, "not-on-air", "this broadcast is not on air")
    answer = web.StreamResponse(
        headers={
            "Content-Type": "audio/ogg",
            "Cache-Control": "no-store",
            "X-Request-Id": request[REQUEST_ID],
        }
    )
    await answer.prepare(request)
    try:
        async for data in ogg_pages(running, core.clock):
            await answer.write(data)
    except ConnectionError:
        return answer
    await answer.write_eof()
    return answer
