"""The parts of a running core, each asked again and again, so that whoever wants to know need not wait."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

import structlog

PERIOD_S = 1.0
COUNT_PERIOD_S = 15.0
ANSWER_S = 2.0
LATE_S = 0.5
CLOSE_S = 1.0
LATENESS_ROUNDS = 60
_NOT_ASKED = "not asked yet"

log = structlog.get_logger("loa.health")
T = TypeVar("T")


class Probe(Generic[T]):
    """One question, asked every `period_s`, with ANSWER_S to answer it.

    A part that hangs is asked once and not again until it has answered, so that no heap of questions grows.
    """

    def __init__(self, part: str, ask: Callable[[], Awaitable[T]], period_s: float = PERIOD_S) -> None:
        """Whatever `ask` raises is told as the part's fault. `part`: its name in the log."""
        self.part = part
        self.value: T | None = None
        self.fault = _NOT_ASKED
        self._ask = ask
        self._period_s = period_s
        self._asking: asyncio.Task[T] | None = None

    @property
    def answers(self) -> bool:
        """Whether the last question was answered, and in time."""
        return not self.fault

    async def round(self) -> None:
        """Ask, or go on waiting for the answer to an earlier question."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._question())
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ANSWER_S
        await asyncio.wait({self._asking}, timeout=ANSWER_S)
        if not self._asking.done():
            if loop.time() > until_s + LATE_S:
                return  # the event loop was late itself: it has not looked whether there is an answer
            self._now(f"no answer within {ANSWER_S:g} s")
            return
        asked, self._asking = self._asking, None
        if (error := asked.exception()) is None:
            self.value = asked.result()
        self._now("" if error is None else str(error) or repr(error))

    async def run(self) -> None:
        """Ask, for ever."""
        try:
            while True:
                await self.round()
                await asyncio.sleep(self._period_s)
        finally:
            if self._asking is not None:
                self._asking.cancel()
                await asyncio.wait({self._asking}, timeout=CLOSE_S)

    async def _question(self) -> T:
        return await self._ask()

    def _now(self, fault: str) -> None:
        if fault and fault != self.fault:
            log.error("a part does not answer", part=self.part, error=fault)
        elif not fault and self.fault not in ("", _NOT_ASKED):
            log.info("a part answers", part=self.part)
        self.fault = fault


class Health:
    """The probes of a core, and how late its event loop is."""

    def __init__(
        self, folder: Path, read_store: Callable[[], Awaitable[None]], count: Callable[[], Awaitable[int]]
    ) -> None:
        """`read_store` reads something; `count` gives the number of enrolled endpoints."""
        self.store = Probe("store", read_store)
        self.disk = Probe("disk", lambda: asyncio.to_thread(_free_bytes, folder))
        self.enrolled = Probe("endpoints", count, COUNT_PERIOD_S)
        self._lateness: deque[float] = deque([0.0], maxlen=LATENESS_ROUNDS)

    async def first_look(self) -> None:
        """Ask everything once."""
        await asyncio.gather(self.store.round(), self.disk.round(), self.enrolled.round())

    async def run(self) -> None:
        """Ask, for ever."""
        tasks = [asyncio.create_task(probe.run()) for probe in (self.store, self.disk, self.enrolled)]
        try:
            await self._watch_loop()
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task

    async def _watch_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            self._lateness.append(max(0.0, loop.time() - due_s))

    def gauges(self) -> Mapping[str, float]:
        """By full name without the prefix. What is not known is not there."""
        values = {
            "store_up": float(self.store.answers),
            "event_loop_late_seconds": max(self._lateness),
        }
        if self.disk.answers and self.disk.value is not None:
            values["disk_free_bytes"] = self.disk.value
        if self.enrolled.value is not None:
            values["endpoints_enrolled"] = self.enrolled.value
        return values


def _free_bytes(folder: Path) -> int:
    """What this process may still write there."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
