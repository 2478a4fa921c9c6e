"""The one task that forgets: it does what is due, a little at a time, and writes down what has gone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from loa.broadcast.journal.act import system
from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.retention.plan import NS_PER_S, Plan
from loa.errors import StoreError
from loa.timing.clock import Clock

BATCH = 500
"""Rows that one transaction removes at most: others wait for it."""
SHARE = 0.1
"""The part of the time in which the housekeeper may be at work while there is something to do."""
LEAST_PAUSE_S = 0.05

log = structlog.get_logger("loa.retention")
Breathe = Callable[[], Awaitable[None]]
"""Waits, so that the housekeeper is idle for most of the time."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done now and then, each `every_s`.

    `run` is given the time in milliseconds of UTC, a breath to take between two batches, and where to count what it
    removes, as it removes it: it may be cut off, or fail.
    """

    every_s: int
    run: Callable[[int, Breathe, Counter[str]], Awaitable[None]]


class Housekeeper:
    """Runs chores. `run` it as a task."""

    def __init__(
        self,
        chores: Mapping[str, Chore],
        ledger: Ledger,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._chores = dict(chores)
        self._ledger = ledger
        self._clock = clock
        self._sleep = sleep
        self._plan = Plan({name: chore.every_s for name, chore in chores.items()}, clock.monotonic_ns())
        self._worked_from_ns = 0
        self.counters: Counter[str] = Counter()

    async def run(self) -> None:
        """Do what is due, for ever."""
        while True:
            await self._sleep(self._plan.wait_s(self._clock.monotonic_ns()))
            await self.run_due()

    async def run_due(self) -> None:
        """Do what is due now. What was removed is one act in the journal, also when this is cut off."""
        removed: Counter[str] = Counter()
        self._worked_from_ns = self._clock.monotonic_ns()
        try:
            for name in self._plan.due(self._clock.monotonic_ns()):
                await self._do(name, removed)
        finally:
            gone = {what: count for what, count in sorted(removed.items()) if count}
            if gone:
                await self._tell(gone)

    async def _do(self, name: str, removed: Counter[str]) -> None:
        well = False
        try:
            await self._chores[name].run(self._now_ms(), self._breathe, removed)
            well = True
        except StoreError as error:
            self.counters["failures"] += 1
            log.error("a chore failed and is tried again later", chore=name, error=str(error))
        finally:
            self._plan.done(name, self._clock.monotonic_ns(), well=well)

    async def _tell(self, gone: Mapping[str, int]) -> None:
        self.counters.update({f"removed_{what}": count for what, count in gone.items()})
        log.info("what was old is forgotten", **gone)
        try:
            await self._ledger.forgotten(system(self._now_ms()), gone)
        except StoreError as error:
            self.counters["failures"] += 1
            log.error("what was forgotten is not written down", error=str(error))

    async def _breathe(self) -> None:
        worked_s = (self._clock.monotonic_ns() - self._worked_from_ns) / NS_PER_S
        await self._sleep(max(LEAST_PAUSE_S, worked_s * (1 - SHARE) / SHARE))
        self._worked_from_ns = self._clock.monotonic_ns()

    def _now_ms(self) -> int:
        return self._clock.utc_ns() // 1_000_000
