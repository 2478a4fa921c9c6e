"""Orders and their sequence numbers in the store. Each function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.records import StoredOrder
from loa.broadcast.store.broadcasts import UNFINISHED
from loa.broadcast.store.database import upsert
from loa.broadcast.store.tables import broadcast, order_, order_sequence


def _order(row: Row[Any]) -> StoredOrder:
    return StoredOrder(**row._mapping)


async def last_seq(connection: AsyncConnection, signer: bytes) -> int:
    """The highest sequence number this signer has used; 0 for none."""
    query = select(order_sequence.c.last_seq).where(order_sequence.c.signer == signer)
    return (await connection.execute(query)).scalar_one_or_none() or 0


async def set_last_seq(connection: AsyncConnection, signer: bytes, seq: int) -> None:
    """The signer has used `seq`."""
    await upsert(connection, order_sequence, [{"signer": signer, "last_seq": seq}], key=["signer"])


async def insert(connection: AsyncConnection, new: StoredOrder) -> None:
    """Write a new order down; Conflict when its broadcast does not exist."""
    await connection.execute(
        order_.insert().values(
            order_id=new.order_id,
            broadcast_id=new.broadcast_id,
            action=new.action,
            bundle=new.bundle,
            issued_ms=new.issued_ms,
            expires_ms=new.expires_ms,
        )
    )


async def bundles(connection: AsyncConnection, order_ids: Collection[bytes]) -> dict[bytes, bytes]:
    """The bundles of those of the ids that are orders."""
    query = select(order_.c.order_id, order_.c.bundle).where(order_.c.order_id.in_(order_ids))
    return {row.order_id: row.bundle for row in await connection.execute(query)}


async def of_broadcast(connection: AsyncConnection, broadcast_id: bytes) -> list[StoredOrder]:
    """All orders of a broadcast, the first issued first."""
    query = select(order_).where(order_.c.broadcast_id == broadcast_id)
    return [_order(row) for row in await connection.execute(query.order_by(order_.c.issued_ms, order_.c.order_id))]


async def unexpired_unfinished(connection: AsyncConnection, now_ms: int) -> list[StoredOrder]:
    """Orders that have not expired, of broadcasts that are preparing or on air; the first issued first."""
    query = (
        select(order_)
        .join(broadcast, broadcast.c.id == order_.c.broadcast_id)
        .where(order_.c.expires_ms >= now_ms, broadcast.c.state.in_([str(state) for state in UNFINISHED]))
        .order_by(order_.c.issued_ms, order_.c.order_id)
    )
    return [_order(row) for row in await connection.execute(query)]
