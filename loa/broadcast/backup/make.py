"""A backup of a core, which may be running: one state of its store, and the files that this state names.

The order is what makes it safe: audio files are written before the store names them and removed after it has ceased
to, and nobody removes any while a backup is made (content/file_lease.py). So every file that the snapshot names is
there until it is copied.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path

from loa.broadcast.backup import audio_copy
from loa.broadcast.backup.archive import ArchiveWriter, Sink
from loa.broadcast.backup.new_file import new_file
from loa.broadcast.backup.parts import MAX_BYTES, Part, PartKind
from loa.broadcast.backup.progress import Progress, Step
from loa.broadcast.backup.sealed_file import SealedSink
from loa.broadcast.backup.snapshot import Beside, write_snapshot
from loa.broadcast.content.file_lease import copying
from loa.broadcast.orders import key_files
from loa.broadcast.store.copying import NamedAudio
from loa.broadcast.store.unmigrated import reading
from loa.errors import StoreError


@dataclass(frozen=True, slots=True)
class Plan:
    """What is backed up, and how. `audio`: where the programmes' sound lies. `made_ms`: now.

    `pool`: where the sound goes, if not into the archive.
    """

    database_url: str
    data_dir: Path
    audio: Path
    made_ms: int
    with_root: bool = False
    passphrase: bytes | None = None
    pool: Path | None = None


@dataclass(slots=True)
class BackedUp:
    """What came of it. `missing` and `damaged`: hashes of sound that is not in the backup; `unread`: digests."""

    id: uuid.UUID
    schema: str
    rows: int = 0
    size_bytes: int = 0
    audio_files: int = 0
    audio_bytes: int = 0
    pooled: int = 0
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether all that the store names is in it."""
        return not (self.missing or self.damaged or self.unread)


async def make_backup(plan: Plan, path: Path, progress: Progress) -> BackedUp:
    """Write a backup to the new file `path`, which is whole or not there.

    ConfigError for a folder or address that cannot be used; StoreError; FolderBusy while a key ceremony goes on. It
    is for where blocking does no harm.
    """
    with new_file(path) as file, copying(plan.audio):
        sink: Sink = file
        if plan.passphrase is not None:
            sink = SealedSink(file, plan.passphrase)
        keys = read_keys(plan.data_dir / "keys", with_root=plan.with_root)
        beside = Beside(keys, plan.data_dir / "audit", plan.pool is not None)
        backup_id = uuid.uuid4()
        async with reading(plan.database_url) as connection:
            snapshot = await write_snapshot(
                connection,
                sink,
                backup_id,
                plan.made_ms,
                beside,
                lambda done, of_all: progress(Step.ROWS, done, of_all),
            )
        manifest = snapshot.manifest
        made = BackedUp(backup_id, manifest.schema, sum(table.rows for table in manifest.tables))
        made.unread = snapshot.unread
        for name in manifest.keys:
            snapshot.writer.add(Part(PartKind.KEY, name), keys[name])
        for name in manifest.digests:
            snapshot.writer.add(Part(PartKind.DIGEST, name), snapshot.digests[name])
        done = 0
        for each in snapshot.audio:
            _copy(each, plan.audio, plan.pool, snapshot.writer, made)
            done += each.size_bytes
            progress(Step.AUDIO, done, manifest.audio.size_bytes)
        snapshot.writer.finish()
        if isinstance(sink, SealedSink):
            sink.finish()
        made.size_bytes = file.tell()
    return made


def _copy(named: NamedAudio, folder: Path, pool: Path | None, writer: ArchiveWriter, made: BackedUp) -> None:
    path = audio_copy.audio_path(folder, named.sha256)
    found = audio_copy.sound_hash(path)
    if found is None:
        if named.needed:
            made.missing.append(named.sha256.hex())
        return
    size, digest = found
    if digest != named.sha256 or size > MAX_BYTES[PartKind.AUDIO]:
        made.damaged.append(named.sha256.hex())
        return
    made.audio_files += 1
    made.audio_bytes += size
    if pool is None:
        try:
            writer.stream(Part(PartKind.AUDIO, named.sha256.hex()), size, audio_copy.chunks(path))
        except ValueError as error:
            raise StoreError(f"{path} has changed while it was copied") from error
    elif not audio_copy.audio_path(pool, named.sha256).exists():
        audio_copy.put(pool, named.sha256, audio_copy.chunks(path))
        made.pooled += 1


def read_keys(folder: Path, *, with_root: bool) -> dict[str, bytes]:
    """The key files as they are at one instant, by name; the root key only if it is asked for.

    ConfigError when the folder cannot be used; FolderBusy while a ceremony goes on there.
    """
    names = [*key_files.KEPT, key_files.ROOT_KEY] if with_root else key_files.KEPT
    found = {}
    with key_files.alone(folder, key_files.LOCK_WAIT_S):
        for name in names:
            if (folder / name).exists():
                found[name] = key_files.read(folder / name, MAX_BYTES[PartKind.KEY])
    return found
