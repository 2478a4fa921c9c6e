"""Who asks, and whether the route's right is theirs at all. What nobody has declared is behind a token too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from loa.broadcast.journal.act import Act
from loa.broadcast.people.rights import Principal, Right
from loa.control_api.problems import REQUEST_ID, Problem
from loa.control_api.requests import services

NEEDED = web.AppKey("needed", Mapping[tuple[str, str], Right | None])
"""The right that each method and path needs; None for the open ones."""
PRINCIPAL = web.RequestKey("principal", Principal)


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """401 without a good bearer token, 403 without the route's right, before anything of the body is read."""
    resource = request.match_info.route.resource
    method = "GET" if request.method == "HEAD" else request.method
    route = (method, resource.canonical) if resource is not None else None
    needed = request.app[NEEDED]
    if route is not None and route in needed and needed[route] is None:
        return await handler(request)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Problem(401, "unauthorized", "send a token: Authorization: Bearer …")
    core = services(request)
    principal = await core.tokens.check(token.strip(), core.now_ms)
    if principal is None:
        raise Problem(401, "unauthorized", "this token is not known")
    request[PRINCIPAL] = principal
    right = needed.get(route) if route is not None else None
    if right is not None and not principal.has(right):
        raise forbidden(right)
    return await handler(request)


def act_of(request: web.Request) -> Act:
    """What this request does, by whom and from where, for the journal."""
    principal = request.get(PRINCIPAL)
    return Act(
        actor="public" if principal is None else principal.actor,
        name="" if principal is None else principal.name,
        now_ms=services(request).now_ms,
        origin=request.remote or "",
        request_id=request[REQUEST_ID],
    )


def forbidden(right: Right) -> Problem:
    """The answer to somebody known who may not do this."""
    return Problem(403, "forbidden", f"this needs the right {right} there", right=str(right))
