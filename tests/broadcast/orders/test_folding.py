"""Receipts become figures: nothing is counted twice or lost, at no step of it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict, dataclass, replace

import pytest

from loa.broadcast.journal.act import system
from loa.broadcast.orders import folding as module
from loa.broadcast.orders.book import OrderBook
from loa.broadcast.orders.folding import Folding
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.receipts import Receipts
from loa.broadcast.records import Broadcast, Endpoint, ReceiptRow
from loa.broadcast.registry.areas import Areas
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store.broadcasts import Broadcasts
from loa.broadcast.store.database import Database
from loa.broadcast.store.tables import receipt
from loa.codecs.link_wire import Receipt
from loa.codecs.order_wire import Stop
from loa.model import BroadcastState, EndpointKind, ReceiptState
from tests.broadcast.orders.standing import NOW_MS, a_broadcast, a_tune

LATER_MS = NOW_MS + 86_400_000
SUMS = ("played", "repaired", "recovered", "concealed", "unsigned")


@dataclass
class Stage:
    """A district of two communes, with endpoints, and an ended broadcast of two tune orders and a stop."""

    db: Database
    broadcast: Broadcast
    orders: list[bytes]
    areas: list[bytes]
    area_of: dict[bytes, bytes]

    async def answered(self, dice: random.Random) -> list[ReceiptRow]:
        """What endpoints have answered at random; some have never been enrolled."""
        rows = []
        for endpoint_id in [*self.area_of, b"unknown endpoint"]:
            for order_id in dice.sample(self.orders, dice.randint(0, 3)):
                state = dice.choice(list(ReceiptState))
                a, b, c, d, e = (dice.choice((None, dice.randint(0, 900))) for _ in SUMS)
                row = ReceiptRow(order_id, endpoint_id, state, played=a, repaired=b, recovered=c)
                rows.append(replace(row, concealed=d, unsigned=e))
        async with self.db.write() as connection:
            if rows:
                await connection.execute(receipt.insert(), [asdict(row) for row in rows])
        return rows

    def figures(self, rows: list[ReceiptRow], areas: set[bytes] | None = None) -> dict[object, Counter[str]]:
        """What the rows are in figures, by order and state, of these areas."""
        found: dict[object, Counter[str]] = {}
        for row in rows:
            if areas is not None and self.area_of.get(row.endpoint_id) not in areas:
                continue
            counted = found.setdefault((row.order_id, row.state), Counter())
            counted["endpoints"] += 1
            counted.update({name: getattr(row, name) or 0 for name in SUMS})
        return found

    async def folded(self, areas: set[bytes] | None = None) -> dict[object, Counter[str]]:
        rows = await Receipts(self.db).folded(self.broadcast.id, areas)
        return {
            (row.order_id, row.state): Counter({name: getattr(row, name) for name in ("endpoints", *SUMS)})
            for row in rows
        }


@pytest.fixture
async def stage(db: Database, keyring: KeyRing) -> Stage:
    areas, act = Areas(db), system(NOW_MS)
    district = await areas.create(None, "Quận", "district", None, act)
    communes = [await areas.create(district.id, f"Xã {number}", "commune", None, act) for number in range(2)]
    area_of: dict[bytes, bytes] = {}
    async with db.write() as connection:
        for number in range(17):
            endpoint_id, area_id = number.to_bytes(16, "big"), communes[number % 2].id
            new = Endpoint(endpoint_id, EndpointKind.SPEAKER, "Loa", area_id, b"k" * 32, NOW_MS, None, 1)
            await stored_endpoints.insert(connection, new)
            area_of[endpoint_id] = area_id
    broadcast = await a_broadcast(db, areas=(district.id,))
    book = OrderBook(db, keyring)
    issued = [
        await book.issue(order, [district.id], [], NOW_MS, NOW_MS + 60_000, broadcast.id, act=by)
        for order, by in (
            (a_tune(broadcast.id), None),
            (a_tune(broadcast.id), None),
            (Stop(broadcast.id, 50, 100), act),
        )
    ]
    await Broadcasts(db).save(replace(broadcast, state=BroadcastState.STOPPED, ended_utc_ms=NOW_MS))
    orders = [each.order_id for each in issued]
    return Stage(db, broadcast, orders, [district.id, *(each.id for each in communes)], area_of)


@pytest.mark.parametrize("seed", range(6))
async def test_at_every_step_rows_and_figures_make_the_whole(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(module, "ENDPOINTS", dice.randint(1, 5))
    receipts = Receipts(stage.db)
    rows = await stage.answered(dice)
    before = await receipts.summary(stage.broadcast.id)
    folded = 0
    async for count in Folding(stage.db).run(LATER_MS, LATER_MS):
        folded += count
        left = await receipts.for_broadcast(stage.broadcast.id)
        assert len(left) == len(rows) - folded
        assert await receipts.summary(stage.broadcast.id) == before
        figures = Counter({key: value["endpoints"] for key, value in (await stage.folded()).items()})
        figures.update((row.order_id, row.state) for row in left)
        assert figures == Counter((row.order_id, row.state) for row in rows)
    assert folded == len(rows)
    assert await stage.folded() == stage.figures(rows)
    district, one, two = stage.areas
    for asked, standing in (({one}, {one}), ({two}, {two}), ({district}, {one, two}), (set(), set())):
        assert await stage.folded(asked) == stage.figures(rows, standing)
    assert [count async for count in Folding(stage.db).run(LATER_MS, LATER_MS)] == []


async def test_what_is_on_air_or_young_or_was_never_answered_is_left_or_done(stage: Stage, db: Database) -> None:
    rows = await stage.answered(random.Random(1))
    running = await a_broadcast(db, BroadcastState.ON_AIR)
    silent = await a_broadcast(db, BroadcastState.ENDED)
    assert [count async for count in Folding(db).run(NOW_MS, LATER_MS)] == []
    assert sum([count async for count in Folding(db).run(NOW_MS + 1, LATER_MS)]) == len(rows)
    assert [count async for count in Folding(db).run(NOW_MS + 1, LATER_MS)] == []
    await Broadcasts(db).save(replace(running, state=BroadcastState.ENDED, ended_utc_ms=NOW_MS))
    assert [count async for count in Folding(db).run(NOW_MS + 1, LATER_MS)] == [0]
    assert await Receipts(db).summary(silent.id) == {}


async def test_a_receipt_that_comes_too_late_is_acknowledged_and_counted_nowhere(stage: Stage) -> None:
    receipts = Receipts(stage.db)
    order_id, endpoint_id = stage.orders[0], next(iter(stage.area_of))
    await receipts.record(endpoint_id, [Receipt(order_id, ReceiptState.ACCEPTED, NOW_MS)], NOW_MS)
    async for _ in Folding(stage.db).run(LATER_MS, LATER_MS):
        pass
    late = [Receipt(order_id, ReceiptState.STARTED, NOW_MS)]
    assert await receipts.record(endpoint_id, late, LATER_MS) == [(order_id, int(ReceiptState.STARTED))]
    assert await receipts.for_broadcast(stage.broadcast.id) == []
    assert await receipts.summary(stage.broadcast.id) == {ReceiptState.ACCEPTED: 1}
    assert receipts.counters["too_late"] == 1


async def test_receipts_are_shown_by_area(stage: Stage) -> None:
    rows = await stage.answered(random.Random(3))
    receipts = Receipts(stage.db)
    for areas, standing in (({stage.areas[1]}, {stage.areas[1]}), ({stage.areas[0]}, set(stage.areas[1:]))):
        shown = await receipts.for_broadcast(stage.broadcast.id, areas=areas)
        assert len(shown) == sum(stage.area_of.get(row.endpoint_id) in standing for row in rows) > 0
