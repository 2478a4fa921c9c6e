"""What has become of broadcasts, be it written down yet or not."""

from __future__ import annotations

from dataclasses import replace

from loa.broadcast.air.chronicle import Chronicle
from loa.broadcast.air.running import Running
from loa.broadcast.records import PreEmption
from loa.broadcast.store.broadcasts import EVERY_BROADCAST, Broadcasts
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import FIRST
from loa.model import BroadcastState
from loa.timing.clock import VirtualClock
from tests.broadcast.air.broadcasts import running
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.orders.standing import a_broadcast


async def test_what_an_earlier_process_left_on_air_is_told_failed_and_its_pre_emption_ends(db: Database) -> None:
    broadcasts = Broadcasts(db)
    left = replace(
        await a_broadcast(db),
        start_utc_ms=NOW_MS,
        frames_aired=150,
        pre_empted=(PreEmption(NOW_MS + 1_000, None, 9),),
    )
    await broadcasts.save(left)
    chronicle = Chronicle(broadcasts, dict[bytes, Running]().get, VirtualClock())
    assert await chronicle.recover() == 1
    told = await chronicle.get(left.id)
    # Until the last frame that is known to have been sent: no later instant can be claimed.
    assert (told.state, told.reason, told.ended_utc_ms) == (BroadcastState.FAILED, "core_restarted", NOW_MS + 3_000)
    assert told.pre_empted == (PreEmption(NOW_MS + 1_000, NOW_MS + 3_000, 9),)
    assert await chronicle.recover() == 0


async def test_what_is_on_air_is_told_as_it_is_now_and_afterwards_as_it_ended(db: Database) -> None:
    stored = await a_broadcast(db)
    on_air = running(1)
    on_air.broadcast = stored
    here = {stored.id: on_air}
    chronicle = Chronicle(Broadcasts(db), here.get, VirtualClock())
    chronicle.aired(on_air, 50)
    chronicle.pre_empted(on_air, 3)
    chronicle.pre_empted(on_air, 0)
    assert await chronicle.get(stored.id) == on_air.broadcast
    assert [each.endpoints for each in on_air.broadcast.pre_empted] == [3]
    del here[stored.id]
    ended = chronicle.ended(on_air.broadcast, BroadcastState.STOPPED, "stopped")
    # Nothing has been written down: the scribe does not run.
    assert await chronicle.get(stored.id) == ended
    assert await chronicle.list(FIRST, EVERY_BROADCAST) == [ended]
