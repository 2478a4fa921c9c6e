"""Programmes in the store."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.records import Programme, ProgrammeClass
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import FIRST, Page, paged
from loa.broadcast.store.tables import programme
from loa.errors import NotFound
from loa.model import id_text


def _programme(row: Row[Any]) -> Programme:
    values = dict(row._mapping)
    return Programme(**{**values, "klass": ProgrammeClass(values["klass"])})


class Programmes:
    """Stored recordings: what is known of them. Their sound lies with content/library.py."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, new: Programme, act: Act) -> None:
        """Write a new programme down; Conflict when the act has happened before."""
        async with self._db.write() as connection:
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
                )
            )
            after = {"title": new.title, "class": str(new.klass), "duration_ms": new.duration_ms}
            after["sha256"] = new.sha256.hex()
            await journal.record(connection, act, "programme.create", f"programme:{id_text(new.id)}", after=after)

    async def get(self, programme_id: bytes) -> Programme:
        """The programme; NotFound."""
        async with self._db.read() as connection:
            rows = await connection.execute(select(programme).where(programme.c.id == programme_id))
            row = rows.one_or_none()
        if row is None:
            raise NotFound(f"no programme {id_text(programme_id)}")
        return _programme(row)

    async def list(self, page: Page = FIRST, klass: ProgrammeClass | None = None) -> list[Programme]:
        """A page of the programmes, of one class if it is given; BadCursor."""
        query = select(programme)
        if klass is not None:
            query = query.where(programme.c.klass == str(klass))
        async with self._db.read() as connection:
            return [_programme(row) for row in await connection.execute(paged(query, programme, page))]
