"""Broadcasts on air that nobody has stored."""

from __future__ import annotations

from loa.broadcast.air.running import Running
from loa.broadcast.orders.book import IssuedOrder
from loa.broadcast.records import Broadcast, StoredOrder
from loa.codecs.order_wire import Tune
from loa.model import BroadcastState

FRAME_NS = 20_000_000


def running(
    number: int,
    priority: int = 64,
    *,
    start_ns: int = 0,
    frames: int = 1_000,
    known_end: bool = True,
    signed: bool = False,
    play_delay_ms: int = 400,
    areas: tuple[bytes, ...] = (),
) -> Running:
    """Broadcast `number`, of frames of 20 ms."""
    broadcast_id = number.to_bytes(16, "big")
    tune = Tune(
        broadcast_id=broadcast_id,
        generation=1,
        ssrc=2 * number,
        block_ssrc=2 * number + 1,
        index0=0,
        timestamp0=0,
        epoch=bytes(8),
        start_ns=start_ns,
        play_delay_ms=play_delay_ms,
        frame_samples=960,
        priority=priority,
        volume=100,
        fade_ms=0,
        secret_serial=1,
        block_key=b"k" * 32 if signed else b"",
        block_frames=5,
        end_index=frames if known_end else None,
    )
    broadcast = Broadcast(
        id=broadcast_id,
        programme_id=bytes(16),
        state=BroadcastState.ON_AIR,
        priority=priority,
        volume=100,
        play_delay_ms=play_delay_ms,
        areas=areas,
        endpoints=(),
        created_ms=0,
        generation=1,
        ssrc=tune.ssrc,
        start_utc_ms=0,
        ended_utc_ms=None,
        frames_total=frames,
        frames_aired=0,
        reason="",
    )
    order = IssuedOrder(broadcast_id, b"", None, StoredOrder(broadcast_id, broadcast_id, 1, b"", 0, 0))
    return Running(broadcast, tune, order, [b"sound"] * frames)
