"""Something to write and to read in a store: numbers, counted up from what is there."""

from __future__ import annotations

import asyncio

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.store.database import Database, upsert
from loa.broadcast.store.tables import order_sequence

SIGNER = b"s" * 8


async def count_up(connection: AsyncConnection, signer: bytes = SIGNER) -> int:
    """One more than the number that is there, written over it. Others have time to come between."""
    query = select(order_sequence.c.last_seq).where(order_sequence.c.signer == signer)
    last = (await connection.execute(query)).scalar_one_or_none() or 0
    await asyncio.sleep(0)
    await upsert(connection, order_sequence, [{"signer": signer, "last_seq": last + 1}], key=["signer"])
    return last + 1


async def bump(db: Database, signer: bytes = SIGNER) -> int:
    """Count up in a transaction of its own."""
    async with db.write() as connection:
        return await count_up(connection, signer)


async def counts(db: Database) -> dict[bytes, int]:
    """All numbers that are there."""
    async with db.read() as connection:
        return {row.signer: row.last_seq for row in await connection.execute(select(order_sequence))}
