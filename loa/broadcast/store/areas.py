"""Areas in the store. Each function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.records import Area
from loa.broadcast.store.paging import Page, paged
from loa.broadcast.store.tables import area
from loa.codecs.statement_wire import MAX_DEPTH_OF_AREAS
from loa.errors import NotFound, StoreError
from loa.model import id_text

_IN_ONE_QUERY = 5_000


def _area(row: Row[Any]) -> Area:
    return Area(**row._mapping)


async def insert(connection: AsyncConnection, new: Area) -> None:
    """Write a new area down; Conflict for a code that another area has."""
    await connection.execute(
        area.insert().values(
            id=new.id,
            parent_id=new.parent_id,
            name=new.name,
            level=new.level,
            code=new.code,
            created_ms=new.created_ms,
        )
    )


async def get(connection: AsyncConnection, area_id: bytes) -> Area:
    """The area; NotFound."""
    row = (await connection.execute(select(area).where(area.c.id == area_id))).one_or_none()
    if row is None:
        raise NotFound(f"no area {id_text(area_id)}")
    return _area(row)


@dataclass(frozen=True, slots=True)
class AreaFilter:
    """Which areas; what is None does not matter."""

    parent_id: bytes | None = None
    level: str | None = None
    code: str | None = None


async def page(connection: AsyncConnection, page: Page, only: AreaFilter) -> list[Area]:
    """A page of areas; BadCursor."""
    query = select(area)
    if only.parent_id is not None:
        query = query.where(area.c.parent_id == only.parent_id)
    if only.level is not None:
        query = query.where(area.c.level == only.level)
    if only.code is not None:
        query = query.where(area.c.code == only.code)
    return [_area(row) for row in await connection.execute(paged(query, area, page))]


async def path(connection: AsyncConnection, area_id: bytes) -> tuple[bytes, ...]:
    """The ids from the top of the tree down to the area; NotFound; StoreError when it is deeper than allowed."""
    upwards: list[bytes] = []
    at: bytes | None = area_id
    while at is not None:
        if len(upwards) == MAX_DEPTH_OF_AREAS:
            raise StoreError(f"area {id_text(area_id)} stands deeper than {MAX_DEPTH_OF_AREAS} levels")
        upwards.append(at)
        at = (await get(connection, at)).parent_id
    return tuple(reversed(upwards))


async def paths(connection: AsyncConnection, area_ids: Iterable[bytes]) -> dict[bytes, frozenset[bytes]]:
    """For each of these areas that exists: its own id and those of all above it."""
    leaves = list(set(area_ids))
    parents: dict[bytes, bytes | None] = {}
    for at in range(0, len(leaves), _IN_ONE_QUERY):
        some = leaves[at : at + _IN_ONE_QUERY]
        above = select(area.c.id, area.c.parent_id).where(area.c.id.in_(some)).cte("above", recursive=True)
        above = above.union(select(area.c.id, area.c.parent_id).join(above, above.c.parent_id == area.c.id))
        rows = await connection.execute(select(above.c.id, above.c.parent_id))
        parents.update((row.id, row.parent_id) for row in rows)
    return {leaf: _upwards(leaf, parents) for leaf in leaves if leaf in parents}


def _upwards(leaf: bytes, parents: Mapping[bytes, bytes | None]) -> frozenset[bytes]:
    found: set[bytes] = set()
    at: bytes | None = leaf
    # Even a loop in the tree comes to an end.
    while at is not None and at not in found:
        found.add(at)
        at = parents.get(at)
    return frozenset(found)


async def subtrees(connection: AsyncConnection, area_ids: Iterable[bytes]) -> set[bytes]:
    """The ids of these areas and of all below them. Unknown ids give nothing."""
    roots = list(set(area_ids))
    if not roots:
        return set()
    return set((await connection.execute(select(below(roots).c.id))).scalars())


def below(roots: Collection[bytes]) -> CTE:
    """A table of the ids of these areas and of all below them, for use in a query."""
    found = select(area.c.id).where(area.c.id.in_(list(roots))).cte("below", recursive=True)
    # UNION, not UNION ALL: an area is followed once, so that even a loop in the tree comes to an end.
    return found.union(select(area.c.id).join(found, area.c.parent_id == found.c.id))


async def known(connection: AsyncConnection, area_ids: Iterable[bytes]) -> set[bytes]:
    """Those of the ids that are areas."""
    wanted = list(set(area_ids))
    if not wanted:
        return set()
    return set((await connection.execute(select(area.c.id).where(area.c.id.in_(wanted)))).scalars())
