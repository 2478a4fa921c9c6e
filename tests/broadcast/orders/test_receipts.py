"""Receipts: durable before they are acknowledged, in groups, and never going down."""

from __future__ import annotations

import asyncio
import random

import pytest

from loa.broadcast.journal.act import system
from loa.broadcast.orders.book import OrderBook
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.receipts import GROUP_RECEIPTS, MAX_AHEAD_MS, Receipts
from loa.broadcast.orders.targets import KEPT_ORDERS
from loa.broadcast.records import ReceiptRow
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.edits import AreaEdit, EndpointEdit
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.reorganisation import Merge
from loa.broadcast.registry.reorganiser import Reorganiser
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import Page
from loa.codecs.link_wire import Receipt, Result
from loa.codecs.order_wire import Stop
from loa.errors import StoreError
from loa.model import ReceiptState
from tests.broadcast.orders.standing import NOW_MS, a_broadcast, a_receipt, a_tune, an_endpoint_id, stand

AREA = b"a" * 16


async def _order(db: Database, keyring: KeyRing, endpoints: int = 8) -> tuple[bytes, bytes]:
    """A broadcast and its order to AREA, where this many endpoints stand."""
    await stand(db, AREA, map(an_endpoint_id, range(endpoints)))
    broadcast = await a_broadcast(db)
    issued = await OrderBook(db, keyring).issue(
        a_tune(broadcast.id), [AREA], [], NOW_MS, NOW_MS + 60_000, broadcast.id
    )
    return broadcast.id, issued.order_id


async def test_the_whole_chain_is_one_row_and_survives_reopening(
    db_url: str, db: Database, keyring: KeyRing
) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    chain = (ReceiptState.RECEIVED, ReceiptState.ACCEPTED, ReceiptState.STARTED, ReceiptState.FINISHED)
    for n, state in enumerate(chain):
        acks = await receipts.record(an_endpoint_id(1), [a_receipt(order_id, state, NOW_MS + n)], NOW_MS)
        assert acks == [(order_id, int(state))]
    other = await Database.open(db_url)
    assert await Receipts(other).for_broadcast(broadcast_id) == [
        ReceiptRow(
            order_id,
            an_endpoint_id(1),
            ReceiptState.FINISHED,
            received_ms=NOW_MS,
            accepted_ms=NOW_MS + 1,
            started_ms=NOW_MS + 2,
            finished_ms=NOW_MS + 3,
            presented_ns=123,
            index=4,
            error_ns=55,
            played=90,
            repaired=5,
            recovered=1,
            concealed=2,
            unsigned=0,
            result_reason="end",
        )
    ]
    await other.close()


async def test_a_refusal_keeps_its_reason(db: Database, keyring: KeyRing) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    await receipts.record(an_endpoint_id(1), [a_receipt(order_id, ReceiptState.REFUSED)], NOW_MS)
    (row,) = await receipts.for_broadcast(broadcast_id)
    assert (row.state, row.reason, row.refused_ms) == (ReceiptState.REFUSED, "expired", NOW_MS + 7)


async def test_without_trusted_time_the_cores_time_is_written(db: Database, keyring: KeyRing) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    await receipts.record(an_endpoint_id(1), [a_receipt(order_id, ReceiptState.RECEIVED, at_ms=0)], NOW_MS + 99)
    assert [row.received_ms for row in await receipts.for_broadcast(broadcast_id)] == [NOW_MS + 99]


async def test_a_time_that_cannot_be_is_replaced_by_the_cores(db: Database, keyring: KeyRing) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    said = (NOW_MS + MAX_AHEAD_MS, NOW_MS + MAX_AHEAD_MS + 1, 1 << 62, (1 << 63) - 1)
    for n, at_ms in enumerate(said):
        await receipts.record(an_endpoint_id(n), [a_receipt(order_id, ReceiptState.RECEIVED, at_ms)], NOW_MS)
    rows = await receipts.for_broadcast(broadcast_id)
    assert [row.received_ms for row in rows] == [NOW_MS + MAX_AHEAD_MS, NOW_MS, NOW_MS, NOW_MS]


async def test_only_those_whom_an_order_means_leave_a_receipt(db: Database, keyring: KeyRing) -> None:
    above, below, beside = b"A" * 16, b"b" * 16, b"c" * 16
    await stand(db, above, [an_endpoint_id(100)])
    await stand(db, AREA, [an_endpoint_id(1)], above)
    await stand(db, below, [an_endpoint_id(2)], AREA)
    await stand(db, beside, [an_endpoint_id(101), an_endpoint_id(3)], above)
    broadcast = await a_broadcast(db)
    issued = await OrderBook(db, keyring).issue(
        a_tune(broadcast.id), [AREA], [an_endpoint_id(3)], NOW_MS, NOW_MS + 60_000, broadcast.id
    )
    receipts = Receipts(db)
    receipt = a_receipt(issued.order_id, ReceiptState.FINISHED)
    asked = [an_endpoint_id(n) for n in (1, 2, 3, 100, 101, 999)]
    for _ in range(2):
        acks = await asyncio.gather(*(receipts.record(each, [receipt], NOW_MS) for each in asked))
        assert acks == [[(issued.order_id, 5)]] * len(asked)
    assert [row.endpoint_id for row in await receipts.for_broadcast(broadcast.id)] == asked[:3]
    assert await receipts.summary(broadcast.id) == {ReceiptState.FINISHED: 3}
    assert (receipts.counters["not_meant"], receipts.counters["unknown_order"]) == (6, 0)


@pytest.mark.parametrize("dated_back", [False, True])
async def test_a_receipt_counts_where_its_endpoint_stood_when_ordered(
    db: Database, keyring: KeyRing, dated_back: bool
) -> None:
    above, below, beside, far = b"A" * 16, b"b" * 16, b"c" * 16, b"d" * 16
    await stand(db, above, [])
    await stand(db, AREA, [an_endpoint_id(1), an_endpoint_id(5)], above)
    await stand(db, below, [an_endpoint_id(2)], AREA)
    await stand(db, beside, [], above)
    await stand(db, far, [an_endpoint_id(3), an_endpoint_id(4)], above)
    broadcast = await a_broadcast(db)
    issued = await OrderBook(db, keyring).issue(
        a_tune(broadcast.id), [AREA], [], NOW_MS + 50, NOW_MS + 60_000, broadcast.id
    )
    areas, endpoints, reorganiser, after = Areas(db), Endpoints(db), Reorganiser(db), system(NOW_MS + 100)
    if not dated_back:
        await endpoints.edit(an_endpoint_id(1), EndpointEdit(area_id=far), after)
        await areas.edit(below, AreaEdit(parent_id=above), after)
        await endpoints.edit(an_endpoint_id(3), EndpointEdit(area_id=AREA), after)
    steps, at_ms = [Merge((AREA,), beside)], NOW_MS + 20 if dated_back else None
    plan = await reorganiser.preview(steps, now_ms=NOW_MS + 200, at_ms=at_ms)
    await reorganiser.apply(steps, plan.fingerprint, system(NOW_MS + 200), at_ms=at_ms)
    receipts = Receipts(db)
    receipt = a_receipt(issued.order_id, ReceiptState.FINISHED)
    for number in range(1, 6):
        await receipts.record(an_endpoint_id(number), [receipt], NOW_MS + 300)
    meant = [row.endpoint_id[-1] for row in await receipts.for_broadcast(broadcast.id)]
    assert meant == ([1, 2, 5] if dated_back else [1, 2, 3, 5])
    assert receipts.counters["not_meant"] == 5 - len(meant)


async def test_more_orders_than_are_kept_in_mind_are_all_known(db: Database, keyring: KeyRing) -> None:
    broadcast_id, _ = await _order(db, keyring)
    book, receipts = OrderBook(db, keyring), Receipts(db)
    orders = [
        (await book.issue(Stop(broadcast_id, 0), [AREA], [], NOW_MS, NOW_MS + 1, broadcast_id)).order_id
        for _ in range(KEPT_ORDERS + 3)
    ]
    for _ in range(2):
        for some in (orders, orders[:2], orders[-2:]):
            given_receipts = [a_receipt(order_id, ReceiptState.ACCEPTED) for order_id in some]
            await receipts.record(an_endpoint_id(1), given_receipts, NOW_MS)
    assert len(await receipts.for_broadcast(broadcast_id)) == len(orders)
    assert (receipts.counters["unknown_order"], receipts.counters["not_meant"]) == (0, 0)


async def test_receipts_for_unknown_orders_are_acknowledged_and_counted_but_not_stored(
    db: Database, keyring: KeyRing
) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    given_receipts = [a_receipt(b"?" * 16, ReceiptState.RECEIVED), a_receipt(order_id, ReceiptState.RECEIVED)]
    acks = await receipts.record(an_endpoint_id(1), given_receipts, NOW_MS)
    assert acks == [(b"?" * 16, 1), (order_id, 1)]
    assert [row.order_id for row in await receipts.for_broadcast(broadcast_id)] == [order_id]
    assert receipts.counters["unknown_order"] == 1


async def test_many_endpoints_at_once_share_a_commit(db: Database, keyring: KeyRing) -> None:
    count = 3 * GROUP_RECEIPTS + 20
    broadcast_id, order_id = await _order(db, keyring, count)
    receipts = Receipts(db)
    await asyncio.gather(
        *(
            receipts.record(an_endpoint_id(n), [a_receipt(order_id, ReceiptState.ACCEPTED)], NOW_MS)
            for n in range(count)
        )
    )
    assert receipts.counters["commits"] == 4
    assert await receipts.summary(broadcast_id) == {ReceiptState.ACCEPTED: count}


async def test_the_same_receipt_twice_in_a_group_is_one_row(db: Database, keyring: KeyRing) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    receipt = a_receipt(order_id, ReceiptState.RECEIVED)
    await asyncio.gather(*(receipts.record(an_endpoint_id(1), [receipt, receipt], NOW_MS) for _ in range(5)))
    assert len(await receipts.for_broadcast(broadcast_id)) == 1
    assert (receipts.counters["received"], receipts.counters["stored"]) == (10, 1)


async def test_rows_come_in_pages(db: Database, keyring: KeyRing) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    for n in range(7):
        await receipts.record(an_endpoint_id(n), [a_receipt(order_id, ReceiptState.RECEIVED)], NOW_MS)
    seen: list[ReceiptRow] = []
    page = Page(limit=3)
    while rows := await receipts.for_broadcast(broadcast_id, page):
        seen += rows
        page = page.behind(rows[-1])
    assert [row.endpoint_id for row in seen] == [an_endpoint_id(n) for n in range(7)]


async def test_a_summary_counts_each_endpoint_once_and_not_by_its_stop(db: Database, keyring: KeyRing) -> None:
    broadcast_id, first = await _order(db, keyring)
    book, receipts = OrderBook(db, keyring), Receipts(db)
    again = (await book.issue(a_tune(broadcast_id), [AREA], [], NOW_MS, NOW_MS + 1, broadcast_id)).order_id
    stop = (await book.issue(Stop(broadcast_id, 0), [AREA], [], NOW_MS, NOW_MS + 1, broadcast_id)).order_id
    await receipts.record(an_endpoint_id(1), [a_receipt(first, ReceiptState.FINISHED)], NOW_MS)
    await receipts.record(an_endpoint_id(1), [a_receipt(again, ReceiptState.ACCEPTED)], NOW_MS)
    await receipts.record(an_endpoint_id(2), [a_receipt(first, ReceiptState.STARTED)], NOW_MS)
    await receipts.record(an_endpoint_id(2), [a_receipt(stop, ReceiptState.FINISHED)], NOW_MS)
    assert await receipts.summary(broadcast_id) == {ReceiptState.FINISHED: 1, ReceiptState.STARTED: 1}
    assert len(await receipts.for_broadcast(broadcast_id)) == 4


async def test_figures_beyond_a_column_spoil_nobodys_receipts(db: Database, keyring: KeyRing) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    huge = Result((1 << 64) - 1, 0, 0, 0, 0, "end\0")
    hostile = Receipt(order_id, ReceiptState.FINISHED, NOW_MS, result=huge)
    await asyncio.gather(
        receipts.record(an_endpoint_id(1), [hostile], NOW_MS),
        receipts.record(an_endpoint_id(2), [a_receipt(order_id, ReceiptState.RECEIVED)], NOW_MS),
    )
    rows = await receipts.for_broadcast(broadcast_id)
    assert [row.played for row in rows] == [(1 << 63) - 1, None]


async def test_a_store_that_fails_acknowledges_nothing_and_the_next_group_is_tried(
    db: Database, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)

    def fails(**_how: bool) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(db, "write", fails)
        with pytest.raises(StoreError, match="disk is full"):
            await receipts.record(an_endpoint_id(1), [a_receipt(order_id, ReceiptState.RECEIVED)], NOW_MS)
    await receipts.record(an_endpoint_id(1), [a_receipt(order_id, ReceiptState.RECEIVED)], NOW_MS)
    assert len(await receipts.for_broadcast(broadcast_id)) == 1


async def test_a_caller_that_gives_up_does_not_stop_the_others(db: Database, keyring: KeyRing) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    receipt = a_receipt(order_id, ReceiptState.RECEIVED)
    gone = asyncio.create_task(receipts.record(an_endpoint_id(1), [receipt], NOW_MS))
    stays = asyncio.create_task(receipts.record(an_endpoint_id(2), [receipt], NOW_MS))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == [(order_id, 1)]
    assert an_endpoint_id(2) in {row.endpoint_id for row in await receipts.for_broadcast(broadcast_id)}


async def test_closing_writes_what_waits_and_takes_no_more(db: Database, keyring: KeyRing) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    waiting = asyncio.create_task(
        receipts.record(an_endpoint_id(1), [a_receipt(order_id, ReceiptState.RECEIVED)], NOW_MS)
    )
    await asyncio.sleep(0)
    await receipts.close()
    assert await waiting == [(order_id, 1)]
    assert len(await receipts.for_broadcast(broadcast_id)) == 1
    with pytest.raises(StoreError):
        await receipts.record(an_endpoint_id(1), [], NOW_MS)


UPWARD = (
    ReceiptState.RECEIVED,
    ReceiptState.REFUSED,
    ReceiptState.ACCEPTED,
    ReceiptState.STARTED,
    ReceiptState.FINISHED,
)


async def test_in_any_order_and_grouping_the_first_word_on_each_state_stays(db: Database, keyring: KeyRing) -> None:
    rng = random.Random(20_261_126)
    count = 60
    broadcast_id, order_id = await _order(db, keyring, count)
    receipts = Receipts(db)
    said: dict[bytes, list[Receipt]] = {an_endpoint_id(n): [] for n in range(count)}
    for group in range(6):
        rounds = {each: rng.choices(UPWARD, k=rng.randrange(4)) for each in said}
        given = {
            each: [a_receipt(order_id, state, NOW_MS + 10 * group + n) for n, state in enumerate(states)]
            for each, states in rounds.items()
        }
        await asyncio.gather(*(receipts.record(each, told, NOW_MS) for each, told in given.items()))
        for each, told in given.items():
            said[each] += told
    rows = {row.endpoint_id: row for row in await receipts.for_broadcast(broadcast_id)}
    assert rows.keys() == {each for each, told in said.items() if told}
    for each, row in rows.items():
        first = {told.state: told.at_ms for told in reversed(said[each])}
        assert row.state == max(first, key=UPWARD.index)
        assert first == {
            state: at_ms
            for state, at_ms in zip(
                UPWARD,
                (row.received_ms, row.refused_ms, row.accepted_ms, row.started_ms, row.finished_ms),
                strict=True,
            )
            if at_ms is not None
        }
        assert (row.index == 4, row.played == 90, row.reason == "expired") == (
            ReceiptState.STARTED in first,
            ReceiptState.FINISHED in first,
            ReceiptState.REFUSED in first,
        )


@pytest.mark.parametrize("together", [True, False])
async def test_a_result_overrides_one_that_says_shutdown(db: Database, keyring: KeyRing, together: bool) -> None:
    broadcast_id, order_id = await _order(db, keyring)
    receipts = Receipts(db)
    off = Receipt(order_id, ReceiptState.FINISHED, NOW_MS, result=Result(10, 0, 0, 0, 0, "shutdown"))
    unknown = Receipt(order_id, ReceiptState.FINISHED, NOW_MS + 1)
    whole = a_receipt(order_id, ReceiptState.FINISHED, NOW_MS + 2)
    late = Receipt(order_id, ReceiptState.FINISHED, NOW_MS + 3, result=Result(11, 0, 0, 0, 0, "stopped"))
    for given in [[off, unknown, whole, late]] if together else [[off], [unknown], [whole], [late]]:
        await receipts.record(an_endpoint_id(1), given, NOW_MS)
    (row,) = await receipts.for_broadcast(broadcast_id)
    assert (row.finished_ms, row.played, row.result_reason) == (NOW_MS + 2, 90, "end")


async def test_where_an_endpoint_stands_need_not_be_asked(db: Database, keyring: KeyRing) -> None:
    broadcast_id, order_id = await _order(db, keyring, 1)
    receipts = Receipts(db)
    receipt = a_receipt(order_id, ReceiptState.RECEIVED)
    await receipts.record(an_endpoint_id(5), [receipt], NOW_MS, place=[b"x" * 16, AREA])
    await receipts.record(an_endpoint_id(0), [receipt], NOW_MS, place=[b"x" * 16])
    await receipts.record(an_endpoint_id(6), [receipt], NOW_MS, place=[b"x" * 16])
    assert [row.endpoint_id for row in await receipts.for_broadcast(broadcast_id)] == [
        an_endpoint_id(0),
        an_endpoint_id(5),
    ]
    assert receipts.counters["not_meant"] == 1
