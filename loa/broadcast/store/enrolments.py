"""Enrolment codes in the store. Each function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Row, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.geometry import Position
from loa.broadcast.records import Enrolment
from loa.broadcast.store.areas import below
from loa.broadcast.store.bulk import chunks, write
from loa.broadcast.store.paging import Page, paged
from loa.broadcast.store.tables import enrolment
from loa.errors import NotFound
from loa.model import EndpointKind, id_text


def _enrolment(row: Row[Any]) -> Enrolment:
    values = dict(row._mapping)
    lat, lon = values.pop("lat"), values.pop("lon")
    position = None if lat is None else Position(lat, lon)
    return Enrolment(**{**values, "kind": EndpointKind(values["kind"]), "position": position})


def _values(value: Enrolment) -> dict[str, Any]:
    return {
        "id": value.id,
        "code_id": value.code_id,
        "key": value.key,
        "area_id": value.area_id,
        "kind": str(value.kind),
        "name": value.name,
        "created_ms": value.created_ms,
        "expires_ms": value.expires_ms,
        "wrong_claims": value.wrong_claims,
        "claimed_by_key": value.claimed_by_key,
        "endpoint_id": value.endpoint_id,
        "lat": value.position and value.position.lat,
        "lon": value.position and value.position.lon,
    }


async def insert(connection: AsyncConnection, *new: Enrolment) -> None:
    """Write new codes down."""
    await write(connection, enrolment.insert(), [_values(each) for each in new])


async def used_code_ids(connection: AsyncConnection, code_ids: Collection[str]) -> set[str]:
    """Those of the code ids that an enrolment has already."""
    found: set[str] = set()
    for some in chunks(code_ids):
        query = select(enrolment.c.code_id).where(enrolment.c.code_id.in_(some))
        found |= set((await connection.execute(query)).scalars())
    return found


async def waiting(connection: AsyncConnection, area_ids: Iterable[bytes]) -> list[Enrolment]:
    """The enrolments for these areas that no device has claimed, expired ones too; the first made first."""
    found: list[Enrolment] = []
    for some in chunks(area_ids):
        query = select(enrolment).where(enrolment.c.area_id.in_(some), enrolment.c.endpoint_id.is_(None))
        found += [_enrolment(row) for row in await connection.execute(query)]
    return sorted(found, key=lambda each: each.id)


async def get(connection: AsyncConnection, enrolment_id: bytes) -> Enrolment:
    """The enrolment; NotFound."""
    row = (await connection.execute(select(enrolment).where(enrolment.c.id == enrolment_id))).one_or_none()
    if row is None:
        raise NotFound(f"no enrolment {id_text(enrolment_id)}")
    return _enrolment(row)


async def by_code(connection: AsyncConnection, code_id: str) -> Enrolment | None:
    """The enrolment that a code id names."""
    row = (await connection.execute(select(enrolment).where(enrolment.c.code_id == code_id))).one_or_none()
    return None if row is None else _enrolment(row)


async def page(connection: AsyncConnection, page: Page, within: Collection[bytes] | None) -> list[Enrolment]:
    """A page of enrolments, only of these areas and those below them if any are given; BadCursor."""
    query = select(enrolment)
    if within is not None:
        query = query.where(enrolment.c.area_id.in_(select(below(within).c.id)))
    return [_enrolment(row) for row in await connection.execute(paged(query, enrolment, page))]


async def move(connection: AsyncConnection, moves: Mapping[bytes, bytes]) -> None:
    """The devices of these enrolments will stand in the areas they are mapped to."""
    if moves:
        rows = [{"of": enrolment_id, "to": area_id} for enrolment_id, area_id in moves.items()]
        update = enrolment.update().where(enrolment.c.id == bindparam("of"))
        await connection.execute(update.values(area_id=bindparam("to")), rows)


async def expire(connection: AsyncConnection, enrolment_ids: Iterable[bytes], now_ms: int) -> None:
    """The codes of these enrolments are good no longer."""
    for some in chunks(enrolment_ids):
        await connection.execute(enrolment.update().where(enrolment.c.id.in_(some)).values(expires_ms=now_ms - 1))


async def count_wrong(connection: AsyncConnection, enrolment_id: bytes) -> None:
    """Count one more wrong claim."""
    await connection.execute(
        enrolment.update().where(enrolment.c.id == enrolment_id).values(wrong_claims=enrolment.c.wrong_claims + 1)
    )


async def set_claimed(
    connection: AsyncConnection, enrolment_id: bytes, device_key: bytes, endpoint_id: bytes
) -> None:
    """The code has become an endpoint."""
    await connection.execute(
        enrolment.update()
        .where(enrolment.c.id == enrolment_id)
        .values(claimed_by_key=device_key, endpoint_id=endpoint_id)
    )


async def end_open(connection: AsyncConnection, now_ms: int) -> int:
    """From `now_ms` on no code that has not been used is good any more; how many still were."""
    done = await connection.execute(
        enrolment.update()
        .where(enrolment.c.endpoint_id.is_(None), enrolment.c.expires_ms >= now_ms)
        .values(expires_ms=now_ms - 1)
    )
    return done.rowcount


async def forget(connection: AsyncConnection, before_ms: int, most: int) -> int:
    """Forget codes, used or not, that were no longer valid before then, at most so many; how many."""
    old = select(enrolment.c.id).where(enrolment.c.expires_ms < before_ms)
    old = old.order_by(enrolment.c.expires_ms).limit(most)
    return (await connection.execute(delete(enrolment).where(enrolment.c.id.in_(old)))).rowcount
