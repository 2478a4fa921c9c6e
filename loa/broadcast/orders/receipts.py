"""Receipts, written down in groups: many endpoints answer at once, and one commit serves them all."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.orders.targets import OrderTargets, Targets, places, places_since
from loa.broadcast.records import FoldedReceipts, ReceiptRow
from loa.broadcast.store import receipt_folds as stored_folds
from loa.broadcast.store import receipts as stored
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import FIRST, Page
from loa.broadcast.store.receipts import ReceiptKey
from loa.codecs.link_wire import Receipt
from loa.errors import StoreError
from loa.model import ReceiptState

GROUP_WAIT_S = 0.02
GROUP_RECEIPTS = 500
MAX_AHEAD_MS = 86_400_000
"""A receipt from further in the future carries no time that can be believed."""
_MOST = (1 << 63) - 1

Ack = tuple[bytes, int]
"""Order id and state."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """One caller's receipts, and where it waits."""

    endpoint_id: bytes
    receipts: Sequence[Receipt]
    now_ms: int
    done: asyncio.Future[list[Ack]]


class Receipts:
    """Records receipts. What waits is bounded by its callers: each waits for its own batch of receipts.

    `counters`: received, stored (receipts that changed a row), unknown_order, not_meant, too_late, commits.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._targets = OrderTargets()
        self._waiting: deque[_Waiting] = deque()
        self._count = 0  # of the receipts that wait
        self._full = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self.counters: Counter[str] = Counter()

    async def record(self, endpoint_id: bytes, receipts: Sequence[Receipt], now_ms: int) -> list[Ack]:
        """Write an endpoint's receipts down; what may be acknowledged, once it is durable.

        A state never goes down. A receipt for an order that nobody issued, that does not mean this endpoint, or
        whose receipts have become figures, is acknowledged, so that it is not sent again, but not stored.
        StoreError when they could not be stored: nothing is to be acknowledged.
        """
        if self._closed:
            raise StoreError("receipts are closed")
        if not receipts:
            return []
        done: asyncio.Future[list[Ack]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(endpoint_id, receipts, now_ms, done))
        self._count += len(receipts)
        if self._count >= GROUP_RECEIPTS:
            self._full.set()
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_groups())
        return await done

    async def _write_groups(self) -> None:
        try:
            while self._waiting:
                await self._wait_for_more()
                group = self._take_group()
                try:
                    await self._write(group)
                except Exception as error:
                    # Whatever went wrong belongs to those who wait; the next group is tried all the same.
                    for waiting in group:
                        if not waiting.done.done():
                            waiting.done.set_exception(error)
                    continue
                for waiting in group:
                    if not waiting.done.done():
                        waiting.done.set_result([(r.order_id, int(r.state)) for r in waiting.receipts])
        finally:
            self._writer = None

    async def _wait_for_more(self) -> None:
        if self._count < GROUP_RECEIPTS and not self._closed:
            self._full.clear()
            try:
                async with asyncio.timeout(GROUP_WAIT_S):
                    await self._full.wait()
            except TimeoutError:
                return

    def _take_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        count = 0
        while self._waiting and count < GROUP_RECEIPTS:
            group.append(self._waiting.popleft())
            count += len(group[-1].receipts)
        self._count -= count
        return group

    async def _write(self, group: list[_Waiting]) -> None:
        async with self._db.write() as connection:
            targets = await self._targets.of(connection, {r.order_id for w in group for r in w.receipts})
            late = await stored_folds.folding(connection, targets)
            targets = {order_id: meant for order_id, meant in targets.items() if order_id not in late}
            place = await places(connection, {w.endpoint_id for w in group}) if targets else {}
            asked = {(r.order_id, w.endpoint_id) for w in group for r in w.receipts if r.order_id in targets}
            keys = {key for key in asked if targets[key[0]].mean(key[1], place.get(key[1], ()))}
            keys |= await _meant_before(connection, asked - keys, targets)
            before = await stored.load(connection, keys)
            after = dict(before)
            tally: Counter[str] = Counter(commits=1)
            for waiting in group:
                for receipt in waiting.receipts:
                    tally["received"] += 1
                    key: ReceiptKey = (receipt.order_id, waiting.endpoint_id)
                    if key not in keys:
                        tally[_unstored(receipt.order_id, targets, late)] += 1
                        continue
                    row = merged(after.get(key), waiting.endpoint_id, receipt, waiting.now_ms)
                    if row != after.get(key):
                        tally["stored"] += 1
                        after[key] = row
            await stored.save(connection, [row for key, row in after.items() if row != before.get(key)])
        self.counters.update(tally)

    async def for_broadcast(
        self,
        broadcast_id: bytes,
        page: Page = FIRST,
        state: ReceiptState | None = None,
        areas: Collection[bytes] | None = None,
    ) -> list[ReceiptRow]:
        """A page of the rows of all orders of the broadcast, by order and endpoint; BadCursor.

        Of endpoints in these areas and below them if any are given. What is folded is in `folded`.
        """
        async with self._db.read() as connection:
            return await stored.page(connection, broadcast_id, page, state, areas)

    async def folded(self, broadcast_id: bytes, areas: Collection[bytes] | None = None) -> list[FoldedReceipts]:
        """What was too old to be kept one by one, in numbers."""
        async with self._db.read() as connection:
            return await stored_folds.of_broadcast(connection, broadcast_id, areas)

    async def summary(self, broadcast_id: bytes) -> dict[ReceiptState, int]:
        """How many endpoints have come how far with the broadcast: each is counted once, at its highest state."""
        async with self._db.read() as connection:
            rows = Counter(await stored.summary(connection, broadcast_id))
            rows.update(await stored_folds.summary(connection, broadcast_id))
        return dict(rows)

    async def close(self) -> None:
        """Write what waits, and take no more."""
        self._closed = True
        self._full.set()
        if self._writer is not None:
            await self._writer


async def _meant_before(
    connection: AsyncConnection, asked: Collection[ReceiptKey], targets: Mapping[bytes, Targets]
) -> set[ReceiptKey]:
    """Those whom the order meant where they stood then: they have moved, or their area has become another."""
    found: set[ReceiptKey] = set()
    for order_id in {order_id for order_id, _ in asked}:
        keys = [key for key in asked if key[0] == order_id]
        place = await places_since(
            connection, {endpoint_id for _, endpoint_id in keys}, targets[order_id].issued_ms
        )
        found |= {key for key in keys if targets[order_id].mean(key[1], place.get(key[1], ()))}
    return found


def _unstored(order_id: bytes, targets: Collection[bytes], late: Collection[bytes]) -> str:
    """Why a receipt is acknowledged and not stored."""
    if order_id in late:
        return "too_late"
    return "not_meant" if order_id in targets else "unknown_order"


def merged(row: ReceiptRow | None, endpoint_id: bytes, receipt: Receipt, now_ms: int) -> ReceiptRow:
    """`row` with what `receipt` adds. What was said first of a state stays, and the state never goes down.

    `now_ms` stands in for a time that the endpoint did not know, or that lies more than MAX_AHEAD_MS ahead.

    Two exceptions tell the truth: accepted overrides refused, since anybody can make an endpoint refuse false bytes
    under an order's name; and a speaker that was switched off in the middle may take the broadcast up again, so a
    result overrides one that says shutdown.
    """
    if row is None:
        row = ReceiptRow(receipt.order_id, endpoint_id, receipt.state)
    at_ms = receipt.at_ms if 0 < receipt.at_ms <= now_ms + MAX_AHEAD_MS else now_ms
    if _height(receipt.state) > _height(row.state):
        row = replace(row, state=receipt.state)
    if receipt.state == ReceiptState.RECEIVED and row.received_ms is None:
        return replace(row, received_ms=at_ms)
    if receipt.state == ReceiptState.ACCEPTED and row.accepted_ms is None:
        return replace(row, accepted_ms=at_ms)
    if receipt.state == ReceiptState.REFUSED and row.refused_ms is None:
        return replace(row, refused_ms=at_ms, reason=_text(receipt.reason))
    if receipt.state == ReceiptState.STARTED and row.started_ms is None:
        return replace(
            row,
            started_ms=at_ms,
            presented_ns=receipt.presented_ns,
            index=receipt.index,
            error_ns=receipt.error_ns,
        )
    if receipt.state == ReceiptState.FINISHED and (row.finished_ms is None or row.result_reason == "shutdown"):
        row = replace(row, finished_ms=at_ms)
        if receipt.result is not None:
            row = _with_result(row, receipt)
    return row


def _height(state: ReceiptState) -> float:
    return 1.5 if state == ReceiptState.REFUSED else state


def _with_result(row: ReceiptRow, receipt: Receipt) -> ReceiptRow:
    result = receipt.result
    assert result is not None
    return replace(
        row,
        # The wire allows more than a column holds.
        played=min(result.played, _MOST),
        repaired=min(result.repaired, _MOST),
        recovered=min(result.recovered, _MOST),
        concealed=min(result.concealed, _MOST),
        unsigned=min(result.unsigned, _MOST),
        result_reason=_text(result.reason),
    )


def _text(said: str) -> str:
    """PostgreSQL holds no NUL in a text."""
    return said.replace("\0", "")
