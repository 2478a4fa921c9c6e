"""The order book: signed, durable, and never a sequence number twice."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from loa.broadcast.journal.act import Act, system
from loa.broadcast.orders.book import IssuedOrder, OrderBook
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.records import Broadcast
from loa.broadcast.store.broadcasts import Broadcasts
from loa.broadcast.store.database import Database
from loa.broadcast.store.tables import event
from loa.codecs import channel_wire
from loa.codecs.authority import Authority, Right
from loa.codecs.order_wire import Action, Bundle, Order, Stop, order_id
from loa.errors import Conflict, NotFound, WireError
from loa.model import BroadcastState, id_text, new_id
from tests.broadcast.conftest import NewStore
from tests.broadcast.orders.standing import NOW_MS, a_broadcast, a_tune

AREA = b"a" * 16
NOW_S = NOW_MS // 1000


def _seq(identifier: bytes) -> int:
    return int.from_bytes(identifier[8:], "big")


async def test_an_order_is_signed_and_says_what_was_asked(db: Database, keyring: KeyRing) -> None:
    broadcast = await a_broadcast(db)
    tune = a_tune(broadcast.id)
    issued = await OrderBook(db, keyring).issue(tune, [AREA], [b"e" * 16], NOW_MS, NOW_MS + 5000, broadcast.id)
    bundle = Bundle.decode(issued.bundle)
    Authority(keyring.root_public_key, keyring.key_list_envelope).entitled(
        bundle.envelope, Right.ORDER, utc_s=NOW_S
    )
    order = Order.decode(bundle.envelope.body)
    assert order == Order(order.seq, NOW_MS, NOW_MS + 5000, (AREA,), (b"e" * 16,), tune)
    assert issued.order_id == order_id(keyring.order_key.key_id, order.seq)
    assert issued.datagram is not None
    assert channel_wire.parse_order(issued.datagram) == issued.bundle
    assert (issued.stored.action, issued.stored.bundle) == (Action.TUNE, issued.bundle)


async def test_an_order_is_in_the_store_before_anyone_has_it(db_url: str, db: Database, keyring: KeyRing) -> None:
    broadcast = await a_broadcast(db)
    issued = await OrderBook(db, keyring).issue(
        Stop(broadcast.id, 50), [AREA], [], NOW_MS, NOW_MS + 5000, broadcast.id
    )
    other = await Database.open(db_url)
    assert await OrderBook(other, keyring).of_broadcast(broadcast.id) == [issued]
    await other.close()


async def test_an_order_too_long_for_a_datagram_goes_by_link_only(db: Database, keyring: KeyRing) -> None:
    broadcast, book = await a_broadcast(db), OrderBook(db, keyring)
    for targets, fits in ((40, True), (100, False), (850, False)):
        ids = [secrets.token_bytes(16) for _ in range(targets)]
        issued = await book.issue(a_tune(broadcast.id), [], ids, NOW_MS, NOW_MS + 1, broadcast.id)
        assert (issued.datagram is not None) == fits
        assert Order.decode(Bundle.decode(issued.bundle).envelope.body).endpoints == tuple(ids)


async def test_too_many_targets_or_none_is_an_error_and_uses_no_number(db: Database, keyring: KeyRing) -> None:
    broadcast, book = await a_broadcast(db), OrderBook(db, keyring)
    first = await book.issue(Stop(broadcast.id, 0), [AREA], [], NOW_MS, NOW_MS + 1, broadcast.id)
    with pytest.raises(WireError, match="too large"):
        await book.issue(Stop(broadcast.id, 0), [AREA] * 1000, [], NOW_MS, NOW_MS + 1, broadcast.id)
    with pytest.raises(WireError, match="without a target"):
        await book.issue(Stop(broadcast.id, 0), [], [], NOW_MS, NOW_MS + 1, broadcast.id)
    with pytest.raises(Conflict):
        await book.issue(Stop(broadcast.id, 0), [AREA], [], NOW_MS, NOW_MS + 1, b"?" * 16)
    second = await book.issue(Stop(broadcast.id, 0), [AREA], [], NOW_MS, NOW_MS + 1, broadcast.id)
    assert _seq(second.order_id) == _seq(first.order_id) + 1


async def test_on_air_are_unexpired_orders_of_broadcasts_that_have_not_ended(
    db: Database, keyring: KeyRing
) -> None:
    book, broadcasts = OrderBook(db, keyring), Broadcasts(db)
    on_air, ended = await a_broadcast(db), await a_broadcast(db)
    preparing = await a_broadcast(db, BroadcastState.PREPARING)
    orders = [
        await book.issue(a_tune(b.id), [AREA], [], NOW_MS + n, NOW_MS + 1000, b.id)
        for n, b in enumerate((on_air, ended, preparing))
    ]
    await book.issue(a_tune(on_air.id), [AREA], [], NOW_MS, NOW_MS + 999, on_air.id)
    await broadcasts.save(replace(ended, state=BroadcastState.ENDED))
    assert await book.on_air(NOW_MS + 1000) == [orders[0], orders[2]]
    assert await book.on_air(NOW_MS + 1001) == []


async def test_an_order_that_starts_a_broadcast_is_written_down_with_it_or_not_at_all(
    db: Database, keyring: KeyRing
) -> None:
    book, broadcasts = OrderBook(db, keyring), Broadcasts(db)
    template = await a_broadcast(db)

    async def start(broadcast: Broadcast, act: Act, areas: list[bytes]) -> IssuedOrder:
        tune = a_tune(broadcast.id)
        return await book.issue(tune, areas, [], NOW_MS, NOW_MS + 1, broadcast.id, becomes=broadcast, act=act)

    first = replace(template, id=new_id(NOW_MS), areas=(AREA,), start_utc_ms=NOW_MS + 10)
    act = replace(system(NOW_MS), key="once", fingerprint=b"f" * 32)
    issued = await start(first, act, [AREA])
    assert await broadcasts.get(first.id) == first
    assert await book.of_broadcast(first.id) == [issued]
    again = replace(first, id=new_id(NOW_MS))
    for refused, error in (
        (start(again, act, [AREA]), Conflict),  # the act has happened before
        (start(replace(again, programme_id=b"?" * 16), system(NOW_MS), [AREA]), Conflict),
        (start(again, system(NOW_MS), [AREA] * 1000), WireError),
    ):
        with pytest.raises(error):
            await refused
        with pytest.raises(NotFound):
            await broadcasts.get(again.id)
        assert await book.of_broadcast(again.id) == []
    # What failed has used no number either, and the same act may start it anew.
    assert _seq((await start(again, system(NOW_MS), [AREA])).order_id) == _seq(issued.order_id) + 1
    subjects = {f"broadcast:{id_text(each.id)}" for each in (first, again)}
    async with db.read() as connection:
        rows = (await connection.execute(select(event.c.kind, event.c.subject).order_by(event.c.seq))).all()
    assert [row.kind for row in rows if row.subject in subjects] == ["broadcast.start", "broadcast.on_air"] * 2


async def test_orders_at_once_have_different_numbers(db: Database, keyring: KeyRing) -> None:
    broadcast, book = await a_broadcast(db), OrderBook(db, keyring)
    issued = await asyncio.gather(
        *(book.issue(a_tune(broadcast.id), [AREA], [], NOW_MS, NOW_MS + 1, broadcast.id) for _ in range(30))
    )
    assert len({order.order_id for order in issued}) == 30


async def test_a_store_from_an_old_copy_repeats_no_number(
    new_store: NewStore, db: Database, keyring: KeyRing
) -> None:
    broadcast, book = await a_broadcast(db), OrderBook(db, keyring)
    before = await book.issue(a_tune(broadcast.id), [AREA], [], NOW_MS, NOW_MS + 1, broadcast.id)
    async with new_store() as url:
        old = await Database.open(url)
        other = await a_broadcast(old)
        after = await OrderBook(old, keyring).issue(a_tune(other.id), [AREA], [], NOW_MS + 1, NOW_MS + 2, other.id)
        assert _seq(after.order_id) > _seq(before.order_id)
        await old.close()


@given(steps=st.lists(st.tuples(st.integers(-3_600_000, 3_600_000), st.booleans()), min_size=2, max_size=8))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_only_grow_whatever_the_clock_does_and_however_often_the_core_restarts(
    new_store: NewStore, steps: list[tuple[int, bool]]
) -> None:
    async def run(url: str, keys: Path) -> list[int]:
        db = await Database.open(url)
        broadcast = await a_broadcast(db)
        seqs = []
        for shift_ms, restart in steps:
            if restart:
                await db.close()
                db = await Database.open(url)
            now_ms = NOW_MS + shift_ms
            book = OrderBook(db, KeyRing.open(keys, NOW_S))
            issued = await book.issue(Stop(broadcast.id, 0), [AREA], [], now_ms, now_ms + 1, broadcast.id)
            seqs.append(_seq(issued.order_id))
        await db.close()
        return seqs

    async def run_anew() -> list[int]:
        with tempfile.TemporaryDirectory() as folder:
            async with new_store() as url:
                return await run(url, Path(folder))

    seqs = asyncio.run(run_anew())
    assert all(earlier < later for earlier, later in itertools.pairwise(seqs))


_ISSUER = """
import asyncio, sys
from pathlib import Path
from loa.broadcast.journal.act import Act, system
from loa.broadcast.orders.book import IssuedOrder, OrderBook
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.records import Broadcast
from loa.broadcast.store.database import Database
from loa.broadcast.store.tables import event
from loa.codecs.order_wire import Stop

async def run(url, keys, broadcast_id, now_ms):
    db = await Database.open(url)
    book = OrderBook(db, KeyRing.open(keys, now_ms // 1000))
    while True:
        # The clock stands still: only what was written down keeps the numbers apart.
        issued = await book.issue(Stop(broadcast_id, 0), [b"a" * 16], [], now_ms, now_ms + 1, broadcast_id)
        print(issued.order_id.hex(), flush=True)

asyncio.run(run(sys.argv[1], Path(sys.argv[2]), bytes.fromhex(sys.argv[3]), int(sys.argv[4])))
"""


async def _issue_and_kill(url: str, keys: Path, broadcast_id: bytes, at_least: int) -> list[bytes]:
    """Orders that a process told of before it was killed in the middle of issuing more."""
    arguments = (url, str(keys), broadcast_id.hex(), str(NOW_MS))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ISSUER, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(at_least)]
    process.kill()
    lines += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    return [bytes.fromhex(line.decode()) for line in lines if line.endswith(b"\n")]


async def test_orders_told_before_a_kill_are_kept_and_their_numbers_not_used_again(
    db_url: str, tmp_path: Path, keyring: KeyRing
) -> None:
    db = await Database.open(db_url)
    broadcast = await a_broadcast(db)
    await db.close()
    told = [o for wanted in (5, 9) for o in await _issue_and_kill(db_url, tmp_path / "keys", broadcast.id, wanted)]
    db = await Database.open(db_url)
    stored = {order.order_id for order in await OrderBook(db, keyring).of_broadcast(broadcast.id)}
    await db.close()
    assert len(set(told)) == len(told) >= 14
    assert set(told) <= stored
