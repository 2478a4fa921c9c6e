"""How many changes a second are durable: `loa.broadcast.store` on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from benchmarks import Figure
from loa.broadcast.journal import journal
from loa.broadcast.journal.act import system
from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.database import Database, upsert
from loa.broadcast.store.tables import order_sequence
from tests.postgres import postgres_server

WRITERS = (1, 10, 50)
SECONDS = 2.0
TURNS = 3

Change = Callable[[Database, bytes], Awaitable[None]]


def measure() -> list[Figure]:
    """The median of a few turns for each database, kind of change and number of writers at once."""
    with tempfile.TemporaryDirectory() as folder, postgres_server(durable=True) as server:
        urls = {"SQLite": sqlite_address(Path(folder) / "loa.db"), "PostgreSQL": server.url("postgres")}
        return [figure for name, url in urls.items() for figure in uvloop.run(_measure(name, url))]


async def _measure(name: str, url: str) -> list[Figure]:
    figures = []
    async with _open(url) as db:
        for what, change in (("one statement", _one_statement), ("an audited change", _audited)):
            for writers in WRITERS:
                turns = sorted([await _turn(db, change, writers) for _ in range(TURNS)])
                note = f"median of {TURNS} turns of {SECONDS:g} s"
                figures.append(Figure(f"{name}, {what}, {writers} writers", turns[TURNS // 2], "/s", note))
    return figures


@asynccontextmanager
async def _open(url: str) -> AsyncIterator[Database]:
    db = await Database.open(url)
    yield db
    await db.close()


async def _one_statement(db: Database, who: bytes) -> None:
    async with db.write() as connection:
        await upsert(connection, order_sequence, [{"signer": who, "last_seq": 1}], key=["signer"])


async def _audited(db: Database, who: bytes) -> None:
    async with db.write() as connection:
        await journal.record(connection, system(0), "area.rename", f"area:{who.hex()}", after={"name": "Xã"})


async def _turn(db: Database, change: Change, writers: int) -> float:
    done = 0
    ends = time.perf_counter() + SECONDS

    async def write(number: int) -> None:
        nonlocal done
        while time.perf_counter() < ends:
            await change(db, number.to_bytes(8, "big"))
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(write(number) for number in range(writers)))
    return done / (time.perf_counter() - began)
