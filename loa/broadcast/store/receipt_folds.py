"""Old receipts in numbers, by area. Each function works in the caller's transaction.

A broadcast is folded some endpoints at a time, each with all that it has answered, so that what is left in rows and
what is in figures make the whole at any time. From its first step on no receipt is taken for it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, and_, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.records import FoldedReceipts, ReceiptRow
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store.broadcasts import UNFINISHED
from loa.broadcast.store.database import upsert
from loa.broadcast.store.nearby import within
from loa.broadcast.store.receipts import receipt_of
from loa.broadcast.store.tables import broadcast, broadcast_fold, order_, receipt, receipt_fold
from loa.codecs.order_wire import Action
from loa.model import ID_BYTES, ReceiptState

NOWHERE = bytes(ID_BYTES)
"""The area of endpoints of which no area is known."""
_SUMS = ("played", "repaired", "recovered", "concealed", "unsigned")


async def due(connection: AsyncConnection, before_ms: int, after_id: bytes, most: int) -> list[bytes]:
    """Broadcasts from before then that have ended and are not folded yet, in the order of their ids."""
    query = select(broadcast.c.id).where(
        broadcast.c.id > after_id,
        broadcast.c.folded_ms.is_(None),
        broadcast.c.created_ms < before_ms,
        broadcast.c.state.not_in([str(state) for state in UNFINISHED]),
    )
    return list((await connection.execute(query.order_by(broadcast.c.id).limit(most))).scalars())


async def folding(connection: AsyncConnection, order_ids: Collection[bytes]) -> set[bytes]:
    """Those of the orders whose receipts are folded, or are being folded."""
    query = (
        select(order_.c.order_id)
        .join(broadcast, broadcast.c.id == order_.c.broadcast_id)
        .where(order_.c.order_id.in_(list(order_ids)), broadcast.c.folding_ms.is_not(None))
    )
    return set((await connection.execute(query)).scalars())


async def fold(connection: AsyncConnection, broadcast_id: bytes, now_ms: int, endpoints: int) -> tuple[int, bool]:
    """Fold what so many endpoints have answered; how many receipts that were, and whether all are folded now."""
    begun = broadcast.update().where(broadcast.c.id == broadcast_id, broadcast.c.folding_ms.is_(None))
    await connection.execute(begun.values(folding_ms=now_ms))
    orders = select(order_.c.order_id).where(order_.c.broadcast_id == broadcast_id)
    query = select(receipt.c.endpoint_id).distinct().where(receipt.c.order_id.in_(orders))
    query = query.order_by(receipt.c.endpoint_id).limit(endpoints)
    some = list((await connection.execute(query)).scalars())
    rows: list[ReceiptRow] = []
    if some:
        of_some = and_(receipt.c.order_id.in_(orders), receipt.c.endpoint_id.in_(some))
        rows = [receipt_of(row) for row in await connection.execute(select(receipt).where(of_some))]
        await _add(connection, broadcast_id, rows)
        await connection.execute(delete(receipt).where(of_some))
    whole = len(some) < endpoints
    if whole:
        ended = broadcast.update().where(broadcast.c.id == broadcast_id)
        await connection.execute(ended.values(folded_ms=now_ms))
    return len(rows), whole


async def _add(connection: AsyncConnection, broadcast_id: bytes, rows: Sequence[ReceiptRow]) -> None:
    area_of = await stored_endpoints.areas_of(connection, (row.endpoint_id for row in rows))
    figures: defaultdict[tuple[bytes, bytes, int], Counter[str]] = defaultdict(Counter)
    for row in rows:
        counted = figures[row.order_id, area_of.get(row.endpoint_id, NOWHERE), int(row.state)]
        counted["endpoints"] += 1
        counted.update({name: getattr(row, name) or 0 for name in _SUMS})
    await _accumulate(connection, receipt_fold, ("order_id", "area_id", "state"), ("endpoints", *_SUMS), figures)
    tunes = select(order_.c.order_id).where(
        order_.c.broadcast_id == broadcast_id, order_.c.action == int(Action.TUNE)
    )
    tuned = set((await connection.execute(tunes)).scalars())
    highest: dict[bytes, int] = {}
    for row in rows:
        if row.order_id in tuned:
            highest[row.endpoint_id] = max(highest.get(row.endpoint_id, 0), int(row.state))
    reached: defaultdict[tuple[bytes, bytes, int], Counter[str]] = defaultdict(Counter)
    for endpoint_id, state in highest.items():
        reached[broadcast_id, area_of.get(endpoint_id, NOWHERE), state]["endpoints"] += 1
    await _accumulate(connection, broadcast_fold, ("broadcast_id", "area_id", "state"), ("endpoints",), reached)


async def _accumulate(
    connection: AsyncConnection,
    table: Table,
    key: tuple[str, str, str],
    values: Iterable[str],
    figures: Mapping[tuple[bytes, bytes, int], Mapping[str, int]],
) -> None:
    """Add figures to those that are there. Nobody else writes meanwhile."""
    first = table.c[key[0]]
    before: dict[tuple[bytes, bytes, int], Any] = {}
    for row in await connection.execute(select(table).where(first.in_({each[0] for each in figures}))):
        before[row._mapping[key[0]], row._mapping[key[1]], row._mapping[key[2]]] = row._mapping
    summed = []
    for at, counted in figures.items():
        there = before.get(at, {})
        sums = {name: counted.get(name, 0) + there.get(name, 0) for name in values}
        summed.append({**dict(zip(key, at, strict=True)), **sums})
    await upsert(connection, table, summed, key=key)


async def summary(connection: AsyncConnection, broadcast_id: bytes) -> dict[ReceiptState, int]:
    """How many endpoints had come how far with a broadcast, of those that are folded."""
    query = (
        select(broadcast_fold.c.state, func.sum(broadcast_fold.c.endpoints))
        .where(broadcast_fold.c.broadcast_id == broadcast_id)
        .group_by(broadcast_fold.c.state)
    )
    return {ReceiptState(state): int(count) for state, count in await connection.execute(query)}


async def of_broadcast(
    connection: AsyncConnection, broadcast_id: bytes, areas: Collection[bytes] | None
) -> list[FoldedReceipts]:
    """The figures of a broadcast's orders by state, of these areas and those below them (None: of all)."""
    columns = [receipt_fold.c[name] for name in ("endpoints", *_SUMS)]
    query = (
        select(
            receipt_fold.c.order_id, receipt_fold.c.state, *(func.sum(each).label(each.name) for each in columns)
        )
        .join(order_, order_.c.order_id == receipt_fold.c.order_id)
        .where(order_.c.broadcast_id == broadcast_id)
        .group_by(receipt_fold.c.order_id, receipt_fold.c.state)
        .order_by(receipt_fold.c.order_id, receipt_fold.c.state)
    )
    if areas is not None:
        query = query.where(within(receipt_fold.c.area_id, areas, "seen"))
    found = []
    for row in await connection.execute(query):
        sums = {each.name: int(row._mapping[each.name]) for each in columns}
        found.append(FoldedReceipts(row.order_id, ReceiptState(row.state), **sums))
    return found
