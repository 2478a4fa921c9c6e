"""Multicast groups of areas in the store. Each function works in the caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.records import AreaGroup, GroupKind
from loa.broadcast.store.database import upsert
from loa.broadcast.store.tables import area, area_group


def _record(row: Row[Any]) -> AreaGroup:
    return AreaGroup(
        row.area_id, GroupKind(row.kind), row.host, row.port, row.ttl, row.interface, row.loop, row.source
    )


async def find(connection: AsyncConnection, area_id: bytes, kind: GroupKind) -> AreaGroup | None:
    """The area's own group of this kind."""
    query = select(area_group).where(area_group.c.area_id == area_id, area_group.c.kind == kind)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _record(row)


async def holder(connection: AsyncConnection, host: str, port: int) -> AreaGroup | None:
    """Whose this group is."""
    query = select(area_group).where(area_group.c.host == host, area_group.c.port == port)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _record(row)


async def of_open_areas(connection: AsyncConnection, kind: GroupKind) -> list[AreaGroup]:
    """All groups of this kind of areas that are open."""
    query = (
        select(area_group)
        .join(area, area.c.id == area_group.c.area_id)
        .where(area_group.c.kind == kind, area.c.valid_until_ms.is_(None))
        .order_by(area_group.c.area_id)
    )
    return [_record(row) for row in await connection.execute(query)]


async def save(connection: AsyncConnection, group: AreaGroup) -> None:
    """Write a group down in place of the area's earlier one of its kind; Conflict when it is another's."""
    row = {
        "area_id": group.area_id,
        "kind": group.kind,
        "host": group.host,
        "port": group.port,
        "ttl": group.ttl,
        "interface": group.interface,
        "loop": group.loop,
        "source": group.source,
    }
    await upsert(connection, area_group, [row], key=["area_id", "kind"])


async def delete(connection: AsyncConnection, area_id: bytes, kind: GroupKind) -> None:
    """Forget the area's group of this kind."""
    await connection.execute(area_group.delete().where(area_group.c.area_id == area_id, area_group.c.kind == kind))
