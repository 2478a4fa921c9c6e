"""What has become of broadcasts: as they are now, be it written down yet or not, and how it gets written down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from loa.broadcast.air.pre_emptions import noted
from loa.broadcast.air.running import Running
from loa.broadcast.air.scribe import Scribe
from loa.broadcast.records import Broadcast
from loa.broadcast.store.broadcasts import BroadcastFilter, Broadcasts
from loa.broadcast.store.paging import Page
from loa.model import BroadcastState
from loa.timing.clock import Clock

WRITTEN_S = 5.0
"""How long to wait for the store at most."""


class Chronicle:
    """Tells how broadcasts are and were. Who changes a `Running` tells it."""

    def __init__(self, broadcasts: Broadcasts, running: Callable[[bytes], Running | None], clock: Clock) -> None:
        """`running`: the broadcast of that id if it is on air now."""
        self._broadcasts = broadcasts
        self._running = running
        self._clock = clock
        self.scribe = Scribe(broadcasts.save)

    async def get(self, broadcast_id: bytes) -> Broadcast:
        """The broadcast as it is now; NotFound."""
        unwritten = self.scribe.unwritten()
        return self._latest(await self._broadcasts.get(broadcast_id), unwritten)

    async def list(self, page: Page, only: BroadcastFilter) -> list[Broadcast]:
        """A page of the broadcasts as they are now; BadCursor. The filter looks at what is written down."""
        unwritten = self.scribe.unwritten()
        return [self._latest(row, unwritten) for row in await self._broadcasts.list(page, only)]

    def _latest(self, row: Broadcast, unwritten: Mapping[bytes, Broadcast]) -> Broadcast:
        running = self._running(row.id)
        if running is not None:
            return running.broadcast
        return self.scribe.unwritten().get(row.id) or unwritten.get(row.id, row)

    async def written(self, programme_id: bytes) -> None:
        """Wait until the store knows what has become of the programme's broadcasts; not for ever."""
        if any(each.programme_id == programme_id for each in self.scribe.unwritten().values()):
            with contextlib.suppress(TimeoutError):
                await self.settled()

    async def settled(self) -> None:
        """Wait until the store knows all; TimeoutError."""
        async with asyncio.timeout(WRITTEN_S):
            await self.scribe.settled()

    def aired(self, running: Running, frames: int) -> None:
        """So many frames have been sent."""
        running.broadcast = replace(running.broadcast, frames_aired=frames)
        self.scribe.put(running.broadcast)

    def pre_empted(self, running: Running, endpoints: int) -> None:
        """So many of its endpoints play something else now."""
        pre_empted = noted(running.broadcast.pre_empted, endpoints, self.now_ms())
        running.broadcast = replace(running.broadcast, pre_empted=pre_empted)
        self.scribe.put(running.broadcast)

    def ended(self, broadcast: Broadcast, state: BroadcastState, reason: str) -> Broadcast:
        """It is over, now; what it has become."""
        ended = _ended(broadcast, state, reason, self.now_ms())
        self.scribe.put(ended, urgent=True)
        return ended

    async def recover(self) -> int:
        """Tell the truth about broadcasts that an earlier process left on air; how many there were."""
        left = await self._broadcasts.unfinished()
        failed = BroadcastState.FAILED
        await self._broadcasts.save(
            *(_ended(each, failed, "core_restarted", _last_known_ms(each)) for each in left),
        )
        return len(left)

    def now_ms(self) -> int:
        """UTC."""
        return self._clock.utc_ns() // 1_000_000


def _ended(broadcast: Broadcast, state: BroadcastState, reason: str, at_ms: int | None) -> Broadcast:
    """The broadcast, over at an instant (UTC, ms), which is not known when it had not begun."""
    pre_empted = noted(broadcast.pre_empted, 0, at_ms or 0)
    return replace(broadcast, state=state, ended_utc_ms=at_ms, reason=reason, pre_empted=pre_empted)


def _last_known_ms(broadcast: Broadcast) -> int | None:
    """When the last frame that is known to have been sent ended: the latest that can be claimed."""
    if broadcast.start_utc_ms is None:
        return None
    return broadcast.start_utc_ms + broadcast.frames_aired * 20
