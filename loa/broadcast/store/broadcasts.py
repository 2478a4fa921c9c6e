"""Broadcasts in the store."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act, system
from loa.broadcast.records import Broadcast, PreEmption
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store.database import Database
from loa.broadcast.store.nearby import broadcast_near
from loa.broadcast.store.paging import FIRST, Page, paged
from loa.broadcast.store.tables import broadcast, broadcast_target, programme
from loa.errors import Conflict, NotFound
from loa.model import ID_BYTES, BroadcastState, id_text

UNFINISHED = (BroadcastState.PREPARING, BroadcastState.ON_AIR)
_PRE_EMPTION = struct.Struct(">qqI")
_GOES_ON = -1


def _broadcast(row: Row[Any]) -> Broadcast:
    values = dict(row._mapping)
    del values["folding_ms"], values["folded_ms"]
    return Broadcast(
        **{
            **values,
            "state": BroadcastState(values["state"]),
            "areas": _split(values["areas"]),
            "endpoints": _split(values["endpoints"]),
            "pre_empted": tuple(_pre_emptions(values["pre_empted"])),
        }
    )


def _split(packed: bytes) -> tuple[bytes, ...]:
    return tuple(packed[at : at + ID_BYTES] for at in range(0, len(packed), ID_BYTES))


def _pre_emptions(packed: bytes) -> Iterable[PreEmption]:
    for from_ms, to_ms, endpoints in _PRE_EMPTION.iter_unpack(packed):
        yield PreEmption(from_ms, None if to_ms == _GOES_ON else to_ms, endpoints)


def _packed(pre_empted: Iterable[PreEmption]) -> bytes:
    return b"".join(
        _PRE_EMPTION.pack(each.from_ms, _GOES_ON if each.to_ms is None else each.to_ms, each.endpoints)
        for each in pre_empted
    )


def _values(value: Broadcast) -> dict[str, Any]:
    """What may change while it is on air."""
    return {
        "state": str(value.state),
        "generation": value.generation,
        "ssrc": value.ssrc,
        "start_utc_ms": value.start_utc_ms,
        "ended_utc_ms": value.ended_utc_ms,
        "frames_aired": value.frames_aired,
        "reason": value.reason,
        "pre_empted": _packed(value.pre_empted),
    }


async def create(connection: AsyncConnection, new: Broadcast, act: Act) -> None:
    """Write a new broadcast down, and that `act` started it; a state that it has already reached is told too.

    Conflict without its programme, or when the act has happened before.
    """
    query = select(programme.c.id).where(programme.c.id == new.programme_id, programme.c.deleted_ms.is_(None))
    if (await connection.execute(query)).first() is None:
        raise Conflict("the programme is not there")
    await connection.execute(
        broadcast.insert().values(
            id=new.id,
            programme_id=new.programme_id,
            programme_title=new.programme_title,
            programme_sha256=new.programme_sha256,
            priority=new.priority,
            volume=new.volume,
            play_delay_ms=new.play_delay_ms,
            areas=b"".join(new.areas),
            endpoints=b"".join(new.endpoints),
            created_ms=new.created_ms,
            frames_total=new.frames_total,
            **_values(new),
        )
    )
    areas = await _insert_targets(connection, new)
    after = {
        "programme_id": id_text(new.programme_id),
        "priority": new.priority,
        "volume": new.volume,
        "areas": [id_text(area) for area in new.areas],
        "endpoints": [id_text(endpoint) for endpoint in new.endpoints],
    }
    subject = f"broadcast:{id_text(new.id)}"
    await journal.record(connection, act, "broadcast.start", subject, areas=areas, after=after)
    if new.state is not BroadcastState.PREPARING:
        await _tell_state(connection, new, areas)


async def save(connection: AsyncConnection, changed: Broadcast) -> None:
    """Overwrite a broadcast with what it is now; NotFound. A new state is told, and an end is written down."""
    query = select(broadcast.c.state).where(broadcast.c.id == changed.id)
    before = (await connection.execute(query)).scalar_one_or_none()
    if before is None:
        raise NotFound(f"no broadcast {id_text(changed.id)}")
    await connection.execute(broadcast.update().where(broadcast.c.id == changed.id).values(**_values(changed)))
    if before == changed.state:
        return
    await _tell_state(connection, changed, await _targets(connection, changed.id))


async def _tell_state(connection: AsyncConnection, changed: Broadcast, areas: Iterable[bytes]) -> None:
    """Tell what a broadcast has become; its end is recorded too."""
    action, subject = f"broadcast.{changed.state}", f"broadcast:{id_text(changed.id)}"
    after = {"state": str(changed.state), "reason": changed.reason, "frames_aired": changed.frames_aired}
    if changed.state in UNFINISHED:
        at_ms = changed.start_utc_ms or changed.created_ms
        await journal.tell(connection, at_ms, action, subject, areas=areas, data=after)
    else:
        act = system(changed.ended_utc_ms or changed.created_ms)
        await journal.record(connection, act, action, subject, areas=areas, after=after)


async def _targets(connection: AsyncConnection, broadcast_id: bytes) -> set[bytes]:
    """The areas that a broadcast is for, those of its endpoints too."""
    query = select(broadcast_target.c.area_id).where(broadcast_target.c.broadcast_id == broadcast_id)
    return set((await connection.execute(query)).scalars())


async def _insert_targets(connection: AsyncConnection, new: Broadcast) -> set[bytes]:
    """Write down whom a new broadcast is for, where its endpoints stand now; the areas."""
    whole = set(new.areas)
    standing = await stored_endpoints.areas_of(connection, new.endpoints)
    areas = whole | set(standing.values())
    rows = [{"broadcast_id": new.id, "area_id": each, "whole": each in whole} for each in sorted(areas)]
    if rows:
        await connection.execute(broadcast_target.insert(), rows)
    return areas


async def unfinished(connection: AsyncConnection) -> list[Broadcast]:
    """All that are preparing or on air."""
    query = select(broadcast).where(broadcast.c.state.in_([str(state) for state in UNFINISHED]))
    return [_broadcast(row) for row in await connection.execute(query.order_by(broadcast.c.id))]


@dataclass(frozen=True, slots=True)
class BroadcastFilter:
    """Which broadcasts, made when (`since_ms` inclusive, `until_ms` not); what is None does not matter.

    `area_id`: that were for this area, something in it, or all of an area above it. `seen_from`: the same of one of
    these areas.
    """

    state: BroadcastState | None = None
    programme_id: bytes | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    area_id: bytes | None = None
    seen_from: frozenset[bytes] | None = None


EVERY_BROADCAST = BroadcastFilter()


class Broadcasts:
    """What is, was or comes on air."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def record_stop(self, value: Broadcast, act: Act) -> None:
        """Write down who stopped a broadcast before it began, so that no order says it."""
        async with self._db.write() as connection:
            areas = await _targets(connection, value.id)
            await journal.record(connection, act, "broadcast.stop", f"broadcast:{id_text(value.id)}", areas=areas)

    async def save(self, *changed: Broadcast) -> None:
        """Overwrite broadcasts with what they are now, in one transaction. One whose start was undone, so that the
        store does not have it, is left out."""
        async with self._db.write() as connection:
            for each in changed:
                with suppress(NotFound):
                    await save(connection, each)

    async def get(self, broadcast_id: bytes) -> Broadcast:
        """The broadcast; NotFound."""
        async with self._db.read() as connection:
            rows = await connection.execute(select(broadcast).where(broadcast.c.id == broadcast_id))
            row = rows.one_or_none()
        if row is None:
            raise NotFound(f"no broadcast {id_text(broadcast_id)}")
        return _broadcast(row)

    async def list(self, page: Page = FIRST, only: BroadcastFilter = EVERY_BROADCAST) -> list[Broadcast]:
        """A page of the broadcasts; BadCursor."""
        query = select(broadcast)
        if only.state is not None:
            query = query.where(broadcast.c.state == str(only.state))
        if only.programme_id is not None:
            query = query.where(broadcast.c.programme_id == only.programme_id)
        if only.since_ms is not None:
            query = query.where(broadcast.c.created_ms >= only.since_ms)
        if only.until_ms is not None:
            query = query.where(broadcast.c.created_ms < only.until_ms)
        if only.area_id is not None:
            query = query.where(broadcast_near([only.area_id], "asked"))
        if only.seen_from is not None:
            query = query.where(broadcast_near(only.seen_from, "seen"))
        async with self._db.read() as connection:
            return [_broadcast(row) for row in await connection.execute(paged(query, broadcast, page))]

    async def is_near(self, broadcast_id: bytes, areas: frozenset[bytes]) -> bool:
        """Whether the broadcast was for one of these areas, something in one, or all of an area above one."""
        query = select(broadcast.c.id).where(broadcast.c.id == broadcast_id, broadcast_near(areas, "seen"))
        async with self._db.read() as connection:
            return (await connection.execute(query)).first() is not None

    async def unfinished(self) -> Sequence[Broadcast]:
        """All that are preparing or on air."""
        async with self._db.read() as connection:
            return await unfinished(connection)
