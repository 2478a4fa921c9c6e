"""Events as they happen, to any number of watchers, each from where it stopped.

The events lie in the store, and only what is read there is told. The newest are kept here too, so that those who
are up to date cost it nothing: one reader asks it, whenever something was committed, however many watch.
"""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from loa.broadcast.records import Event
from loa.broadcast.store import journal as stored
from loa.broadcast.store.database import Database
from loa.errors import StoreError

KEPT = 4096
CHUNK = 512
POLL_S = 2.0
"""How long the reader waits for a sign before it looks by itself: other processes write too, and signs get lost."""
RETRY_S = 1.0

log = structlog.get_logger("loa.journal")


class Feed:
    """The newest events, and a sign to all who wait for the next. `run` it as a task."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._recent: deque[Event] = deque(maxlen=KEPT)
        self._newest = 0
        self._sign = asyncio.Event()
        self._looking = asyncio.Lock()
        self._news = asyncio.Condition()

    @property
    def newest(self) -> int:
        """The number of the newest event that is known here."""
        return self._newest

    async def open(self) -> None:
        """Begin at the newest event, and look whenever this process commits something; StoreError."""
        self._db.after_commit.append(self._sign.set)
        async with self._db.read() as connection:
            _, self._newest = await stored.event_range(connection)

    async def run(self) -> None:
        """Read what comes, for ever."""
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._sign.wait()
            except TimeoutError:
                pass  # another process may have written
            self._sign.clear()
            try:
                await self.look()
            except StoreError as error:
                log.error("events cannot be read", error=str(error))
                await asyncio.sleep(RETRY_S)

    async def look(self) -> None:
        """Take up all that is in the store now; StoreError."""
        async with self._looking:
            while await self._read():
                pass

    async def beyond(self, seq: int) -> int:
        """Wait for an event after number `seq`; the number of the newest one."""
        async with self._news:
            await self._news.wait_for(lambda: self._newest > seq)
        return self._newest

    async def _read(self) -> bool:
        """Take the next events up; whether there may be more."""
        async with self._db.read() as connection:
            events = await stored.events(connection, self._newest, CHUNK)
        if not events:
            return False
        self._recent.extend(events)
        self._newest = events[-1].seq
        self._db.changed()  # before anybody is told of it
        async with self._news:
            self._news.notify_all()
        return len(events) == CHUNK

    async def after(self, seq: int, wait_s: float) -> list[Event]:
        """The events that follow number `seq`, oldest first, some at a time; after `wait_s` without any, none.

        A watcher that finds the first of them not to follow its number has missed what the store has forgotten.
        """
        if seq >= self._newest:
            try:
                async with asyncio.timeout(wait_s):
                    await self.beyond(seq)
            except TimeoutError:
                return []
        if self._recent and self._recent[0].seq <= seq + 1:
            skip = seq + 1 - self._recent[0].seq
            return [self._recent[at] for at in range(skip, min(skip + CHUNK, len(self._recent)))]
        async with self._db.read() as connection:
            return await stored.events(connection, seq, CHUNK)
