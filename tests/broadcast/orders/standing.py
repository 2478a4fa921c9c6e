"""A broadcast and its orders, for tests of what is commanded and answered."""

from __future__ import annotations

from collections.abc import Iterable

from loa.broadcast.journal.act import system
from loa.broadcast.records import Area, Broadcast, Endpoint, Programme, ProgrammeClass
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import broadcasts
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store.database import Database
from loa.broadcast.store.programmes import Programmes
from loa.codecs.link_wire import Receipt, Result
from loa.codecs.order_wire import Tune
from loa.model import BroadcastState, EndpointKind, ReceiptState, new_id

NOW_MS = 1_790_000_000_000
RESULT = Result(played=90, repaired=5, recovered=1, concealed=2, unsigned=0, reason="end")


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


def an_endpoint_id(number: int) -> bytes:
    """The id of endpoint `number`."""
    return number.to_bytes(16, "big")


async def stand(db: Database, area_id: bytes, endpoints: Iterable[bytes], parent_id: bytes | None = None) -> None:
    """An area, and endpoints in it."""
    async with db.write() as connection:
        await stored_areas.insert(connection, Area(area_id, parent_id, "An Biên", "commune", None, NOW_MS))
        for endpoint_id in endpoints:
            new = Endpoint(endpoint_id, EndpointKind.SPEAKER, "Loa", area_id, b"k" * 32, NOW_MS, None, 1)
            await stored_endpoints.insert(connection, new)


def a_receipt(order_id: bytes, state: ReceiptState, at_ms: int = NOW_MS + 7) -> Receipt:
    """What an endpoint says of an order, with all that belongs to the state."""
    started, finished = state == ReceiptState.STARTED, state == ReceiptState.FINISHED
    return Receipt(
        order_id,
        state,
        at_ms,
        reason="expired" if state == ReceiptState.REFUSED else "",
        presented_ns=123 if started else 0,
        index=4 if started else 0,
        error_ns=55 if started else 0,
        result=RESULT if finished else None,
    )
