"""Where a right must hold for one request: in the area of a thing, or in all areas of a broadcast.

What a caller may not see is answered as if it were not there; what they may see and not change is 403 `forbidden`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aiohttp import web

from loa.broadcast.people.person import User
from loa.broadcast.people.rights import Right
from loa.broadcast.records import Broadcast, Endpoint, Programme
from loa.control_api.auth import PRINCIPAL, forbidden
from loa.control_api.requests import services
from loa.errors import NotFound
from loa.model import EMERGENCY_PRIORITY, id_text

PRIORITY_FROM = 128
"""Priorities below are routine."""


def right_to_speak(priority: int) -> Right:
    """The right that starting or stopping a broadcast of this priority needs."""
    if priority >= EMERGENCY_PRIORITY:
        return Right.BROADCASTS_EMERGENCY
    return Right.BROADCASTS_PRIORITY if priority >= PRIORITY_FROM else Right.BROADCASTS_ROUTINE


async def require_in(request: web.Request, right: Right, area_id: bytes | None) -> None:
    """Problem 403 unless the right holds in the area (None: everywhere); NotFound.

    Of a closed area, what it became counts too: what happened there is for those to see who follow.
    """
    path = () if area_id is None else await services(request).reach_of.get(area_id)
    principal = request[PRINCIPAL]
    if not principal.may(right, path):
        raise forbidden(right, principal)


async def require_in_all(request: web.Request, right: Right, area_ids: Iterable[bytes | None]) -> None:
    """Problem 403 unless the right holds in all these areas (None: everywhere); NotFound."""
    if request[PRINCIPAL].roots(right) is None:
        return
    for area_id in area_ids:
        await require_in(request, right, area_id)


async def require_for(
    request: web.Request, right: Right, areas: Iterable[bytes], endpoints: Sequence[bytes]
) -> None:
    """Problem 403 unless the right holds for all these targets; NotFound."""
    principal, core = request[PRINCIPAL], services(request)
    if principal.roots(right) is None:
        return
    for area_id in areas:
        await require_in(request, right, area_id)
    for endpoint_id in endpoints:
        endpoint = await visible_endpoint(request, endpoint_id)
        if not principal.may(right, await core.reach_of.get(endpoint.area_id)):
            raise forbidden(right, principal)


async def visible_broadcast(request: web.Request, broadcast_id: bytes) -> Broadcast:
    """The broadcast as it is now, if it was heard in one of the caller's areas; NotFound otherwise."""
    core, roots = services(request), request[PRINCIPAL].roots(Right.BROADCASTS_READ)
    broadcast = await core.shown.get(broadcast_id)
    if roots is not None and not await core.broadcasts.is_near(broadcast_id, roots):
        raise NotFound(f"no broadcast {id_text(broadcast_id)}")
    return broadcast


async def require_for_all_of(request: web.Request, right: Right, broadcast: Broadcast) -> None:
    """Problem 403 unless the right holds wherever a broadcast that the caller sees was for."""
    principal, core = request[PRINCIPAL], services(request)
    if principal.roots(right) is None:
        return
    standing = [(await core.endpoints.get(endpoint_id)).area_id for endpoint_id in broadcast.endpoints]
    for area_id in {*broadcast.areas, *standing}:
        await require_in(request, right, area_id)


async def visible_programme(request: web.Request, programme_id: bytes) -> Programme:
    """The programme, if it is the whole city's, or of an area that is one of the caller's, below or above one.

    NotFound otherwise.
    """
    roots = request[PRINCIPAL].roots(Right.PROGRAMMES_READ)
    return await services(request).programmes.get(programme_id, roots)


async def visible_endpoint(request: web.Request, endpoint_id: bytes) -> Endpoint:
    """The endpoint, if the caller may see it; NotFound otherwise."""
    core, principal = services(request), request[PRINCIPAL]
    endpoint = await core.endpoint_of.get(endpoint_id)
    everywhere = principal.roots(Right.ENDPOINTS_READ) is None
    if not everywhere and not principal.may(Right.ENDPOINTS_READ, await core.reach_of.get(endpoint.area_id)):
        raise NotFound(f"no endpoint {id_text(endpoint_id)}")
    return endpoint


async def visible_user(request: web.Request, user_id: bytes) -> User:
    """The user, if the caller may see them: where one of their roles is, or, without any, everywhere. NotFound."""
    users, principal = services(request).people.users, request[PRINCIPAL]
    user = await users.get(user_id)
    paths = await users.paths(user) or [frozenset()]
    if not any(principal.may(Right.USERS_READ, path) for path in paths):
        raise NotFound(f"no user {id_text(user_id)}")
    return user


async def narrowed(request: web.Request, right: Right, area_id: bytes | None) -> frozenset[bytes] | None:
    """The tops of what a list may show to the caller; None when that is everything.

    `area_id`: the area that is asked for. An area of which the caller may see nothing gives nothing.
    """
    principal, core = request[PRINCIPAL], services(request)
    roots = principal.roots(right)
    if area_id is None or roots is None:
        return roots if area_id is None else frozenset((area_id,))
    try:
        path = await core.reach_of.get(area_id)
    except NotFound:
        return frozenset()
    if principal.may(right, path):
        return frozenset((area_id,))
    below = await core.areas.subtree(area_id)
    return frozenset(roots & below)
