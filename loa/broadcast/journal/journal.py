"""What was done is written down in the transaction that does it: for the record, for those who watch, and for the
caller who asks again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import chain
from loa.broadcast.journal.act import Act
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import journal as stored
from loa.model import id_text


async def record(
    connection: AsyncConnection,
    act: Act,
    action: str,
    subject: str,
    *,
    areas: Iterable[bytes] = (),
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down, in the caller's transaction, that `act` did `action` to `subject` ("area:<uuid>").

    `areas`: where it happened; who may see one of them, or one above it, is told by an event. `before` and `after`
    hold only what JSON can say and only what may be kept for ever: no secret, no hash of one. Conflict when the act
    has a key that its actor has used.
    """
    where = sorted(set(areas))
    fields = {
        "at_ms": act.now_ms,
        "actor": act.actor,
        "name": act.name,
        "origin": act.origin,
        "request_id": act.request_id,
        "action": action,
        "subject": subject,
        "areas": [id_text(area) for area in where],
        "before": before,
        "after": after,
    }
    last = await stored.last_link(connection)
    seq = 1 if last is None else last.seq + 1
    entry = chain.entry_text({"seq": seq, **fields})
    link = chain.Link(seq, entry, chain.next_hash(chain.GENESIS if last is None else last.hash, entry))
    await stored.insert_link(connection, link, at_ms=act.now_ms, actor=act.actor, action=action, subject=subject)
    await tell(connection, act.now_ms, action, subject, areas=where, data=after)
    if act.key:
        await stored.insert_key(connection, act.actor, act.key, act.fingerprint, subject, act.now_ms)


async def tell(
    connection: AsyncConnection,
    now_ms: int,
    kind: str,
    subject: str,
    *,
    areas: Iterable[bytes] = (),
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write an event down for those who watch; without a trace in the audit log."""
    where = sorted(set(areas))
    paths = await stored_areas.paths(connection, where)
    reach = sorted(frozenset().union(*paths.values()))
    await stored.insert_event(connection, now_ms, kind, subject, where, reach, chain.entry_text(data or {}))
