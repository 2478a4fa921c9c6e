"""Receipts, written down in groups: many endpoints answer at once, and one commit serves them all."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
GROUP_RECEIPTS = 1_000
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
    place: Collection[bytes]
    done: asyncio.Future[list[Ack]]


class Receipts:
    """Records receipts. What waits is bounded by its callers: each waits for its own batch of receipts.

    `counters`: received, stored (written, what says nothing new too), unknown_order, not_meant, too_late, commits.
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

    async def record(
        self, endpoint_id: bytes, receipts: Sequence[Receipt], now_ms: int, place: Collection[bytes] = ()
    ) -> list[Ack]:
        """Write an endpoint's receipts down; what may be acknowledged, once it is durable.

        `place`: the areas that it is known to stand in; the store is asked only about an order that means none.

        A state never goes down. A receipt for an order that nobody issued, that does not mean this endpoint, or
        whose receipts have become figures, is acknowledged, so that it is not sent again, but not stored.
        StoreError when they could not be stored: nothing is to be acknowledged.
        """
        if self._closed:
            raise StoreError("receipts are closed")
        if not receipts:
            return []
        done: asyncio.Future[list[Ack]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(endpoint_id, receipts, now_ms, place, done))
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
        said = {(waiting.endpoint_id, receipt): waiting for waiting in group for receipt in waiting.receipts}
        async with self._db.write(quiet=True) as connection:
            targets = await self._targets.of(connection, {receipt.order_id for _, receipt in said})
            late = await stored_folds.folding(connection, targets)
            targets = {order_id: meant for order_id, meant in targets.items() if order_id not in late}
            keys = await _meant(connection, said, targets)
            tally: Counter[str] = Counter(commits=1, received=sum(len(waiting.receipts) for waiting in group))
            steps: defaultdict[ReceiptState, list[dict[str, Any]]] = defaultdict(list)
            for (endpoint_id, receipt), waiting in said.items():
                if (receipt.order_id, endpoint_id) in keys:
                    steps[receipt.state].append(step(endpoint_id, receipt, waiting.now_ms))
                    tally["stored"] += 1
                else:
                    tally[_unstored(receipt.order_id, targets, late)] += 1
            for state in sorted(steps):
                await stored.add(connection, state, steps[state])
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


async def _meant(
    connection: AsyncConnection, said: Mapping[tuple[bytes, Receipt], _Waiting], targets: Mapping[bytes, Targets]
) -> set[ReceiptKey]:
    """Those orders and endpoints that belong together: where the endpoint is known to stand, where it stands, or
    where it stood when the order was issued (it has moved since, or its area has become another)."""
    keys: set[ReceiptKey] = set()
    unsure: set[ReceiptKey] = set()
    for (endpoint_id, receipt), waiting in said.items():
        if (meant := targets.get(receipt.order_id)) is not None:
            (keys if meant.mean(endpoint_id, waiting.place) else unsure).add((receipt.order_id, endpoint_id))
    if unsure:
        place = await places(connection, {endpoint_id for _, endpoint_id in unsure})
        keys |= {key for key in unsure if targets[key[0]].mean(key[1], place.get(key[1], ()))}
    for order_id in {order_id for order_id, _ in unsure - keys}:
        left = [key for key in unsure - keys if key[0] == order_id]
        place = await places_since(
            connection, {endpoint_id for _, endpoint_id in left}, targets[order_id].issued_ms
        )
        keys |= {key for key in left if targets[order_id].mean(key[1], place.get(key[1], ()))}
    return keys


def _unstored(order_id: bytes, targets: Collection[bytes], late: Collection[bytes]) -> str:
    """Why a receipt is acknowledged and not stored."""
    if order_id in late:
        return "too_late"
    return "not_meant" if order_id in targets else "unknown_order"


def step(endpoint_id: bytes, receipt: Receipt, now_ms: int) -> dict[str, Any]:
    """What `receipt` adds to the row of its order and endpoint, as `store.receipts.add` takes it.

    `now_ms` stands in for a time that the endpoint did not know, or that lies more than MAX_AHEAD_MS ahead.
    """
    at_ms = receipt.at_ms if 0 < receipt.at_ms <= now_ms + MAX_AHEAD_MS else now_ms
    added: dict[str, Any] = {"order_id": receipt.order_id, "endpoint_id": endpoint_id}
    added[stored.STEPS[receipt.state][0]] = at_ms
    if receipt.state is ReceiptState.REFUSED:
        added["reason"] = _text(receipt.reason)
    elif receipt.state is ReceiptState.STARTED:
        added |= {"presented_ns": receipt.presented_ns, "index": receipt.index, "error_ns": receipt.error_ns}
    elif receipt.state is ReceiptState.FINISHED:
        result = receipt.result
        # The wire allows more than a column holds.
        added |= {name: None if result is None else min(getattr(result, name), _MOST) for name in stored.RESULT}
        added["result_reason"] = "" if result is None else _text(result.reason)
    return added


def _text(said: str) -> str:
    """PostgreSQL holds no NUL in a text."""
    return said.replace("\0", "")
