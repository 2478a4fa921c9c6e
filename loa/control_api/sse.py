"""Server-sent events (WHATWG HTML §9.2) as this face sends them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from loa.control_api.problems import REQUEST_ID
from loa.errors import StoreError

WRITE_TIMEOUT_S = 10.0
"""A watcher that takes nothing for so long is dropped."""

log = structlog.get_logger("loa.api")
Send = Callable[[str], Awaitable[None]]
"""Sends frames and comments, each with its empty line at the end."""


async def stream(request: web.Request, tell: Callable[[Send], Awaitable[None]]) -> web.StreamResponse:
    """Answer with a stream, told by `tell` until it returns; the watcher may go before."""
    answer = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "X-Request-Id": request[REQUEST_ID],
        }
    )
    await answer.prepare(request)

    async def send(text: str) -> None:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await answer.write(text.encode())

    try:
        await tell(send)
    except (TimeoutError, StoreError) as error:
        log.info("a watcher is dropped", request_id=request[REQUEST_ID], error=str(error))
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the watcher has gone, as watchers do
    return answer


def frame(kind: str, data: str, seq: int | None = None) -> str:
    """One event; `data` is one line."""
    return ("" if seq is None else f"id: {seq}\n") + f"event: {kind}\ndata: {data}\n\n"
