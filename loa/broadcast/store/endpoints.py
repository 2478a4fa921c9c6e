"""Endpoints in the store. Each function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.records import Endpoint
from loa.broadcast.store.areas import below
from loa.broadcast.store.paging import Page, paged
from loa.broadcast.store.tables import endpoint
from loa.errors import NotFound
from loa.model import EndpointKind, id_text

_IN_ONE_QUERY = 5_000


def _endpoint(row: Row[Any]) -> Endpoint:
    values = dict(row._mapping)
    return Endpoint(**{**values, "kind": EndpointKind(values["kind"])})


async def insert(connection: AsyncConnection, new: Endpoint) -> None:
    """Write a new endpoint down."""
    await connection.execute(
        endpoint.insert().values(
            id=new.id,
            kind=str(new.kind),
            name=new.name,
            area_id=new.area_id,
            device_key=new.device_key,
            enrolled_ms=new.enrolled_ms,
            revoked_ms=new.revoked_ms,
            placement_serial=new.placement_serial,
        )
    )


async def get(connection: AsyncConnection, endpoint_id: bytes) -> Endpoint:
    """The endpoint; NotFound."""
    row = (await connection.execute(select(endpoint).where(endpoint.c.id == endpoint_id))).one_or_none()
    if row is None:
        raise NotFound(f"no endpoint {id_text(endpoint_id)}")
    return _endpoint(row)


@dataclass(frozen=True, slots=True)
class EndpointFilter:
    """Which endpoints; what is None does not matter. `within`: in these areas, or below them."""

    within: frozenset[bytes] | None = None
    kind: EndpointKind | None = None
    revoked: bool | None = None


async def page(connection: AsyncConnection, page: Page, only: EndpointFilter) -> list[Endpoint]:
    """A page of endpoints; BadCursor."""
    query = select(endpoint)
    if only.within is not None:
        query = query.where(endpoint.c.area_id.in_(select(below(only.within).c.id)))
    if only.kind is not None:
        query = query.where(endpoint.c.kind == str(only.kind))
    if only.revoked is not None:
        revoked = endpoint.c.revoked_ms
        query = query.where(revoked.is_not(None) if only.revoked else revoked.is_(None))
    return [_endpoint(row) for row in await connection.execute(paged(query, endpoint, page))]


async def in_areas(connection: AsyncConnection, areas: Iterable[bytes]) -> list[Endpoint]:
    """All endpoints that stand directly in one of `areas`, revoked ones too."""
    found: list[Endpoint] = []
    for some in _chunks(areas):
        rows = await connection.execute(select(endpoint).where(endpoint.c.area_id.in_(some)))
        found += [_endpoint(row) for row in rows]
    return found


async def named(connection: AsyncConnection, endpoint_ids: Iterable[bytes]) -> list[Endpoint]:
    """Those of the ids that are endpoints, revoked ones too."""
    found: list[Endpoint] = []
    for some in _chunks(endpoint_ids):
        rows = await connection.execute(select(endpoint).where(endpoint.c.id.in_(some)))
        found += [_endpoint(row) for row in rows]
    return found


async def areas_of(connection: AsyncConnection, endpoint_ids: Iterable[bytes]) -> dict[bytes, bytes]:
    """The area that each of these endpoints stands in directly. Unknown ids give nothing."""
    found: dict[bytes, bytes] = {}
    for some in _chunks(endpoint_ids):
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
    """Mark an endpoint as revoked; the first time stays."""
    await connection.execute(
        endpoint.update()
        .where(endpoint.c.id == endpoint_id, endpoint.c.revoked_ms.is_(None))
        .values(revoked_ms=now_ms)
    )


def _chunks(ids: Iterable[bytes]) -> list[list[bytes]]:
    """The ids without repetition, in lists that fit one query's parameters."""
    every = sorted(set(ids))
    return [every[at : at + _IN_ONE_QUERY] for at in range(0, len(every), _IN_ONE_QUERY)]
