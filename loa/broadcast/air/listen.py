"""Listening to a broadcast as Ogg Opus: the stored packets, paced by the broadcast's own grid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from loa.broadcast.air.running import Running
from loa.codecs.ogg_opus import OggOpusWriter
from loa.timing.clock import Clock
from loa.timing.line import FrameGrid

PAGE_FRAMES = 10
"""200 ms a page: a listener hears the sound soon, and pages stay few."""


async def ogg_pages(running: Running, clock: Clock) -> AsyncIterator[bytes]:
    """Ogg pages from the frame that is due now to the broadcast's end. Nothing is encoded again.

    A listener who reads slowly holds back only this generator: frames are taken from the stored programme.
    """
    tune = running.tune
    grid = FrameGrid(tune.start_ns, tune.index0, tune.timestamp0, tune.frame_samples)
    writer = OggOpusWriter(serial=tune.ssrc, page_ms=PAGE_FRAMES * tune.frame_samples // 48)
    yield writer.headers()
    now_ns = clock.monotonic_ns()
    at = max(0, grid.index_at(now_ns) - tune.index0) if now_ns > tune.start_ns else 0
    while at < len(running.packets) and not running.ended.is_set():
        upto = min(at + PAGE_FRAMES, len(running.packets))
        wait_ns = grid.due_ns(tune.index0 + upto) - clock.monotonic_ns()
        if wait_ns > 0:
            try:
                await asyncio.wait_for(running.ended.wait(), wait_ns / 1e9)
            except TimeoutError:
                pass
            else:
                break
        yield writer.pages(running.packets[at:upto], final=upto == len(running.packets))
        at = upto
