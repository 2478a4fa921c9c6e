"""Who asks, and whether the route's right is theirs at all. What nobody has declared is behind a token too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from loa.broadcast.journal.act import Act
from loa.broadcast.people.rights import Principal, Right, Withheld
from loa.control_api import browser
from loa.control_api.caller import address
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
    """401 for who shows neither a good token nor a session, 403 without the route's right or, for a change by
    cookie, without a sign that it is meant: before anything of the body is read.
    """
    operation = declared(request)
    if operation is not None:
        request[OPERATION] = operation
    if operation is not None and operation.open:
        await pass_or_wait(request, f"address:{address(request)}")
        return await handler(request)
    principal = await authenticate(request)
    if principal is None:
        await pass_or_wait(request, f"address:{address(request)}")
        raise Problem(401, "unauthorized", "send a good token (Authorization: Bearer …), or sign in")
    request[PRINCIPAL] = principal
    await pass_or_wait(request, principal.actor)
    if principal.session_id is not None and request.method not in ("GET", "HEAD"):
        browser.require_meant(request, browser.session_secret(request) or "")
    if operation is not None and operation.right is not None and not principal.has(operation.right):
        raise forbidden(operation.right, principal)
    return await handler(request)


def declared(request: web.Request) -> Operation | None:
    """The operation behind the request's route."""
    resource = request.match_info.route.resource
    if resource is None:
        return None
    method = "GET" if request.method == "HEAD" else request.method
    return request.app[DECLARED].get((method, resource.canonical))


async def authenticate(request: web.Request, *, used: bool = True) -> Principal | None:
    """Who it is, by what the request carries; None when that is nothing good.

    Where a header says who asks, a cookie beside it says nothing. `used`: a session goes on by this.
    """
    core = services(request)
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        return await core.tokens.check(token.strip(), core.now_ms)
    secret = browser.session_secret(request)
    return None if secret is None else await core.people.sessions.check(secret, core.now_ms, used=used)


def act_of(request: web.Request) -> Act:
    """What this request does, by whom and from where, for the journal."""
    principal = request.get(PRINCIPAL)
    return Act(
        actor="public" if principal is None else principal.actor,
        name="" if principal is None else principal.name,
        now_ms=services(request).now_ms,
        origin=address(request),
        request_id=request[REQUEST_ID],
    )


def forbidden(right: Right, principal: Principal) -> Problem:
    """The answer to somebody known who may not do this; also when they may, once they have done something else."""
    if principal.withheld is not None:
        return Problem(403, str(principal.withheld), _FIRST[principal.withheld], right=str(right))
    return Problem(403, "forbidden", f"this needs the right {right} there", right=str(right))


_FIRST = {
    Withheld.PASSWORD: "first change the one-time password: POST /api/v1/me/password",
    Withheld.SECOND_FACTOR: "your role needs a second factor: enrol an app (/api/v1/me/totp), or sign in with it",
}
