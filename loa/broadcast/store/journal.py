"""The audit chain, the events, and the keys of acts that must happen once. Each works in the caller's transaction.

Writers come one after the other, so the numbers of entries and events have no gap, and are seen in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal.chain import Link
from loa.broadcast.records import AuditEntry, DoneBefore, Event
from loa.broadcast.store.bulk import write
from loa.broadcast.store.paging import Page, paged
from loa.broadcast.store.tables import audit, done_once, event
from loa.model import ID_BYTES


async def last_link(connection: AsyncConnection) -> Link | None:
    """The newest entry of the audit chain."""
    query = select(audit.c.seq, audit.c.entry, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Link(*row)


async def link_at(connection: AsyncConnection, seq: int) -> Link | None:
    """The entry of the audit chain under this number."""
    query = select(audit.c.seq, audit.c.entry, audit.c.hash).where(audit.c.seq == seq)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Link(*row)


async def links(connection: AsyncConnection, after_seq: int, limit: int) -> list[Link]:
    """Up to `limit` entries of the chain, after `after_seq`."""
    query = select(audit.c.seq, audit.c.entry, audit.c.hash).where(audit.c.seq > after_seq)
    return [Link(*row) for row in await connection.execute(query.order_by(audit.c.seq).limit(limit))]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries of the audit log; what is None does not matter. `since_ms` is inclusive, `until_ms` is not."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


async def entries(connection: AsyncConnection, page: Page, only: AuditFilter) -> list[AuditEntry]:
    """A page of the audit log, by number; BadCursor. The page's column must be `seq`."""
    query = select(audit)
    asked = {audit.c.actor: only.actor, audit.c.action: only.action, audit.c.subject: only.subject}
    for column, value in asked.items():
        if value is not None:
            query = query.where(column == value)
    if only.since_ms is not None:
        query = query.where(audit.c.at_ms >= only.since_ms)
    if only.until_ms is not None:
        query = query.where(audit.c.at_ms < only.until_ms)
    return [AuditEntry(**row._mapping) for row in await connection.execute(paged(query, audit, page))]


async def insert_links(
    connection: AsyncConnection, links: Sequence[tuple[Link, str, str]], *, at_ms: int, actor: str
) -> None:
    """Add entries, each with its action and subject; these are written beside its text to be asked for."""
    rows = [
        {
            "seq": link.seq,
            "at_ms": at_ms,
            "actor": actor,
            "action": action,
            "subject": subject,
            "entry": link.entry,
            "hash": link.hash,
        }
        for link, action, subject in links
    ]
    await write(connection, audit.insert(), rows)


async def insert_events(
    connection: AsyncConnection, at_ms: int, told: Sequence[tuple[str, str, Sequence[bytes], Sequence[bytes], str]]
) -> None:
    """Add events under the next numbers: kind, subject, areas, reach and data of each."""
    last = (await connection.execute(select(func.max(event.c.seq)))).scalar_one_or_none() or 0
    rows = [
        {
            "seq": seq,
            "at_ms": at_ms,
            "kind": kind,
            "subject": subject,
            "areas": b"".join(areas),
            "reach": b"".join(reach),
            "data": data,
        }
        for seq, (kind, subject, areas, reach, data) in enumerate(told, last + 1)
    ]
    await write(connection, event.insert(), rows)


async def events(connection: AsyncConnection, after_seq: int, limit: int) -> list[Event]:
    """Up to `limit` events in their order, after `after_seq`."""
    query = select(event).where(event.c.seq > after_seq).order_by(event.c.seq).limit(limit)
    return [_event(row) for row in await connection.execute(query)]


async def raise_newest_event(connection: AsyncConnection, by: int) -> None:
    """Give the newest event a number that is higher by so much: who knows an older one sees that some are gone."""
    newest = select(func.max(event.c.seq)).scalar_subquery()
    await connection.execute(update(event).where(event.c.seq == newest).values(seq=event.c.seq + by))


async def forget_events(connection: AsyncConnection, before_ms: int, most: int) -> int:
    """Forget the oldest events from before then, at most so many; how many.

    Never the newest: its number is where the next begins.
    """
    newest = select(func.max(event.c.seq)).scalar_subquery()
    old = select(event.c.seq).where(event.c.at_ms < before_ms, event.c.seq < newest)
    old = old.order_by(event.c.at_ms, event.c.seq).limit(most)
    return (await connection.execute(delete(event).where(event.c.seq.in_(old)))).rowcount


async def forget_keys(connection: AsyncConnection, before_ms: int, most: int) -> int:
    """Forget the oldest keys of acts from before then, at most so many: the same request would happen again."""
    old = select(done_once.c.actor, done_once.c.key).where(done_once.c.at_ms < before_ms)
    old = old.order_by(done_once.c.at_ms).limit(most)
    of_old = tuple_(done_once.c.actor, done_once.c.key).in_(old)
    return (await connection.execute(delete(done_once).where(of_old))).rowcount


async def event_range(connection: AsyncConnection) -> tuple[int, int]:
    """The numbers of the oldest and the newest event that are kept; (0, 0) when there is none."""
    row = (await connection.execute(select(func.min(event.c.seq), func.max(event.c.seq)))).one()
    return row[0] or 0, row[1] or 0


def _event(row: Row[Any]) -> Event:
    values = dict(row._mapping)
    return Event(**{**values, "areas": _ids(values["areas"]), "reach": _ids(values["reach"])})


def _ids(packed: bytes) -> frozenset[bytes]:
    return frozenset(packed[at : at + ID_BYTES] for at in range(0, len(packed), ID_BYTES))


async def insert_key(
    connection: AsyncConnection, actor: str, key: str, fingerprint: bytes, subject: str, now_ms: int
) -> None:
    """The actor's key has been used for `subject`; Conflict when it was used before."""
    await connection.execute(
        done_once.insert().values(actor=actor, key=key, fingerprint=fingerprint, subject=subject, at_ms=now_ms)
    )


async def used_key(connection: AsyncConnection, actor: str, key: str) -> DoneBefore | None:
    """What the actor has done under this key."""
    query = select(done_once).where(done_once.c.actor == actor, done_once.c.key == key)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else DoneBefore(**row._mapping)
