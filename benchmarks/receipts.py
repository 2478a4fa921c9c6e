"""What 10,000 endpoints answer to one order, made durable, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from pathlib import Path

import uvloop

from benchmarks import Figure
from loa.broadcast.orders.book import OrderBook
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.receipts import Receipts
from loa.broadcast.records import Area, Endpoint
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.database import Database
from loa.codecs.link_wire import Receipt, Result
from loa.model import EndpointKind, ReceiptState
from tests.broadcast.orders.standing import NOW_MS, a_broadcast, a_tune
from tests.postgres import postgres_server

ENDPOINTS = 10_000
AREA = b"a" * 16
RESULT = Result(played=150, repaired=1, recovered=0, concealed=0, unsigned=0, reason="end")
STEPS = (
    (ReceiptState.RECEIVED, ReceiptState.ACCEPTED),
    (ReceiptState.STARTED,),
    (ReceiptState.FINISHED,),
)
"""Each a message of its own."""


def measure() -> list[Figure]:
    """Three messages with four receipts of each endpoint, all at once for each step."""
    with tempfile.TemporaryDirectory() as folder, postgres_server(durable=True) as server:
        urls = {"SQLite": sqlite_address(Path(folder) / "loa.db"), "PostgreSQL": server.url("postgres")}
        return [
            figure
            for name, url in urls.items()
            for figure in uvloop.run(_measure(name, url, Path(folder) / f"keys-{name}"))
        ]


async def _measure(name: str, url: str, keys: Path) -> list[Figure]:
    db = await Database.open(url)
    try:
        order_id = await _order(db, KeyRing.open(keys, NOW_MS // 1000))
        receipts = Receipts(db)
        began, began_cpu = time.perf_counter(), _cpu_s()
        for states in STEPS:
            await asyncio.gather(
                *(
                    receipts.record(_endpoint(n), [_receipt(order_id, state) for state in states], NOW_MS)
                    for n in range(ENDPOINTS)
                )
            )
        took, cpu = time.perf_counter() - began, _cpu_s() - began_cpu
    finally:
        await db.close()
    stored = receipts.counters["stored"]
    note = f"{stored:,} of {ENDPOINTS:,} endpoints in {receipts.counters['commits']} commits"
    return [
        Figure(f"{name}, receipts", stored / took, "/s", note),
        Figure(f"{name}, processor for each receipt", cpu / stored * 1e6, "µs", "of the process that stores them"),
    ]


async def _order(db: Database, keyring: KeyRing) -> bytes:
    async with db.write(alone=True) as connection:
        await stored_areas.insert(connection, Area(AREA, None, "An Biên", "commune", None, NOW_MS))
        for n in range(ENDPOINTS):
            new = Endpoint(_endpoint(n), EndpointKind.SPEAKER, "Loa", AREA, b"k" * 32, NOW_MS, None, 1)
            await stored_endpoints.insert(connection, new)
    broadcast = await a_broadcast(db)
    issued = await OrderBook(db, keyring).issue(
        a_tune(broadcast.id), [AREA], [], NOW_MS, NOW_MS + 60_000, broadcast.id
    )
    return issued.order_id


def _endpoint(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _receipt(order_id: bytes, state: ReceiptState) -> Receipt:
    started = state is ReceiptState.STARTED
    return Receipt(
        order_id,
        state,
        NOW_MS + 7,
        presented_ns=123 if started else 0,
        index=4 if started else 0,
        error_ns=55 if started else 0,
        result=RESULT if state is ReceiptState.FINISHED else None,
    )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
