"""The audit chain, the events, and the keys of acts that must happen once. Each works in the caller's transaction.

Writers come one after the other, so the numbers of entries and events have no gap, and are seen in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal.chain import Link
from loa.broadcast.records import DoneBefore, Event
from loa.broadcast.store.tables import audit, done_once, event
from loa.model import ID_BYTES


async def last_link(connection: AsyncConnection) -> Link | None:
    """The newest entry of the audit chain."""
    query = select(audit.c.seq, audit.c.entry, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Link(*row)


async def links(connection: AsyncConnection, after_seq: int, limit: int) -> list[Link]:
    """Up to `limit` entries of the chain, after `after_seq`."""
    query = select(audit.c.seq, audit.c.entry, audit.c.hash).where(audit.c.seq > after_seq)
    return [Link(*row) for row in await connection.execute(query.order_by(audit.c.seq).limit(limit))]


async def insert_link(
    connection: AsyncConnection, link: Link, *, at_ms: int, actor: str, action: str, subject: str
) -> None:
    """Add an entry; what follows it is written beside its text so that it can be asked for."""
    await connection.execute(
        audit.insert().values(
            seq=link.seq,
            at_ms=at_ms,
            actor=actor,
            action=action,
            subject=subject,
            entry=link.entry,
            hash=link.hash,
        )
    )


async def insert_event(
    connection: AsyncConnection, at_ms: int, kind: str, subject: str, reach: Sequence[bytes], data: str
) -> None:
    """Add an event under the next number."""
    last = (await connection.execute(select(func.max(event.c.seq)))).scalar_one_or_none() or 0
    await connection.execute(
        event.insert().values(
            seq=last + 1, at_ms=at_ms, kind=kind, subject=subject, reach=b"".join(reach), data=data
        )
    )


async def events(connection: AsyncConnection, after_seq: int, limit: int) -> list[Event]:
    """Up to `limit` events in their order, after `after_seq`."""
    query = select(event).where(event.c.seq > after_seq).order_by(event.c.seq).limit(limit)
    return [_event(row) for row in await connection.execute(query)]


async def event_range(connection: AsyncConnection) -> tuple[int, int]:
    """The numbers of the oldest and the newest event that are kept; (0, 0) when there is none."""
    row = (await connection.execute(select(func.min(event.c.seq), func.max(event.c.seq)))).one()
    return row[0] or 0, row[1] or 0


def _event(row: Row[Any]) -> Event:
    values = dict(row._mapping)
    packed = values["reach"]
    reach = frozenset(packed[at : at + ID_BYTES] for at in range(0, len(packed), ID_BYTES))
    return Event(**{**values, "reach": reach})


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
