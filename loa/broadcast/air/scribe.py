"""Writes down what broadcasts have become: the latest value of each, again and again until the store takes it.

The voice does not wait for the store. What is not written yet is remembered here, and asked for here first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from loa.broadcast.records import Broadcast
from loa.errors import StoreError

PERIOD_S = 1.0
"""How long progress may wait, so that many broadcasts make few transactions."""
RETRY_S = (0.5, 1.0, 2.0, 5.0)

log = structlog.get_logger("loa.air")
Save = Callable[..., Awaitable[None]]


class Scribe:
    """One writer for all broadcasts. `run` it as a task; it holds one value for each broadcast not yet written."""

    def __init__(self, save: Save) -> None:
        """`save(*broadcasts)`: one transaction."""
        self._save = save
        self._waiting: dict[bytes, Broadcast] = {}
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.failures = 0

    def put(self, broadcast: Broadcast, *, urgent: bool = False) -> None:
        """Have a broadcast written: soon, or, when it is `urgent`, at once."""
        self._waiting[broadcast.id] = broadcast
        self._idle.clear()
        if urgent:
            self._urgent.set()

    def unwritten(self) -> dict[bytes, Broadcast]:
        """What the store has not been told yet, by broadcast id. Take it before the store is asked: a copy."""
        return dict(self._waiting)

    async def settled(self) -> None:
        """Wait until all that was put is written."""
        self._urgent.set()
        await self._idle.wait()

    async def run(self) -> None:
        """Write, for ever."""
        attempt = 0
        while True:
            try:
                await asyncio.wait_for(self._urgent.wait(), PERIOD_S)
            except TimeoutError:
                if not self._waiting:
                    continue
            self._urgent.clear()
            taken = dict(self._waiting)
            try:
                if taken:
                    await self._save(*taken.values())
            except StoreError as error:
                self.failures += 1
                log.error("broadcasts not written down", count=len(taken), error=str(error))
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1
                self._urgent.set()
                continue
            attempt = 0
            for broadcast_id, written in taken.items():
                if self._waiting.get(broadcast_id) is written:
                    del self._waiting[broadcast_id]
            if self._waiting:
                continue
            self._idle.set()
