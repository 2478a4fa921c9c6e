"""Bearer tokens. A route is behind one unless it is named here as open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from loa.control_api.problems import Problem
from loa.control_api.requests import services

OPEN_ROUTES = frozenset({"healthz", "readyz", "link", "listen", "claim"})
"""By route name: health for the balancer, the link and the claim that prove themselves, the public's ear."""


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """401 without a good bearer token, before anything of the request is read."""
    if request.match_info.route.name in OPEN_ROUTES:
        return await handler(request)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Problem(401, "unauthorized", "send a token: Authorization: Bearer …")
    core = services(request)
    if await core.tokens.check(token.strip(), core.now_ms) is None:
        raise Problem(401, "unauthorized", "this token is not known")
    return await handler(request)
