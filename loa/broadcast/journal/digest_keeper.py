"""Writes a digest of the audit chain whenever a day is over, and looks whether the earlier ones still hold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date

import structlog

from loa.broadcast.journal.chain import Link
from loa.broadcast.journal.digest import Digest, due_day, next_look_ms
from loa.broadcast.journal.digest_folder import DigestFolder
from loa.broadcast.store import journal as stored
from loa.broadcast.store.database import Database
from loa.codecs.signed import SigningKey
from loa.errors import AuditError, StoreError
from loa.timing.clock import Clock
from loa.timing.local_days import day_of

RETRY_S = 60.0
LONGEST_WAIT_S = 3600.0
"""The clock may be set meanwhile, so it is asked every so often."""

log = structlog.get_logger("loa.audit")


class DigestKeeper:
    """Keeps the digests in a folder. `run` it as a task; `signer` gives the order key in use."""

    def __init__(self, db: Database, folder: DigestFolder, signer: Callable[[], SigningKey], clock: Clock) -> None:
        self._db = db
        self._folder = folder
        self._signer = signer
        self._clock = clock
        self.contradicted = 0
        """How many digests the log contradicted when that was last looked at."""

    async def run(self) -> None:
        """Look now, and again whenever a day is over, for ever."""
        checked = False
        while True:
            now_ms = self._now_ms()
            wait_s = min((next_look_ms(now_ms) - now_ms) / 1000, LONGEST_WAIT_S)
            try:
                written = await self.keep()
                if written or not checked:
                    await self.check()
                    checked = True
            except StoreError as error:
                log.error("the digest of the audit log cannot be kept", error=str(error))
                wait_s = RETRY_S
            await asyncio.sleep(wait_s)

    def _now_ms(self) -> int:
        return self._clock.utc_ns() // 1_000_000

    async def keep(self) -> bool:
        """Write the digest that is due; whether one was. StoreError."""
        now_ms = self._now_ms()
        days = await asyncio.to_thread(self._folder.days)
        day = due_day(days[-1] if days else None, now_ms)
        if day is None:
            return False
        async with self._db.read() as connection:
            last = await stored.last_link(connection)
            first = await stored.link_at(connection, 1)
        if last is None or (not days and first is not None and _day(first) > day):
            return False  # on the day that is over there was no log yet
        before = 0
        if days:
            try:
                before = (await asyncio.to_thread(self._folder.read, days[-1])).seq
            except AuditError as error:
                log.error("a digest of the audit log does not hold", error=str(error))
        digest = Digest(day, last.seq, last.hash, max(0, last.seq - before), now_ms)
        await asyncio.to_thread(self._folder.write, day, digest.seal(self._signer()))
        log.info("the audit log's digest is written", day=day.isoformat(), seq=last.seq, hash=last.hash.hex())
        return True

    async def check(self) -> list[str]:
        """Say loudly which digests the log contradicts, and return that in words, the oldest first. StoreError."""
        found = []
        for day in await asyncio.to_thread(self._folder.days):
            try:
                digest = await asyncio.to_thread(self._folder.read, day)
            except AuditError as error:
                found.append(str(error))
                continue
            async with self._db.read() as connection:
                link = await stored.link_at(connection, digest.seq)
            if digest.contradicts(link):
                what = "is another one" if link else "is not there any more"
                found.append(f"entry {digest.seq} of the audit log {what}, says the digest of {day}")
        for fault in found:
            log.error("THE AUDIT LOG WAS CHANGED: run `loa check audit`", fault=fault)
        self.contradicted = len(found)
        return found


def _day(link: Link) -> date:
    return day_of(json.loads(link.entry)["at_ms"])
