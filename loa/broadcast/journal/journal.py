"""What was done is written down in the transaction that does it: for the record, for those who watch, and for the
caller who asks again."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import chain
from loa.broadcast.journal.act import Act
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store import journal as stored
from loa.model import id_text

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that an act did: see `record`."""

    action: str
    subject: str
    areas: Collection[bytes] = ()
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


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
    await record_all(connection, act, [Deed(action, subject, frozenset(areas), before, after)])


async def record_all(connection: AsyncConnection, act: Act, deeds: Sequence[Deed]) -> None:
    """Write down all that one act did, as `record` does, in a few statements however much it is.

    The act's key stands for the first of the deeds, which is the whole of them.
    """
    if not deeds:
        return
    last = await stored.last_link(connection)
    links: list[tuple[chain.Link, str, str]] = []
    for number, deed in enumerate(deeds, 1):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)  # others are served between
        seq = 1 if last is None else last.seq + 1
        entry = chain.entry_text({"seq": seq, **_fields(act, deed)})
        last = chain.Link(seq, entry, chain.next_hash(chain.GENESIS if last is None else last.hash, entry))
        links.append((last, deed.action, deed.subject))
    await stored.insert_links(connection, links, at_ms=act.now_ms, actor=act.actor)
    await _tell_all(connection, act.now_ms, deeds)
    if act.key:
        await stored.insert_key(connection, act.actor, act.key, act.fingerprint, deeds[0].subject, act.now_ms)


def _fields(act: Act, deed: Deed) -> dict[str, Any]:
    return {
        "at_ms": act.now_ms,
        "actor": act.actor,
        "name": act.name,
        "origin": act.origin,
        "request_id": act.request_id,
        "action": deed.action,
        "subject": deed.subject,
        "areas": [id_text(area) for area in sorted(set(deed.areas))],
        "before": deed.before,
        "after": deed.after,
    }


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
    await _tell_all(connection, now_ms, [Deed(kind, subject, frozenset(areas), after=data)])


async def _tell_all(connection: AsyncConnection, now_ms: int, deeds: Sequence[Deed]) -> None:
    paths = await stored_areas.paths(connection, {area for deed in deeds for area in deed.areas})
    told = []
    for deed in deeds:
        where = sorted(set(deed.areas))
        reach = sorted({above for area in where for above in paths.get(area, ())})
        told.append((deed.action, deed.subject, where, reach, chain.entry_text(deed.after or {})))
    await stored.insert_events(connection, now_ms, told)
