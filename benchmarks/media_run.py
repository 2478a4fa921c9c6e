"""The real media process on air to endpoints that cost nothing: what it used and counted, how far frames spread."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass

from benchmarks.ears import KEEPALIVE_S, Ears, quantile, spreads_ms
from benchmarks.processor import cpu_s
from loa.broadcast.air.media_port import (
    AddChannel,
    AirEnded,
    AskCounters,
    Audience,
    Counters,
    Event,
    Frames,
    Ready,
    StartAir,
)
from loa.broadcast.air.media_process import MediaProcess, start_media_process

PAYLOAD_BYTES = 160
"""20 ms of Opus at 64 kb/s."""
FRAME_S = 0.02
_LEAD_NS = 400_000_000
_PARTS = 150


@dataclass(frozen=True, slots=True)
class Run:
    """What a run has shown. `cpu_us`: of the processor, for one packet to one address."""

    cpu_us: float
    cores: float
    packets: int
    frames: int
    counters: dict[str, int]
    spreads_ms: list[float]
    missing: int

    def spread_ms(self, share: float) -> float:
        """A quantile of the first-to-last spreads."""
        return quantile(self.spreads_ms, share)


def run(count: int, seconds: float, threads: int = 0) -> Run:
    """Signed sound in 20 ms frames to `count` endpoints for so long."""
    return asyncio.run(_run(count, round(seconds / FRAME_S), threads))


def signed_sound(broadcast_id: bytes, *, start_ns: int, end_index: int | None = None) -> StartAir:
    """The first generation of a broadcast of 20 ms frames, with a signed block each 100 ms, by keys of its own."""
    return StartAir(
        broadcast_id=broadcast_id,
        generation=1,
        ssrc=5,
        block_ssrc=6,
        index0=0,
        timestamp0=0,
        start_ns=start_ns,
        frame_samples=960,
        master_key=os.urandom(16),
        master_salt=os.urandom(12),
        block_seed=os.urandom(32),
        block_frames=5,
        end_index=end_index,
    )


async def _run(count: int, frames: int, threads: int) -> Run:
    media = await start_media_process("::", 0, threads)
    secret = bytes(range(32))
    try:
        events = media.events()
        ready = await anext(events)
        assert isinstance(ready, Ready)
        with Ears(count, secret) as ears:
            for channel in ears.channels:
                media.send(AddChannel(channel, secret))
            await _counters(media, events)
            await asyncio.to_thread(ears.bind_all, ready.address[1])
            while (before := await _counters(media, events))["channels_bound"] < count:
                pass  # the last echoes are on their way
            broadcast = os.urandom(16)
            start = signed_sound(broadcast, start_ns=time.monotonic_ns() + _LEAD_NS, end_index=frames)
            media.send(start)
            media.send(Audience(broadcast, tuple(ears.channels)))
            for first in range(0, frames, 500):
                chunk = tuple(bytes(PAYLOAD_BYTES) for _ in range(first, min(first + 500, frames)))
                media.send(Frames(broadcast, first, chunk))
            staying = asyncio.create_task(_stay(ears, ready.address[1]))
            await asyncio.sleep(_LEAD_NS / 2e9)  # what it takes to begin is not what a packet costs
            cpu_before, began = cpu_s(media.pid), time.monotonic()
            ended = None
            while not isinstance(ended, AirEnded):
                ended = await anext(events)
            cpu, took = cpu_s(media.pid) - cpu_before, time.monotonic() - began
            staying.cancel()
            after = await _counters(media, events)
            spreads, missing = spreads_ms(ears.heard(), ears.sampled)
            grown = {name: value - before[name] for name, value in after.items()}
            packets = grown["packets_sent"]
            return Run(cpu / packets * 1e6, cpu / took, packets, ended.sent, grown, spreads, missing)
    finally:
        await media.close()


async def _counters(media: MediaProcess, events: object) -> dict[str, int]:
    media.send(AskCounters())
    event: Event | None = None
    while not isinstance(event, Counters):
        event = await anext(events)  # type: ignore[call-overload]
    values: dict[str, int] = event.values
    return values


async def _stay(ears: Ears, port: int) -> None:
    part = 0
    while True:
        await asyncio.sleep(KEEPALIVE_S / _PARTS)
        ears.stay(part % _PARTS, _PARTS, port)
        part += 1
