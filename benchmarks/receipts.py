"""What 10,000 endpoints answer to one order, made durable, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

import uvloop

from benchmarks import Figure
from benchmarks.processor import cpu_s
from loa.broadcast.orders.book import OrderBook
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.receipts import Receipts
from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.database import Database
from loa.model import ReceiptState
from tests.broadcast.orders.standing import NOW_MS, a_broadcast, a_receipt, a_tune, an_endpoint_id, stand
from tests.postgres import postgres_server

ENDPOINTS = 10_000
AREA = b"a" * 16
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
        began, began_cpu = time.perf_counter(), cpu_s(os.getpid())
        for states in STEPS:
            await asyncio.gather(
                *(
                    receipts.record(an_endpoint_id(n), [a_receipt(order_id, state) for state in states], NOW_MS)
                    for n in range(ENDPOINTS)
                )
            )
        took, cpu = time.perf_counter() - began, cpu_s(os.getpid()) - began_cpu
    finally:
        await db.close()
    stored = receipts.counters["stored"]
    note = f"{stored:,} of {ENDPOINTS:,} endpoints in {receipts.counters['commits']} commits"
    return [
        Figure(f"{name}, receipts", stored / took, "/s", note),
        Figure(f"{name}, processor for each receipt", cpu / stored * 1e6, "µs", "of the process that stores them"),
    ]


async def _order(db: Database, keyring: KeyRing) -> bytes:
    await stand(db, AREA, map(an_endpoint_id, range(ENDPOINTS)))
    broadcast = await a_broadcast(db)
    issued = await OrderBook(db, keyring).issue(
        a_tune(broadcast.id), [AREA], [], NOW_MS, NOW_MS + 60_000, broadcast.id
    )
    return issued.order_id
