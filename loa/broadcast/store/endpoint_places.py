"""Where endpoints stood. Each function works in the caller's transaction.

The model: `endpoint_place` holds, for each endpoint, rows that follow each other without gap or overlap from its
enrolment to its revocation, so that it stands in exactly one area at each instant between. As with areas, a row is
only ever ended, and one that would have lasted no time is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.records import Endpoint, Stay
from loa.broadcast.store.bulk import chunks
from loa.broadcast.store.tables import endpoint_place
from loa.errors import NotFound
from loa.model import id_text


def _stay(row: Row[Any]) -> Stay:
    return Stay(**row._mapping)


def _at_instant(at_ms: int) -> ColumnElement[bool]:
    ends_later = or_(endpoint_place.c.until_ms.is_(None), endpoint_place.c.until_ms > at_ms)
    return (endpoint_place.c.from_ms <= at_ms) & ends_later


async def begin(connection: AsyncConnection, new: Endpoint) -> None:
    """A new endpoint stands in its area from its enrolment on, until it is revoked."""
    if new.revoked_ms is None or new.revoked_ms > new.enrolled_ms:
        row = {
            "endpoint_id": new.id,
            "from_ms": new.enrolled_ms,
            "until_ms": new.revoked_ms,
            "area_id": new.area_id,
        }
        await connection.execute(endpoint_place.insert().values(row))


async def go_on(connection: AsyncConnection, moves: Mapping[bytes, bytes], at_ms: int) -> None:
    """From `at_ms` on, each of these endpoints stands in the area it is mapped to.

    `at_ms` must not lie before the beginning of where it stands now (`since`).
    """
    await _end(connection, moves, at_ms)
    rows = [
        {"endpoint_id": endpoint_id, "from_ms": at_ms, "until_ms": None, "area_id": area_id}
        for endpoint_id, area_id in moves.items()
    ]
    await connection.execute(endpoint_place.insert(), rows)


async def end(connection: AsyncConnection, endpoint_id: bytes, at_ms: int) -> None:
    """The endpoint stands nowhere from `at_ms` on, or from when it came to stand where it is, if that was later."""
    since_ms = await since(connection, [endpoint_id])
    if endpoint_id in since_ms:
        await _end(connection, [endpoint_id], max(at_ms, since_ms[endpoint_id]))


async def _end(connection: AsyncConnection, endpoint_ids: Iterable[bytes], at_ms: int) -> None:
    of = [{"of": endpoint_id} for endpoint_id in endpoint_ids]
    open_row = (endpoint_place.c.endpoint_id == bindparam("of")) & endpoint_place.c.until_ms.is_(None)
    await connection.execute(endpoint_place.delete().where(open_row, endpoint_place.c.from_ms == at_ms), of)
    await connection.execute(endpoint_place.update().where(open_row).values(until_ms=at_ms), of)


async def since(connection: AsyncConnection, endpoint_ids: Iterable[bytes]) -> dict[bytes, int]:
    """For each of these endpoints that is not revoked: from when on it has stood where it stands."""
    found: dict[bytes, int] = {}
    for some in chunks(endpoint_ids):
        query = select(endpoint_place.c.endpoint_id, endpoint_place.c.from_ms).where(
            endpoint_place.c.until_ms.is_(None), endpoint_place.c.endpoint_id.in_(some)
        )
        found.update((row.endpoint_id, row.from_ms) for row in await connection.execute(query))
    return found


async def left_ms(connection: AsyncConnection, area_ids: Iterable[bytes]) -> dict[bytes, int]:
    """For those of these areas that endpoints have left: when the last of these did."""
    found: dict[bytes, int] = {}
    for some in chunks(area_ids):
        query = (
            select(endpoint_place.c.area_id, func.max(endpoint_place.c.until_ms).label("left_ms"))
            .where(endpoint_place.c.area_id.in_(some), endpoint_place.c.until_ms.is_not(None))
            .group_by(endpoint_place.c.area_id)
        )
        found.update((row.area_id, row.left_ms) for row in await connection.execute(query))
    return found


async def stays(connection: AsyncConnection, endpoint_id: bytes) -> list[Stay]:
    """Where the endpoint has stood, in order."""
    query = select(endpoint_place).where(endpoint_place.c.endpoint_id == endpoint_id)
    return [_stay(row) for row in await connection.execute(query.order_by(endpoint_place.c.from_ms))]


async def stay_at(connection: AsyncConnection, endpoint_id: bytes, at_ms: int) -> Stay:
    """Where the endpoint stood at `at_ms`; NotFound when it stood nowhere."""
    query = select(endpoint_place).where(endpoint_place.c.endpoint_id == endpoint_id, _at_instant(at_ms))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"endpoint {id_text(endpoint_id)} stood nowhere then")
    return _stay(row)


async def stayed_since(
    connection: AsyncConnection, endpoint_ids: Iterable[bytes], since_ms: int
) -> dict[bytes, set[bytes]]:
    """For each of these endpoints: the areas in which it has directly stood at any time from `since_ms` on."""
    found: dict[bytes, set[bytes]] = {}
    ends_later = or_(endpoint_place.c.until_ms.is_(None), endpoint_place.c.until_ms > since_ms)
    for some in chunks(endpoint_ids):
        query = select(endpoint_place).where(endpoint_place.c.endpoint_id.in_(some), ends_later)
        for row in await connection.execute(query):
            found.setdefault(row.endpoint_id, set()).add(row.area_id)
    return found


async def counts_at(connection: AsyncConnection, at_ms: int) -> dict[bytes, int]:
    """How many endpoints stood directly in each area at `at_ms`."""
    query = select(endpoint_place.c.area_id, func.count().label("n")).where(_at_instant(at_ms))
    return {row.area_id: row.n for row in await connection.execute(query.group_by(endpoint_place.c.area_id))}
