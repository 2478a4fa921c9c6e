"""Something to write and to read in a store: numbers, counted up from what is there, and writers that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

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


class Held:
    """A writer that stays in its block until it is let go, so that others come to wait behind it."""

    def __init__(self, db: Database, signer: bytes = b"held    ") -> None:
        self.inside, self._go = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._write(db, signer))

    async def _write(self, db: Database, signer: bytes) -> None:
        async with db.write() as connection:
            await count_up(connection, signer)
            self.inside.set()
            await self._go.wait()

    async def __aenter__(self) -> Held:
        inside = asyncio.create_task(self.inside.wait())
        await asyncio.wait([inside, self.task], return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            await self.task
        await inside
        return self

    def let_go(self) -> None:
        """It leaves its block."""
        self._go.set()

    async def __aexit__(self, *_: object) -> None:
        self.let_go()
        await asyncio.gather(self.task, return_exceptions=True)


async def waiting(*writers: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """These as tasks that have come as far as to wait for their turn."""
    tasks = [asyncio.create_task(writer) for writer in writers]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks
