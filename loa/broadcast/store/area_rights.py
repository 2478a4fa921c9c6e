"""Who holds a right in an area of its own, and what becomes of it when the area closes.

Each function works in the caller's transaction. A right that names no area holds everywhere, and is not meant here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.people.rights import Role
from loa.broadcast.records import AreaRight
from loa.broadcast.store.bulk import chunks
from loa.broadcast.store.tables import token, user_, user_grant


async def in_areas(connection: AsyncConnection, area_ids: Iterable[bytes], now_ms: int) -> list[AreaRight]:
    """The rights in these areas that are good now, in the order in which they were given."""
    found: list[AreaRight] = []
    for some in chunks(area_ids):
        query = select(token.c.id, token.c.name, token.c.role, token.c.area_id).where(
            token.c.area_id.in_(some),
            token.c.revoked_ms.is_(None),
            or_(token.c.expires_ms.is_(None), token.c.expires_ms > now_ms),
        )
        rows = await connection.execute(query)
        found += [AreaRight("token", row.id, row.name, Role(row.role), row.area_id) for row in rows]
        granted = (
            select(user_.c.id, user_.c.name, user_grant.c.role, user_grant.c.area_id)
            .join(user_grant, user_grant.c.user_id == user_.c.id)
            .where(user_grant.c.area_id.in_(some), user_.c.erased_ms.is_(None))
        )
        rows = await connection.execute(granted)
        found += [AreaRight("user", row.id, row.name, Role(row.role), row.area_id) for row in rows]
    return sorted(found, key=lambda right: (right.id, right.role))


async def follow(connection: AsyncConnection, to: Mapping[AreaRight, bytes | None], now_ms: int) -> None:
    """These rights hold in the areas they are mapped to from now on; None: they end."""
    await _follow_tokens(connection, {right.id: at for right, at in to.items() if right.kind == "token"}, now_ms)
    await _follow_users(connection, {right: at for right, at in to.items() if right.kind == "user"})


async def _follow_tokens(connection: AsyncConnection, to: Mapping[bytes, bytes | None], now_ms: int) -> None:
    following = [{"of": token_id, "to": area_id} for token_id, area_id in to.items() if area_id is not None]
    ending = [{"of": token_id} for token_id, area_id in to.items() if area_id is None]
    update = token.update().where(token.c.id == bindparam("of"))
    if following:
        await connection.execute(update.values(area_id=bindparam("to")), following)
    if ending:
        await connection.execute(update.values(revoked_ms=now_ms), ending)


async def _follow_users(connection: AsyncConnection, to: Mapping[AreaRight, bytes | None]) -> None:
    rows = [{"of": r.id, "as": str(r.role), "from": r.area_id, "to": area_id} for r, area_id in to.items()]
    following = [row for row in rows if row["to"] is not None]
    ending = [{key: row[key] for key in ("of", "as", "from")} for row in rows if row["to"] is None]
    meant = (
        user_grant.c.user_id == bindparam("of"),
        user_grant.c.role == bindparam("as"),
        user_grant.c.area_id == bindparam("from"),
    )
    if following:
        await connection.execute(user_grant.update().where(*meant).values(area_id=bindparam("to")), following)
    if ending:
        await connection.execute(user_grant.delete().where(*meant), ending)
    if rows:
        # Who is about to change one of these users has seen other grants.
        changed = user_.update().where(user_.c.id == bindparam("of")).values(version=user_.c.version + 1)
        await connection.execute(changed, [{"of": user_id} for user_id in {right.id for right in to}])
