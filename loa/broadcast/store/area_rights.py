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
from loa.broadcast.store.tables import token


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
    return sorted(found, key=lambda right: right.id)


async def follow(connection: AsyncConnection, to: Mapping[bytes, bytes | None], now_ms: int) -> None:
    """These tokens hold in the areas they are mapped to from now on; None: they are revoked."""
    following = [{"of": token_id, "to": area_id} for token_id, area_id in to.items() if area_id is not None]
    ending = [{"of": token_id} for token_id, area_id in to.items() if area_id is None]
    update = token.update().where(token.c.id == bindparam("of"))
    if following:
        await connection.execute(update.values(area_id=bindparam("to")), following)
    if ending:
        await connection.execute(update.values(revoked_ms=now_ms), ending)
