"""What areas were, and what became of them. Each function works in the caller's transaction.

The model: `area_version` holds, for each area, rows that follow each other without gap or overlap from the time it
is valid until it is closed; `area_lineage` holds which area became which, by which change. A row is only ever
ended, at an instant that does not lie before its beginning, and a row that would have lasted no time is not kept.
So what was true at an instant before a change takes effect is answered the same ever after.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.geometry import Position
from loa.broadcast.records import Area, AreaChange, AreaVersion, ChangeKind, Lineage
from loa.broadcast.store.bulk import chunks
from loa.broadcast.store.paging import Page, paged
from loa.broadcast.store.tables import area, area_change, area_lineage, area_version
from loa.errors import NotFound
from loa.model import id_text

_MAX_STEPS = 64
"""How often an area's heirs are asked for their own heirs."""


def at_instant(at_ms: int) -> ColumnElement[bool]:
    """The rows of area_version that were true then."""
    ends_later = or_(area_version.c.until_ms.is_(None), area_version.c.until_ms > at_ms)
    return (area_version.c.from_ms <= at_ms) & ends_later


def _version(row: Row[Any]) -> AreaVersion:
    return AreaVersion(**row._mapping)


def _row(value: Area, from_ms: int) -> dict[str, Any]:
    return {
        "area_id": value.id,
        "from_ms": from_ms,
        "until_ms": None,
        "parent_id": value.parent_id,
        "name": value.name,
        "level": value.level,
        "code": value.code,
    }


async def begin(connection: AsyncConnection, new: Sequence[Area]) -> None:
    """The histories of new areas begin when they are valid."""
    await connection.execute(area_version.insert(), [_row(each, each.valid_from_ms) for each in new])


async def go_on(connection: AsyncConnection, changed: Sequence[Area], at_ms: int) -> None:
    """From `at_ms` on the areas are what is given, or no more, when they are closed."""
    if not changed:
        return
    open_row = (area_version.c.area_id == bindparam("of")) & area_version.c.until_ms.is_(None)
    of = [{"of": each.id} for each in changed]
    await connection.execute(area_version.delete().where(open_row, area_version.c.from_ms == at_ms), of)
    await connection.execute(area_version.update().where(open_row).values(until_ms=at_ms), of)
    going_on = [_row(each, at_ms) for each in changed if each.open]
    if going_on:
        await connection.execute(area_version.insert(), going_on)


async def since(connection: AsyncConnection, area_ids: Iterable[bytes] | None = None) -> dict[bytes, int]:
    """For each of these open areas, or for all: from when on it has been what it is."""
    query = select(area_version.c.area_id, area_version.c.from_ms).where(area_version.c.until_ms.is_(None))
    if area_ids is None:
        return {row.area_id: row.from_ms for row in await connection.execute(query)}
    found: dict[bytes, int] = {}
    for some in chunks(area_ids):
        rows = await connection.execute(query.where(area_version.c.area_id.in_(some)))
        found.update((row.area_id, row.from_ms) for row in rows)
    return found


async def children_left_ms(connection: AsyncConnection, area_ids: Iterable[bytes]) -> dict[bytes, int]:
    """For those of these areas that have had children: when the last of those that are gone went."""
    found: dict[bytes, int] = {}
    for some in chunks(area_ids):
        query = (
            select(area_version.c.parent_id, func.max(area_version.c.until_ms).label("left_ms"))
            .where(area_version.c.parent_id.in_(some), area_version.c.until_ms.is_not(None))
            .group_by(area_version.c.parent_id)
        )
        found.update((row.parent_id, row.left_ms) for row in await connection.execute(query))
    return found


async def parents_since(
    connection: AsyncConnection, area_ids: Iterable[bytes], since_ms: int
) -> dict[bytes, set[bytes]]:
    """The parents that these areas, and all that stood above them, have had at any time from `since_ms` on."""
    found: dict[bytes, set[bytes]] = {}
    asking = set(area_ids)
    ends_later = or_(area_version.c.until_ms.is_(None), area_version.c.until_ms > since_ms)
    while asking:
        query = select(area_version.c.area_id, area_version.c.parent_id).where(
            area_version.c.area_id.in_(sorted(asking)), area_version.c.parent_id.is_not(None), ends_later
        )
        found |= {area_id: set() for area_id in asking}
        for row in await connection.execute(query):
            found[row.area_id].add(row.parent_id)
        asking = {parent for parents in found.values() for parent in parents} - set(found)
    return found


async def versions(connection: AsyncConnection, area_id: bytes) -> list[AreaVersion]:
    """All that the area has been, in order."""
    query = select(area_version).where(area_version.c.area_id == area_id).order_by(area_version.c.from_ms)
    return [_version(row) for row in await connection.execute(query)]


async def tree_at(
    connection: AsyncConnection,
    at_ms: int,
    page: Page | None = None,
    *,
    parent_id: bytes | None = None,
    level: str | None = None,
    code: str | None = None,
) -> list[Area]:
    """The areas as they were at `at_ms`, all or a page by id, with names, levels, codes and parents of then.

    BadCursor.
    """
    now = [column.label(f"now_{column.name}") for column in area.c]
    query = select(area_version, *now).join(area, area.c.id == area_version.c.area_id).where(at_instant(at_ms))
    asked = {area_version.c.parent_id: parent_id, area_version.c.level: level, area_version.c.code: code}
    for column, value in asked.items():
        if value is not None:
            query = query.where(column == value)
    query = query.order_by(area.c.id) if page is None else paged(query, area, page)
    return [_then(row) for row in await connection.execute(query)]


def _then(row: Row[Any]) -> Area:
    return Area(
        id=row.area_id,
        parent_id=row.parent_id,
        name=row.name,
        level=row.level,
        code=row.code,
        created_ms=row.now_created_ms,
        valid_from_ms=row.now_valid_from_ms,
        valid_until_ms=row.now_valid_until_ms,
        version=row.now_version,
        position=None if row.now_lat is None else Position(row.now_lat, row.now_lon),
    )


async def area_at(connection: AsyncConnection, area_id: bytes, at_ms: int) -> AreaVersion:
    """What the area was at `at_ms`; NotFound when it was not."""
    query = select(area_version).where(area_version.c.area_id == area_id, at_instant(at_ms))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"area {id_text(area_id)} was not valid then")
    return _version(row)


async def path_at(connection: AsyncConnection, area_id: bytes, at_ms: int) -> list[AreaVersion]:
    """What stood above the area at `at_ms`, from the top down to itself; NotFound when it was not."""
    found: dict[bytes, AreaVersion] = {}
    at: bytes | None = area_id
    while at is not None and at not in found:
        found[at] = await area_at(connection, at, at_ms)
        at = found[at].parent_id
    return list(reversed(found.values()))


# --- what became of what -------------------------------------------------------------------------------------


async def insert_change(
    connection: AsyncConnection, change: AreaChange, heirs: Mapping[bytes, Collection[bytes]]
) -> None:
    """Write a change down, and for each area that ended by it, or gave a part away, what it became."""
    await connection.execute(
        area_change.insert().values(
            id=change.id,
            kind=str(change.kind),
            at_ms=change.at_ms,
            recorded_ms=change.recorded_ms,
            decree=change.decree,
            summary=change.summary,
        )
    )
    rows = [
        {"change_id": change.id, "from_id": from_id, "to_id": to_id}
        for from_id, became in heirs.items()
        for to_id in became
    ]
    if rows:
        await connection.execute(area_lineage.insert(), rows)


def _change(row: Row[Any]) -> AreaChange:
    values = {column.name: row._mapping[column.name] for column in area_change.c}
    return AreaChange(**{**values, "kind": ChangeKind(values["kind"])})


async def get_change(connection: AsyncConnection, change_id: bytes) -> AreaChange:
    """The change; NotFound."""
    row = (await connection.execute(select(area_change).where(area_change.c.id == change_id))).one_or_none()
    if row is None:
        raise NotFound(f"no change of areas {id_text(change_id)}")
    return _change(row)


async def lineage(connection: AsyncConnection, area_id: bytes) -> list[Lineage]:
    """What the area came from and what it became, the first first."""
    query = (
        select(area_change, area_lineage.c.from_id, area_lineage.c.to_id)
        .join(area_lineage, area_lineage.c.change_id == area_change.c.id)
        .where(or_(area_lineage.c.from_id == area_id, area_lineage.c.to_id == area_id))
        .order_by(area_change.c.at_ms, area_change.c.id, area_lineage.c.from_id, area_lineage.c.to_id)
    )
    return [Lineage(_change(row), row.from_id, row.to_id) for row in await connection.execute(query)]


async def made_by(connection: AsyncConnection, change_id: bytes) -> list[Lineage]:
    """Which area became which by the change."""
    query = (
        select(area_change, area_lineage.c.from_id, area_lineage.c.to_id)
        .join(area_lineage, area_lineage.c.change_id == area_change.c.id)
        .where(area_change.c.id == change_id)
        .order_by(area_lineage.c.from_id, area_lineage.c.to_id)
    )
    return [Lineage(_change(row), row.from_id, row.to_id) for row in await connection.execute(query)]


async def changes(connection: AsyncConnection, page: Page) -> list[AreaChange]:
    """A page of the changes of many areas at once; BadCursor."""
    rows = await connection.execute(paged(select(area_change), area_change, page))
    return [_change(row) for row in rows]


async def heirs(connection: AsyncConnection, area_ids: Iterable[bytes]) -> set[bytes]:
    """All that these areas became, and those in their turn, open or not."""
    return await _follow(connection, area_ids, area_lineage.c.from_id, area_lineage.c.to_id, None)


async def forebears_dated_back(connection: AsyncConnection, area_ids: Iterable[bytes], at_ms: int) -> set[bytes]:
    """All that became these areas by changes which were in force at `at_ms`, but were written down only after
    it."""
    return await _follow(connection, area_ids, area_lineage.c.to_id, area_lineage.c.from_id, at_ms)


async def _follow(
    connection: AsyncConnection,
    area_ids: Iterable[bytes],
    by: ColumnElement[bytes],
    to: ColumnElement[bytes],
    dated_back_before_ms: int | None,
) -> set[bytes]:
    found: set[bytes] = set()
    asking = set(area_ids)
    for _ in range(_MAX_STEPS):
        if not asking:
            break
        query = select(to).where(by.in_(sorted(asking)))
        if dated_back_before_ms is not None:
            query = query.join(area_change, area_change.c.id == area_lineage.c.change_id).where(
                area_change.c.at_ms <= dated_back_before_ms, area_change.c.recorded_ms >= dated_back_before_ms
            )
        asking = set((await connection.execute(query)).scalars()) - found
        found |= asking
    return found
