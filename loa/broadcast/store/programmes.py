"""Programmes in the store."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Row, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.records import Programme, ProgrammeClass
from loa.broadcast.store import areas as stored_areas
from loa.broadcast.store.broadcasts import UNFINISHED
from loa.broadcast.store.database import Database
from loa.broadcast.store.nearby import near, within
from loa.broadcast.store.paging import FIRST, Page, paged
from loa.broadcast.store.tables import broadcast, programme
from loa.errors import Changed, Conflict, NotFound
from loa.model import id_text


def _programme(row: Row[Any]) -> Programme:
    values = dict(row._mapping)
    return Programme(**{**values, "klass": ProgrammeClass(values["klass"])})


@dataclass(frozen=True, slots=True)
class ProgrammeFilter:
    """Which programmes, made when (`since_ms` inclusive, `until_ms` not); what is None does not matter.

    `area_id`: of this area or of one below it. `seen_from`: of the whole city, or of an area that is one of these,
    below one, or above one.
    """

    klass: ProgrammeClass | None = None
    area_id: bytes | None = None
    seen_from: frozenset[bytes] | None = None
    since_ms: int | None = None
    until_ms: int | None = None


EVERY_PROGRAMME = ProgrammeFilter()


class Programmes:
    """Stored recordings: what is known of them. Their sound lies with content/library.py.

    A deleted programme is marked and no longer found; broadcasts keep what they need to tell of it.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, new: Programme, act: Act) -> None:
        """Write a new programme down; NotFound for an area that is none, Conflict for an act that has happened."""
        async with self._db.write() as connection:
            if new.area_id is not None and not await stored_areas.known(connection, [new.area_id]):
                raise NotFound(f"no area {id_text(new.area_id)}")
            await connection.execute(
                programme.insert().values(
                    id=new.id,
                    title=new.title,
                    klass=str(new.klass),
                    sha256=new.sha256,
                    samples=new.samples,
                    frames=new.frames,
                    frame_samples=new.frame_samples,
                    duration_ms=new.duration_ms,
                    size_bytes=new.size_bytes,
                    loudness_lufs=new.loudness_lufs,
                    created_ms=new.created_ms,
                    area_id=new.area_id,
                    owner=new.owner,
                    version=new.version,
                    deleted_ms=new.deleted_ms,
                )
            )
            after = {**_described(new), "duration_ms": new.duration_ms, "sha256": new.sha256.hex()}
            await journal.record(connection, act, "programme.create", _subject(new), areas=_areas(new), after=after)

    async def get(self, programme_id: bytes, seen_from: frozenset[bytes] | None = None) -> Programme:
        """The programme; NotFound, also for one that was deleted, or is not seen from there (ProgrammeFilter)."""
        async with self._db.read() as connection:
            return await _get(connection, programme_id, seen_from)

    async def list(self, page: Page = FIRST, only: ProgrammeFilter = EVERY_PROGRAMME) -> list[Programme]:
        """A page of the programmes; BadCursor."""
        query = select(programme).where(programme.c.deleted_ms.is_(None))
        if only.klass is not None:
            query = query.where(programme.c.klass == str(only.klass))
        if only.area_id is not None:
            query = query.where(within(programme.c.area_id, [only.area_id], "asked"))
        if only.seen_from is not None:
            query = query.where(_seen_from(only.seen_from))
        if only.since_ms is not None:
            query = query.where(programme.c.created_ms >= only.since_ms)
        if only.until_ms is not None:
            query = query.where(programme.c.created_ms < only.until_ms)
        async with self._db.read() as connection:
            return [_programme(row) for row in await connection.execute(paged(query, programme, page))]

    async def change(
        self,
        programme_id: bytes,
        expected: int | None,
        act: Act,
        *,
        title: str | None = None,
        klass: ProgrammeClass | None = None,
    ) -> Programme:
        """The programme with another title or class (None: as it is); NotFound.

        `expected`: the version that was seen, None for any; Changed when it is another.
        """
        async with self._db.write() as connection:
            found = await _get(connection, programme_id)
            if expected is not None and found.version != expected:
                raise Changed(f"the programme is at version {found.version}")
            changed = replace(found, title=title or found.title, klass=klass or found.klass)
            if changed == found:
                return found
            changed = replace(changed, version=found.version + 1)
            await connection.execute(
                programme.update()
                .where(programme.c.id == programme_id)
                .values(title=changed.title, klass=str(changed.klass), version=changed.version)
            )
            await journal.record(
                connection,
                act,
                "programme.change",
                _subject(found),
                areas=_areas(found),
                before=_described(found),
                after=_described(changed),
            )
        return changed

    async def delete(self, programme_id: bytes, act: Act) -> None:
        """Take the programme away; NotFound; Conflict while it is on air."""
        async with self._db.write() as connection:
            found = await _get(connection, programme_id)
            unfinished = [str(state) for state in UNFINISHED]
            query = select(broadcast.c.id).where(
                broadcast.c.programme_id == programme_id, broadcast.c.state.in_(unfinished)
            )
            if (await connection.execute(query.limit(1))).first() is not None:
                raise Conflict("this programme is on air")
            await connection.execute(
                programme.update().where(programme.c.id == programme_id).values(deleted_ms=act.now_ms)
            )
            await journal.record(
                connection, act, "programme.delete", _subject(found), areas=_areas(found), before=_described(found)
            )

    async def naming(self, digests: Collection[bytes], deleted_since_ms: int) -> set[bytes]:
        """Those of the digests that programmes name which are there, or were deleted at that time or later."""
        kept = or_(programme.c.deleted_ms.is_(None), programme.c.deleted_ms >= deleted_since_ms)
        query = select(programme.c.sha256).distinct().where(programme.c.sha256.in_(list(digests)), kept)
        async with self._db.read() as connection:
            return set((await connection.execute(query)).scalars())


def _seen_from(areas: frozenset[bytes]) -> ColumnElement[bool]:
    return or_(programme.c.area_id.is_(None), near(programme.c.area_id, areas, "seen"))


async def _get(
    connection: AsyncConnection, programme_id: bytes, seen_from: frozenset[bytes] | None = None
) -> Programme:
    query = select(programme).where(programme.c.id == programme_id, programme.c.deleted_ms.is_(None))
    if seen_from is not None:
        query = query.where(_seen_from(seen_from))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"no programme {id_text(programme_id)}")
    return _programme(row)


def _subject(value: Programme) -> str:
    return f"programme:{id_text(value.id)}"


def _areas(value: Programme) -> list[bytes]:
    return [] if value.area_id is None else [value.area_id]


def _described(value: Programme) -> dict[str, Any]:
    """What people say of a programme, as the journal tells of it."""
    area = None if value.area_id is None else id_text(value.area_id)
    return {"title": value.title, "class": str(value.klass), "area_id": area}
