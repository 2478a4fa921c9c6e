"""A broadcast and its orders, for tests of what is commanded and answered."""

from __future__ import annotations

from loa.broadcast.journal.act import system
from loa.broadcast.records import Broadcast, Programme, ProgrammeClass
from loa.broadcast.store import broadcasts
from loa.broadcast.store.database import Database
from loa.broadcast.store.programmes import Programmes
from loa.codecs.order_wire import Tune
from loa.model import BroadcastState, new_id

NOW_MS = 1_790_000_000_000


async def a_programme(db: Database, area_id: bytes | None = None, sha256: bytes = b"h" * 32) -> Programme:
    """A programme, stored. Its sound is nowhere."""
    programme = Programme(
        new_id(NOW_MS), "Bản tin", ProgrammeClass.ROUTINE, sha256, 96_000, 101, 960, 2000, 9, -1600, NOW_MS, area_id
    )
    await Programmes(db).create(programme, system(NOW_MS))
    return programme


async def a_broadcast(
    db: Database,
    state: BroadcastState = BroadcastState.ON_AIR,
    areas: tuple[bytes, ...] = (b"a" * 16, b"b" * 16),
) -> Broadcast:
    """A broadcast of a programme of its own, stored."""
    programme = await a_programme(db)
    new = Broadcast(
        id=new_id(NOW_MS),
        programme_id=programme.id,
        state=state,
        priority=100,
        volume=80,
        play_delay_ms=500,
        areas=areas,
        endpoints=(),
        created_ms=NOW_MS,
        generation=1,
        ssrc=None,
        start_utc_ms=None,
        ended_utc_ms=None,
        frames_total=101,
        frames_aired=0,
        reason="",
        programme_title=programme.title,
        programme_sha256=programme.sha256,
    )
    await store_broadcast(db, new)
    return new


async def store_broadcast(db: Database, new: Broadcast) -> None:
    """Write a broadcast down without any order. Conflict as `store.broadcasts.create`."""
    async with db.write() as connection:
        await broadcasts.create(connection, new, system(NOW_MS))


def a_tune(broadcast_id: bytes) -> Tune:
    """A tune order's meaning."""
    return Tune(
        broadcast_id=broadcast_id,
        generation=1,
        ssrc=1,
        block_ssrc=2,
        index0=0,
        timestamp0=0,
        epoch=b"e" * 8,
        start_ns=0,
        play_delay_ms=500,
        frame_samples=960,
        priority=100,
        volume=80,
        fade_ms=0,
        secret_serial=1,
        block_key=b"k" * 32,
        block_frames=5,
        end_index=101,
    )
