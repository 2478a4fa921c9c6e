"""What was done, to be read and partly forgotten: the audit chain, events, keys of acts that happened once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.journal.chain import Link
from loa.broadcast.records import AuditEntry, DoneBefore
from loa.broadcast.store import journal as stored
from loa.broadcast.store.database import Database
from loa.broadcast.store.journal import AuditFilter
from loa.broadcast.store.paging import FIRST, Page

_CHUNK = 1000


class Ledger:
    """Reads what journal.record wrote."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def done(self, actor: str, key: str) -> DoneBefore | None:
        """What the actor has done under an `Idempotency-Key`."""
        async with self._db.read() as connection:
            return await stored.used_key(connection, actor, key)

    async def done_by_now(self, actor: str, key: str) -> DoneBefore | None:
        """`done`, after all that writers have begun: what they did is durable when this returns."""
        async with self._db.write() as connection:
            return await stored.used_key(connection, actor, key)

    async def entries(self, page: Page = FIRST, only: AuditFilter = AuditFilter()) -> list[AuditEntry]:  # noqa: B008
        """A page of the audit log's entries."""
        async with self._db.read() as connection:
            return await stored.entries(connection, page, only)

    async def forget_events(self, before_ms: int, most: int) -> int:
        """Forget events from before then, the oldest first and at most so many; how many."""
        async with self._db.write() as connection:
            return await stored.forget_events(connection, before_ms, most)

    async def forget_keys(self, before_ms: int, most: int) -> int:
        """Forget the keys of acts from before then, at most so many; how many."""
        async with self._db.write() as connection:
            return await stored.forget_keys(connection, before_ms, most)

    async def forgotten(self, act: Act, gone: Mapping[str, int]) -> None:
        """Write down how many of what was forgotten. The audit chain itself forgets nothing."""
        async with self._db.write() as connection:
            await journal.record(connection, act, "retention.forget", "retention", after=gone)

    async def links(self, after_seq: int = 0) -> AsyncIterator[list[Link]]:
        """The chain in its order, after entry `after_seq`, some links at a time, up to its end now."""
        while True:
            async with self._db.read() as connection:
                links = await stored.links(connection, after_seq, _CHUNK)
            if links:
                yield links
                after_seq = links[-1].seq
            if len(links) < _CHUNK:
                return
