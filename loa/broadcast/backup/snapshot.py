"""One state of the store, written into an archive: its manifest, and all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from loa import __version__
from loa.broadcast.backup.archive import ArchiveWriter, Sink
from loa.broadcast.backup.manifest import AudioContent, AuditEnd, Manifest, TableContent
from loa.broadcast.backup.parts import Part, PartKind
from loa.broadcast.journal.digest_folder import DigestFolder, digest_name
from loa.broadcast.store.copying import NamedAudio, Tables
from loa.broadcast.store.row_format import Column, RowPacker, encode_row
from loa.broadcast.store.unmigrated import known_revisions
from loa.errors import AuditError, StoreError


@dataclass(frozen=True, slots=True)
class Beside:
    """What goes into a backup beside the rows: key files by name, and where the digests are."""

    keys: dict[str, bytes]
    digests: Path
    pool: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was written. `digests`: those of its entries, by name; `unread`: what is wrong with others."""

    writer: ArchiveWriter
    manifest: Manifest
    audio: list[NamedAudio]
    digests: dict[str, bytes]
    unread: list[str]


async def write_snapshot(
    connection: AsyncConnection,
    sink: Sink,
    backup_id: UUID,
    made_ms: int,
    beside: Beside,
    progress: Callable[[int, int], None],
) -> Snapshot:
    """Begin an archive with the connection's state of the store; `progress(rows, of_all)` as they are written.

    StoreError for a store that this program does not know, or that holds what cannot be carried over.
    """
    tables = await Tables.find(connection)
    if tables.revision not in known_revisions():
        raise StoreError(f"the store has the form {tables.revision}, which a newer Loa has made: use that one")
    forms = tables.forms()
    counts = {name: await tables.count(connection, name) for name in forms}
    audio = await tables.audio(connection)
    last = await tables.newest_entry(connection)
    digests, unread = _digests(DigestFolder(beside.digests), 0 if last is None else last[0], made_ms)
    manifest = Manifest(
        format="loa-backup",
        version=1,
        id=backup_id,
        made_ms=made_ms,
        program=f"loa {__version__}",
        schema=tables.revision,
        database="postgresql" if connection.dialect.name == "postgresql" else "sqlite",
        tables=[_content(name, counts[name], columns) for name, columns in forms.items()],
        audit=None if last is None else AuditEnd(last[0], last[1].hex()),
        audio=AudioContent(len(audio), sum(each.size_bytes for each in audio), beside.pool),
        keys=sorted(beside.keys),
        digests=sorted(digests),
    )
    writer = ArchiveWriter(sink, manifest)
    done, of_all = 0, sum(counts.values())
    for name, columns in forms.items():
        packer, number, written = RowPacker(), 0, 0
        async for rows in tables.rows(connection, name):
            for row in rows:
                if part := packer.add(_line(name, row, columns)):
                    number += 1
                    writer.add(Part(PartKind.ROWS, name, number), part)
            written += len(rows)
            progress(done + written, of_all)
        if part := packer.rest():
            writer.add(Part(PartKind.ROWS, name, number + 1), part)
        if written != counts[name]:
            raise StoreError(f"{name} has changed while it was read: the database gives no snapshot")
        done += written
    return Snapshot(writer, manifest, audio, digests, unread)


def _content(name: str, rows: int, columns: Sequence[Column]) -> TableContent:
    return TableContent(name, rows, [(column.name, column.kind) for column in columns])


def _line(name: str, row: Sequence[Any], columns: Sequence[Column]) -> bytes:
    try:
        return encode_row(row, columns)
    except ValueError as error:
        raise StoreError(f"a row of {name} cannot be carried over: {error}") from error


def _digests(folder: DigestFolder, newest_seq: int, made_ms: int) -> tuple[dict[str, bytes], list[str]]:
    """The digests that speak of nothing newer than the snapshot, and what is wrong with others."""
    found: dict[str, bytes] = {}
    unread: list[str] = []
    for day in folder.days():
        path = folder.path / digest_name(day)
        try:
            digest = folder.read(day)
            if digest.seq <= newest_seq:
                found[path.name] = path.read_bytes()
            elif digest.made_ms < made_ms:
                unread.append(f"{path} tells of entry {digest.seq}, and the audit log ends at {newest_seq}")
        except (AuditError, StoreError, OSError) as error:
            unread.append(str(error))
    return found, unread
