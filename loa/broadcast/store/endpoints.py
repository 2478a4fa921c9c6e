"""Endpoints in the store as they are now. Each function works in the caller's transaction.

Where they stood before is in store/endpoint_places.py; whoever moves an endpoint here leaves its history there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.geometry import Position
from loa.broadcast.names import fold
from loa.broadcast.records import Endpoint
from loa.broadcast.store import endpoint_places
from loa.broadcast.store.areas import below
from loa.broadcast.store.bulk import chunks
from loa.broadcast.store.paging import Page, paged
from loa.broadcast.store.tables import endpoint
from loa.errors import NotFound
from loa.model import EndpointKind, id_text


@dataclass(frozen=True, slots=True)
class EndpointFilter:
    """Which endpoints; what is None does not matter. `q` is part of a name, folded or not."""

    q: str | None = None
    kind: EndpointKind | None = None
    revoked: bool | None = None
    placed: bool | None = None
    """Whether its position is known."""
    within: frozenset[bytes] | None = None
    """In these areas or below them."""
    area_id: bytes | None = None
    """In this area or below it, and `within` too."""


def _endpoint(row: Row[Any]) -> Endpoint:
    values = dict(row._mapping)
    lat, lon = values.pop("lat"), values.pop("lon")
    del values["folded"]
    position = None if lat is None else Position(lat, lon)
    return Endpoint(**{**values, "kind": EndpointKind(values["kind"]), "position": position})


async def insert(connection: AsyncConnection, new: Endpoint) -> None:
    """Write a new endpoint down; it stands in its area from its enrolment on."""
    await connection.execute(
        endpoint.insert().values(
            id=new.id,
            kind=str(new.kind),
            area_id=new.area_id,
            device_key=new.device_key,
            enrolled_ms=new.enrolled_ms,
            revoked_ms=new.revoked_ms,
            placement_serial=new.placement_serial,
            version=new.version,
            **_described(new),
        )
    )
    await endpoint_places.begin(connection, new)


def _described(value: Endpoint) -> dict[str, Any]:
    return {
        "name": value.name,
        "folded": value.folded,
        "lat": value.position and value.position.lat,
        "lon": value.position and value.position.lon,
        "note": value.note,
    }


async def describe(connection: AsyncConnection, *changed: Endpoint) -> None:
    """Overwrite what people say of endpoints: name, position, note."""
    if changed:
        update = endpoint.update().where(endpoint.c.id == bindparam("of"))
        names = ("version", *_described(changed[0]))
        rows = [
            {
                "of": each.id,
                "new_version": each.version,
                **{f"new_{name}": value for name, value in _described(each).items()},
            }
            for each in changed
        ]
        await connection.execute(update.values({name: bindparam(f"new_{name}") for name in names}), rows)


async def move(connection: AsyncConnection, moves: Mapping[bytes, bytes], at_ms: int) -> None:
    """From `at_ms` on, each of these endpoints stands in the area it is mapped to. They need a new placement."""
    if not moves:
        return
    rows = [{"of": endpoint_id, "to": area_id} for endpoint_id, area_id in moves.items()]
    update = endpoint.update().where(endpoint.c.id == bindparam("of"))
    await connection.execute(
        update.values(
            area_id=bindparam("to"),
            placement_serial=endpoint.c.placement_serial + 1,
            version=endpoint.c.version + 1,
        ),
        rows,
    )
    await endpoint_places.go_on(connection, moves, at_ms)


async def replace(connection: AsyncConnection, endpoint_ids: Iterable[bytes]) -> None:
    """These endpoints stand where they stood, but what is above has changed: they need a new placement."""
    for some in chunks(endpoint_ids):
        await connection.execute(
            endpoint.update()
            .where(endpoint.c.id.in_(some))
            .values(placement_serial=endpoint.c.placement_serial + 1)
        )


async def get(connection: AsyncConnection, endpoint_id: bytes) -> Endpoint:
    """The endpoint; NotFound."""
    row = (await connection.execute(select(endpoint).where(endpoint.c.id == endpoint_id))).one_or_none()
    if row is None:
        raise NotFound(f"no endpoint {id_text(endpoint_id)}")
    return _endpoint(row)


async def page(connection: AsyncConnection, page: Page, only: EndpointFilter) -> list[Endpoint]:
    """A page of endpoints; BadCursor."""
    query = select(endpoint)
    if only.q is not None:
        query = query.where(endpoint.c.folded.contains(fold(only.q), autoescape=True))
    if only.kind is not None:
        query = query.where(endpoint.c.kind == str(only.kind))
    for wanted, column in ((only.revoked, endpoint.c.revoked_ms), (only.placed, endpoint.c.lat)):
        if wanted is not None:
            query = query.where(column.is_not(None) if wanted else column.is_(None))
    if only.within is not None:
        query = query.where(endpoint.c.area_id.in_(select(below(only.within).c.id)))
    if only.area_id is not None:
        query = query.where(endpoint.c.area_id.in_(select(below([only.area_id], "asked").c.id)))
    return [_endpoint(row) for row in await connection.execute(paged(query, endpoint, page))]


async def in_areas(connection: AsyncConnection, areas: Iterable[bytes]) -> list[Endpoint]:
    """All endpoints that stand directly in one of `areas`, revoked ones too."""
    found: list[Endpoint] = []
    for some in chunks(areas):
        rows = await connection.execute(select(endpoint).where(endpoint.c.area_id.in_(some)))
        found += [_endpoint(row) for row in rows]
    return found


async def named(connection: AsyncConnection, endpoint_ids: Iterable[bytes]) -> list[Endpoint]:
    """Those of the ids that are endpoints, revoked ones too."""
    found: list[Endpoint] = []
    for some in chunks(endpoint_ids):
        rows = await connection.execute(select(endpoint).where(endpoint.c.id.in_(some)))
        found += [_endpoint(row) for row in rows]
    return found


async def areas_of(connection: AsyncConnection, endpoint_ids: Iterable[bytes]) -> dict[bytes, bytes]:
    """The area that each of these endpoints stands in directly. Unknown ids give nothing."""
    found: dict[bytes, bytes] = {}
    for some in chunks(endpoint_ids):
        rows = await connection.execute(select(endpoint.c.id, endpoint.c.area_id).where(endpoint.c.id.in_(some)))
        found.update((row.id, row.area_id) for row in rows)
    return found


async def count(connection: AsyncConnection) -> int:
    """How many are enrolled and not revoked."""
    query = select(func.count()).select_from(endpoint).where(endpoint.c.revoked_ms.is_(None))
    return int((await connection.execute(query)).scalar_one())


async def enrolled_until(connection: AsyncConnection, until_ms: int) -> list[Endpoint]:
    """All endpoints that were enrolled up to then and are not revoked, in the order of their ids."""
    query = select(endpoint).where(endpoint.c.revoked_ms.is_(None), endpoint.c.enrolled_ms <= until_ms)
    return [_endpoint(row) for row in await connection.execute(query.order_by(endpoint.c.id))]


async def set_revoked(connection: AsyncConnection, endpoint_id: bytes, now_ms: int) -> None:
    """Mark an endpoint as revoked: it stands nowhere from now on. The first time stays."""
    await connection.execute(
        endpoint.update()
        .where(endpoint.c.id == endpoint_id, endpoint.c.revoked_ms.is_(None))
        .values(revoked_ms=now_ms, version=endpoint.c.version + 1)
    )
    await endpoint_places.end(connection, endpoint_id, now_ms)


async def raise_serials(connection: AsyncConnection, by: int) -> None:
    """Give every placement a serial that is higher by so much than any that a device may hold."""
    await connection.execute(endpoint.update().values(placement_serial=endpoint.c.placement_serial + by))
