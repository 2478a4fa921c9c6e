"""What is open to all: health, and the public's ear."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web

from loa.broadcast.air.listen import ogg_pages
from loa.broadcast.air.running import Running
from loa.broadcast.people.rights import Right
from loa.control_api.places import place
from loa.control_api.problems import REQUEST_ID, Problem
from loa.control_api.reach import require_in
from loa.control_api.requests import at_core, path_id, services

MAX_LISTENERS = 500
WRITE_TIMEOUT_S = 10.0
"""A listener that takes nothing for so long is dropped."""

log = structlog.get_logger("loa.api")


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
    """Listen to a broadcast on air, as Ogg Opus (RFC 7845), from now to its end.

    Problem 410 `not-on-air`; 503 `busy` above MAX_LISTENERS.
    """
    core = services(request)
    broadcast_id = path_id(request)
    running = at_core(request).director.running(broadcast_id)
    if running is None:
        await core.broadcasts.get(broadcast_id)
        raise Problem(410, "not-on-air", "this broadcast is not on air")
    with place(request, "listeners", MAX_LISTENERS):
        return await _stream(request, running)


async def _stream(request: web.Request, running: Running) -> web.StreamResponse:
    answer = web.StreamResponse(
        headers={
            "Content-Type": "audio/ogg",
            "Cache-Control": "no-store",
            "X-Request-Id": request[REQUEST_ID],
        }
    )
    await answer.prepare(request)
    try:
        async for data in ogg_pages(running, services(request).clock):
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await answer.write(data)
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await answer.write_eof()
    except TimeoutError:
        log.info("a listener takes nothing and is dropped", request_id=request[REQUEST_ID])
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the listener has gone, as listeners do
    return answer
