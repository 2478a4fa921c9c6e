"""One line in the log for each request: who asked for what, and how it went.

What only reads, and went well, is for those who look closer: it comes many times a second (`log_level` debug).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from loa.control_api.auth import PRINCIPAL
from loa.control_api.caller import address
from loa.control_api.operation import OPERATION
from loa.control_api.problems import REQUEST_ID

log = structlog.get_logger("loa.http")
_GONE = 499


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Log a request when it is over. Paths and queries may hold what is nobody's business: the route is named."""
    started_ns = time.monotonic_ns()
    status = _GONE  # unless there is an answer, the caller has gone
    try:
        answer = await handler(request)
        status = answer.status
        return answer
    finally:
        operation, principal = request.get(OPERATION), request.get(PRINCIPAL)
        quiet = status < 400 and (operation is None or not operation.changes)
        (log.debug if quiet else log.info)(
            "request",
            request_id=request.get(REQUEST_ID, ""),
            method=request.method,
            route="none" if operation is None else operation.path,
            status=status,
            duration_ms=round((time.monotonic_ns() - started_ns) / 1e6, 1),
            actor="" if principal is None else principal.actor,
            origin=address(request),
        )
