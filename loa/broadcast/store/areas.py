"""Areas in the store as they are now, and the tree they make. Each function works in the caller's transaction.

What they were before is in store/area_history.py; whoever changes an area here leaves its history there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, Row, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.names import fold
from loa.broadcast.records import Area
from loa.broadcast.store import area_history
from loa.broadcast.store.bulk import chunks
from loa.broadcast.store.database import upsert
from loa.broadcast.store.paging import Page, paged
from loa.broadcast.store.tables import area, area_outline
from loa.codecs.statement_wire import MAX_DEPTH_OF_AREAS
from loa.errors import NotFound, StoreError
from loa.model import id_text


@dataclass(frozen=True, slots=True)
class AreaFilter:
    """Which areas; what is None does not matter. `q` is part of a name, folded or not, or a whole code."""

    q: str | None = None
    parent_id: bytes | None = None
    level: str | None = None
    code: str | None = None
    open: bool | None = None
    within: Collection[bytes] | None = None
    """In these areas or below them."""


def record(row: Row[Any]) -> Area:
    """The area in a row that has its columns."""
    values = row._mapping
    return Area(
        id=values["id"],
        parent_id=values["parent_id"],
        name=values["name"],
        level=values["level"],
        code=values["former_code"] if values["code"] is None else values["code"],
        created_ms=values["created_ms"],
        valid_from_ms=values["valid_from_ms"],
        valid_until_ms=values["valid_until_ms"],
        version=values["version"],
        position=None if values["lat"] is None else Position(values["lat"], values["lon"]),
    )


def _values(value: Area) -> dict[str, Any]:
    return {
        "parent_id": value.parent_id,
        "name": value.name,
        "level": value.level,
        "code": value.code if value.open else None,
        "former_code": None if value.open else value.code,
        "folded": value.folded,
        "valid_from_ms": value.valid_from_ms,
        "valid_until_ms": value.valid_until_ms,
        "version": value.version,
        "lat": value.position and value.position.lat,
        "lon": value.position and value.position.lon,
    }


async def insert(connection: AsyncConnection, *new: Area) -> None:
    """Write new areas down, a parent before its children; Conflict for a code that another open area has.

    Their history begins when they are valid.
    """
    if new:
        rows = [{"id": each.id, "created_ms": each.created_ms, **_values(each)} for each in new]
        await connection.execute(area.insert(), rows)
        await area_history.begin(connection, new)


async def save(connection: AsyncConnection, changes: Sequence[tuple[Area, Area]], at_ms: int) -> None:
    """Overwrite open areas: for each what it was and what it is from `at_ms` on; one may be closed by it.

    `at_ms` must not lie before the beginning of what is open in the area's history (area_history.since).
    """
    if not changes:
        return
    rows = [
        {"of": after.id, **{f"new_{name}": value for name, value in _values(after).items()}} for _, after in changes
    ]
    names = list(_values(changes[0][1]))
    # A code may go from one area to another: it is given back before it is taken.
    recoded = [{"of": after.id} for before, after in changes if before.code != after.code or not after.open]
    update = area.update().where(area.c.id == bindparam("of"))
    if recoded:
        await connection.execute(update.values(code=None), recoded)
    await connection.execute(update.values({name: bindparam(f"new_{name}") for name in names}), rows)
    differing = [after for before, after in changes if not after.open or _named(before) != _named(after)]
    await area_history.go_on(connection, differing, at_ms)


def _named(value: Area) -> tuple[object, ...]:
    """What an area's history tells of it."""
    return value.parent_id, value.name, value.level, value.code


async def get(connection: AsyncConnection, area_id: bytes) -> Area:
    """The area; NotFound."""
    row = (await connection.execute(select(area).where(area.c.id == area_id))).one_or_none()
    if row is None:
        raise NotFound(f"no area {id_text(area_id)}")
    return record(row)


async def named(connection: AsyncConnection, area_ids: Iterable[bytes]) -> dict[bytes, Area]:
    """Those of the ids that are areas, closed ones too."""
    found: dict[bytes, Area] = {}
    for some in chunks(area_ids):
        rows = await connection.execute(select(area).where(area.c.id.in_(some)))
        found.update((row.id, record(row)) for row in rows)
    return found


async def page(connection: AsyncConnection, page: Page, only: AreaFilter) -> list[Area]:
    """A page of areas; BadCursor."""
    query = select(area)
    if only.q is not None:
        found = area.c.folded.contains(fold(only.q), autoescape=True)
        query = query.where(or_(found, area.c.code == only.q.strip()))
    if only.parent_id is not None:
        query = query.where(area.c.parent_id == only.parent_id)
    if only.level is not None:
        query = query.where(area.c.level == only.level)
    if only.code is not None:
        query = query.where(or_(area.c.code == only.code, area.c.former_code == only.code))
    if only.open is not None:
        query = query.where(area.c.valid_until_ms.is_(None) if only.open else area.c.valid_until_ms.is_not(None))
    if only.within is not None:
        query = query.where(area.c.id.in_(select(below(only.within).c.id)))
    return [record(row) for row in await connection.execute(paged(query, area, page))]


async def tree(connection: AsyncConnection) -> dict[bytes, Area]:
    """All open areas."""
    rows = await connection.execute(select(area).where(area.c.valid_until_ms.is_(None)).order_by(area.c.id))
    return {row.id: record(row) for row in rows}


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


async def paths(connection: AsyncConnection, area_ids: Iterable[bytes]) -> dict[bytes, tuple[bytes, ...]]:
    """For each of these areas that exists: its own id, then that of its parent, up to the top."""
    leaves = list(set(area_ids))
    parents: dict[bytes, bytes | None] = {}
    for some in chunks(leaves):
        above = select(area.c.id, area.c.parent_id).where(area.c.id.in_(some)).cte("above", recursive=True)
        above = above.union(select(area.c.id, area.c.parent_id).join(above, above.c.parent_id == area.c.id))
        rows = await connection.execute(select(above.c.id, above.c.parent_id))
        parents.update((row.id, row.parent_id) for row in rows)
    return {leaf: upwards(leaf, parents) for leaf in leaves if leaf in parents}


def upwards(leaf: bytes, parents: Mapping[bytes, bytes | None]) -> tuple[bytes, ...]:
    """The leaf, its parent, and so on to the top."""
    found: dict[bytes, None] = {}
    at: bytes | None = leaf
    # Even a loop in the tree comes to an end.
    while at is not None and at not in found:
        found[at] = None
        at = parents.get(at)
    return tuple(found)


async def subtrees(connection: AsyncConnection, area_ids: Iterable[bytes]) -> set[bytes]:
    """The ids of these areas and of all below them, closed ones too. Unknown ids give nothing."""
    roots = set(area_ids)
    if not roots:
        return set()
    return {row.id for row in await connection.execute(select(below(roots).c.id))}


def below(roots: Collection[bytes], name: str = "below") -> CTE:
    """A table of the ids of these areas and of all below them, closed ones too, for use in a query under a name."""
    found = select(area.c.id).where(area.c.id.in_(sorted(roots))).cte(name, recursive=True)
    # UNION, not UNION ALL: an area is followed once, so that even a loop in the tree comes to an end.
    return found.union(select(area.c.id).join(found, area.c.parent_id == found.c.id))


async def known(connection: AsyncConnection, area_ids: Iterable[bytes]) -> set[bytes]:
    """Those of the ids that are open areas."""
    wanted = list(set(area_ids))
    if not wanted:
        return set()
    query = select(area.c.id).where(area.c.id.in_(wanted), area.c.valid_until_ms.is_(None))
    return {row.id for row in await connection.execute(query)}


async def set_outlines(connection: AsyncConnection, outlines: Mapping[bytes, Outline | None]) -> None:
    """Give areas their outlines, or take them away."""
    gone = [{"of": area_id} for area_id, outline in outlines.items() if outline is None]
    if gone:
        await connection.execute(area_outline.delete().where(area_outline.c.area_id == bindparam("of")), gone)
    rows = [
        {"area_id": area_id, "outline": each.text, "sha256": each.digest}
        for area_id, each in outlines.items()
        if each is not None
    ]
    await upsert(connection, area_outline, rows, key=["area_id"])


async def outline_digests(connection: AsyncConnection, area_ids: Iterable[bytes]) -> dict[bytes, bytes]:
    """The SHA-256 of the outlines of those of these areas that have one."""
    found: dict[bytes, bytes] = {}
    for some in chunks(area_ids):
        query = select(area_outline.c.area_id, area_outline.c.sha256).where(area_outline.c.area_id.in_(some))
        found.update((row.area_id, row.sha256) for row in await connection.execute(query))
    return found


async def outlines(connection: AsyncConnection, area_ids: Iterable[bytes]) -> dict[bytes, Outline]:
    """The outlines of those of these areas that have one."""
    found: dict[bytes, Outline] = {}
    for some in chunks(area_ids):
        rows = await connection.execute(select(area_outline).where(area_outline.c.area_id.in_(some)))
        found.update((row.area_id, Outline(row.outline)) for row in rows)
    return found
