"""Who asks, and whether the route's right is theirs at all. What nobody has declared is behind a token too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from loa.broadcast.journal.act import Act
from loa.broadcast.people.rights import Principal, Right
from loa.control_api.operation import OPERATION, Operation
from loa.control_api.problems import REQUEST_ID, Problem
from loa.control_api.rate_limits import pass_or_wait
from loa.control_api.requests import services

DECLARED = web.AppKey("declared", Mapping[tuple[str, str], Operation])
"""Every operation, by method and path."""
PRINCIPAL = web.RequestKey("principal", Principal)


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """401 without a good bearer token, 403 without the route's right, before anything of the body is read."""
    operation = declared(request)
    if operation is not None:
        request[OPERATION] = operation
    if operation is not None and operation.right is None:
        await pass_or_wait(request, f"address:{request.remote}")
        return await handler(request)
    principal = await authenticate(request)
    if principal is None:
        await pass_or_wait(request, f"address:{request.remote}")
        raise Problem(401, "unauthorized", "send a good token: Authorization: Bearer …")
    request[PRINCIPAL] = principal
    await pass_or_wait(request, principal.actor)
    if operation is not None and operation.right is not None and not principal.has(operation.right):
        raise forbidden(operation.right)
    return await handler(request)


def declared(request: web.Request) -> Operation | None:
    """The operation behind the request's route."""
    resource = request.match_info.route.resource
    if resource is None:
        return None
    method = "GET" if request.method == "HEAD" else request.method
    return request.app[DECLARED].get((method, resource.canonical))


async def authenticate(request: web.Request) -> Principal | None:
    """Who it is, by what the request carries; None when that is nothing good."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    core = services(request)
    return await core.tokens.check(token.strip(), core.now_ms)


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
