"""Who may give what to whom: nobody gives, or touches in others, a right that they do not have themselves there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.people.rights import Grant, Principal, Right
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import users as stored
from loa.errors import Forbidden, NotFound
from loa.model import id_text


async def require_to_give(connection: AsyncConnection, by: Principal, grants: Sequence[Grant]) -> None:
    """Forbidden unless `by` has, in this transaction, all that the grants give; NotFound for an unknown area."""
    await _require(connection, by, grants, None)


async def require_to_manage(connection: AsyncConnection, by: Principal, grants: Sequence[Grant]) -> None:
    """Forbidden unless `by` may manage users with these grants, having all that they give.

    Who has no grant belongs to the whole system.
    """
    await _require(connection, by, grants, Right.USERS_WRITE)


async def _require(
    connection: AsyncConnection, by: Principal, grants: Sequence[Grant], right: Right | None
) -> None:
    standing = await _standing(connection, by)
    paths = await paths_of(connection, grants)
    for path in paths or [frozenset[bytes]()]:
        if right is not None and not all(who.may(right, path) for who in standing):
            raise Forbidden("forbidden", f"this needs the right {right} there")
    for grant, path in zip(grants, paths, strict=True):
        if not all(who.covers(grant, path) for who in standing):
            where = "everywhere" if grant.area_id is None else f"in area {id_text(grant.area_id)}"
            raise Forbidden("escalation", f"the role {grant.role} {where} has rights that you do not have there")


async def paths_of(connection: AsyncConnection, grants: Sequence[Grant]) -> list[frozenset[bytes]]:
    """For each grant the ids of its area and of all above it; empty for everywhere. NotFound."""
    known = await stored_areas.paths(connection, [g.area_id for g in grants if g.area_id is not None])
    found = []
    for grant in grants:
        if grant.area_id is not None and grant.area_id not in known:
            raise NotFound(f"no area {id_text(grant.area_id)}")
        found.append(frozenset[bytes]() if grant.area_id is None else frozenset(known[grant.area_id]))
    return found


async def _standing(connection: AsyncConnection, by: Principal) -> Sequence[Principal]:
    """The principal as they came, and as the person behind them stands now: a request may have been overtaken."""
    if by.user_id is None:
        return (by,)
    try:
        user = await stored.get(connection, by.user_id)
    except NotFound:
        return (replace(by, grants=()),)
    return by, replace(by, grants=user.grants if user.active else ())
