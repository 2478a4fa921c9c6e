"""A backup read from its beginning to its end: everything in it is checked, and what is wanted of it is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from loa.broadcast.backup.archive import ArchiveReader
from loa.broadcast.backup.manifest import Manifest, TableContent
from loa.broadcast.backup.parts import Part, PartKind
from loa.broadcast.backup.progress import Progress, Step
from loa.broadcast.backup.sealed_file import source
from loa.broadcast.store.copying import Forms
from loa.broadcast.store.row_format import Value, decode_row, unpack_rows
from loa.errors import ConfigError, StoreError, WireError

EXCHANGED = "the backup has been exchanged while it was read"


@dataclass(frozen=True, slots=True)
class BackupFile:
    """Where a backup is, and how it is opened."""

    path: Path
    passphrase: bytes | None = None

    @contextmanager
    def opened(self) -> Iterator[ArchiveReader]:
        """Its archive; ConfigError without a file, WireError and AuthorityError for one that is no backup."""
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror}") from error
        with file:
            try:
                yield ArchiveReader(source(file, self.passphrase))
            except OSError as error:
                raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size


class Taker(Protocol):
    """Takes what is in a backup while it is being checked. Nothing is proved before all of it has been read."""

    def key(self, name: str, data: bytes) -> None:
        """A file of keys."""

    def digest(self, name: str, data: bytes) -> None:
        """A digest of the audit log."""

    def audio(self, sha256: bytes, chunks: Iterator[bytes]) -> None:
        """A file of sound, which must be read to its end."""


class OnlyLook:
    """Takes nothing, and checks sound by its name."""

    def key(self, name: str, data: bytes) -> None:
        """See Taker."""

    def digest(self, name: str, data: bytes) -> None:
        """See Taker."""

    def audio(self, sha256: bytes, chunks: Iterator[bytes]) -> None:
        """See Taker."""
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
        if digest.digest() != sha256:
            raise WireError(f"the sound {sha256.hex()} is not what its name says")


@dataclass(slots=True)
class Contents:
    """What is in a backup. `row_sums`: hashes of the parts of rows; `named`: sound by hash, and whether needed."""

    manifest: Manifest
    row_sums: dict[Part, bytes] = field(default_factory=dict)
    named: dict[bytes, bool] = field(default_factory=dict)
    audio: set[bytes] = field(default_factory=set)


def read_through(file: BackupFile, manifest: Manifest, forms: Forms, taker: Taker, progress: Progress) -> Contents:
    """Read a backup to its end and hand what it holds to `taker`.

    `manifest`: its own, as it was read before. `forms`: the tables that the manifest's revision has. WireError or
    AuthorityError, in one line, for a backup that is not whole, was changed, or holds what does not belong there.
    """
    with file.opened() as reader:
        size = file.size
        if reader.manifest != manifest:
            raise WireError(EXCHANGED)
        tables = {table.name: table for table in manifest.tables}
        must_match(tables, forms)
        contents = Contents(manifest)
        rows = dict.fromkeys(tables, 0)
        keys, digests = [], []
        for part in reader.parts():
            progress(Step.CHECK, reader.read_bytes, size)
            match part.kind:
                case PartKind.ROWS:
                    rows[part.what] = rows.get(part.what, 0) + _look_at_rows(reader.data(), tables, part, contents)
                    contents.row_sums[part] = reader.sha256
                case PartKind.KEY:
                    keys.append(part.what)
                    taker.key(part.what, reader.data())
                case PartKind.DIGEST:
                    digests.append(part.what)
                    taker.digest(part.what, reader.data())
                case _:
                    sha256 = bytes.fromhex(part.what)
                    contents.audio.add(sha256)
                    taker.audio(sha256, reader.chunks())
    for name, count in rows.items():
        if count != tables[name].rows:
            raise WireError(f"{name} has {count} rows where the manifest says {tables[name].rows}")
    if keys != manifest.keys or digests != manifest.digests:
        raise WireError("keys or digests are not those that the manifest names")
    if (manifest.audio.pool and contents.audio) or not contents.audio <= set(contents.named):
        raise WireError("there is sound that no programme names")
    progress(Step.CHECK, size, size)
    return contents


def must_match(tables: Mapping[str, TableContent], forms: Forms) -> None:
    """WireError for a table or column that the revision does not have, or that is missing; it names the first."""
    for name in sorted(tables.keys() ^ forms.keys()):
        raise WireError(f"the table {name} is {'unknown' if name in tables else 'missing'}")
    for name, table in tables.items():
        given, wanted = dict(table.columns), {column.name: column.kind for column in forms[name]}
        for column in sorted(given.keys() ^ wanted.keys()):
            raise WireError(f"the column {name}.{column} is {'unknown' if column in given else 'missing'}")
        for column, kind in given.items():
            if kind is not wanted[column]:
                raise WireError(f"the column {name}.{column} holds {kind} where {wanted[column]} belongs")


def rows_of(data: bytes, table: TableContent) -> Iterator[tuple[Value, ...]]:
    """The rows in a part; WireError, which names the table."""
    columns = table.row_columns
    try:
        for line in unpack_rows(data):
            yield decode_row(line, columns)
    except WireError as error:
        raise WireError(f"{table.name}: {error}") from error


def _look_at_rows(data: bytes, tables: Mapping[str, TableContent], part: Part, contents: Contents) -> int:
    if part.what not in tables:
        raise WireError(f"rows of {part.what}, which the manifest does not name")
    table = tables[part.what]
    count = 0
    sound = _sound_columns(table)
    for row in rows_of(data, table):
        count += 1
        if sound is not None:
            sha256, deleted = row[sound[0]], None if sound[1] is None else row[sound[1]]
            if isinstance(sha256, bytes) and len(sha256) == hashlib.sha256().digest_size:
                contents.named[sha256] = contents.named.get(sha256, False) or deleted is None
    return count


def _sound_columns(table: TableContent) -> tuple[int, int | None] | None:
    """Where a programme's row says what its sound is, and whether it was deleted."""
    if table.name != "programme":
        return None
    names = [name for name, _ in table.columns]
    return names.index("sha256"), names.index("deleted_ms") if "deleted_ms" in names else None
