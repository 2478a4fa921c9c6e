"""A restore: a backup becomes a core's folder and database, all of it or nothing."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.backup import audio_copy
from loa.broadcast.backup.contents import BackupFile, Contents, read_through
from loa.broadcast.backup.load import Told, forms_of, load, was_restored
from loa.broadcast.backup.progress import Progress
from loa.broadcast.backup.restored_keys import KeysAre, keys_to_stage, renew_keys
from loa.broadcast.backup.target import DATABASE, Ready, Target, in_the_way
from loa.broadcast.journal.act import Act
from loa.broadcast.journal.digest import Digest
from loa.broadcast.orders import key_files
from loa.broadcast.store.address import file_of, sqlite_address
from loa.broadcast.store.copying import is_empty, put_schema_aside
from loa.broadcast.store.unmigrated import building
from loa.codecs.signed import SigningKey
from loa.errors import AuthorityError, ConfigError, NotEmpty, WireError


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """Where a backup goes, and how. `audio`: where the sound belongs, perhaps on another disk.

    `database_url`: None for the database in the folder itself.

    `root`: the root key, for a new order key. `keep_order_key`: somebody vouches that the lost core is gone.
    `force`: what is there is put aside. `pool`: where the sound is that is not in the archive.
    """

    data_dir: Path
    audio: Path
    database_url: str | None
    act: Act
    root: SigningKey | None = None
    keep_order_key: bool = False
    force: bool = False
    despite_audit: bool = False
    pool: Path | None = None


@dataclass(slots=True)
class Restored:
    """What came of it. `missing`: hashes of sound that programmes need and the backup does not have.

    `resumed`: it was an earlier restore that was cut off, and is finished now; only its backup's id is known.
    """

    backup_id: str
    resumed: bool = False
    made_ms: int = 0
    rows: int = 0
    audio_files: int = 0
    keys: KeysAre = KeysAre.NONE
    aside: str = ""
    missing: list[str] = field(default_factory=list)


async def restore_backup(plan: RestorePlan, file: BackupFile, progress: Progress) -> Restored:
    """Restore a backup into a folder whose lock the caller holds, and a database that nobody else uses.

    NotEmpty when something is there and `force` is not given; WireError or AuthorityError, ConfigError, AuditError,
    StoreError. When it raises, nothing was changed. It is for where blocking does no harm.
    """
    target = Target(plan.data_dir, plan.audio)
    if (left := target.left_behind()) is not None:
        if await _is_committed(plan, left):
            target.finish()
            return Restored(left.backup_id, resumed=True)
        target.undo()
    in_folder = in_the_way(plan.data_dir)
    in_database = await _in_use(plan)
    if (in_folder or in_database) and not plan.force:
        what = ", ".join([*in_folder, *(["the database"] if in_database else [])])
        raise NotEmpty(f"{plan.data_dir} is not empty: {what}")
    target.begin()
    try:
        restored = await _restore(plan, file, target, in_folder, progress)
    except BaseException:
        if target.left_behind() is None:
            target.undo()
        raise
    target.finish()
    return restored


async def _restore(
    plan: RestorePlan, file: BackupFile, target: Target, in_folder: list[str], progress: Progress
) -> Restored:
    with file.opened() as reader:
        manifest = reader.manifest
    target.require_room(manifest.audio.size_bytes)
    forms = await forms_of(manifest.schema, target.scratch_url)
    names = keys_to_stage(manifest.keys, root=plan.root, keep=plan.keep_order_key)
    staging = _Staging(target, names)
    contents = read_through(file, manifest, forms, staging, progress)
    missing = _take_sound(plan, target, contents)
    now_ms = plan.act.now_ms
    keys = renew_keys(target.stage / "keys", now_ms // 1000, root=plan.root, keep=plan.keep_order_key)
    restore_id = secrets.token_hex(8)
    restored = Restored(
        str(manifest.id),
        made_ms=manifest.made_ms,
        rows=sum(table.rows for table in manifest.tables),
        audio_files=len(contents.audio),
        keys=keys,
        missing=[sha256.hex() for sha256 in missing],
    )
    if in_folder:
        restored.aside = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("before-restore-%Y%m%dT%H%M%SZ")
    after = {
        "made_ms": manifest.made_ms,
        "program": manifest.program,
        "schema": manifest.schema,
        "audit_seq": manifest.audit.seq if manifest.audit else 0,
        "keys": str(keys),
        "sound_missing": len(missing),
    }
    mark = Ready(restore_id, str(manifest.id), restored.aside, plan.database_url is not None)
    async with _database(plan, target) as connection:
        await load(
            connection,
            file,
            contents,
            staging.digests,
            Told(plan.act, restore_id, after),
            progress,
            despite_audit=plan.despite_audit,
        )
        if plan.database_url is not None:
            target.ready(mark)
    if plan.database_url is None:
        target.ready(mark)
    return restored


@asynccontextmanager
async def _database(plan: RestorePlan, target: Target) -> AsyncIterator[AsyncConnection]:
    """The database to be filled, empty; committed at the end of the block."""
    url = plan.database_url or sqlite_address(target.stage / DATABASE)
    async with building(url) as connection:
        if not await is_empty(connection):
            if not plan.force:
                raise NotEmpty("the database is not empty")
            await put_schema_aside(connection, f"before_restore_{plan.act.now_ms // 1000}")
        yield connection


async def _in_use(plan: RestorePlan) -> bool:
    """Whether there is something in a database outside the folder; ConfigError when it could not be put aside."""
    if plan.database_url is None:
        return False
    path = file_of(plan.database_url)
    if path is not None and not path.exists():
        return False
    async with building(plan.database_url) as connection:
        in_use = not await is_empty(connection)
    if in_use and plan.force and path is not None:
        raise ConfigError(f"{path} is not in the core's folder, so it is not put aside: move it away first")
    return in_use


async def _is_committed(plan: RestorePlan, left: Ready) -> bool:
    """Whether the database of a restore that was cut off has come to its end."""
    if left.elsewhere is not (plan.database_url is not None):
        raise ConfigError("a restore was cut off here that had its database elsewhere: use the same settings again")
    if plan.database_url is None:
        return True
    async with building(plan.database_url) as connection:
        return not await is_empty(connection) and await was_restored(connection, left.backup_id, left.restore_id)


def _take_sound(plan: RestorePlan, target: Target, contents: Contents) -> list[bytes]:
    """Bring what lies in a pool, and find out which sound is missing: it may still be in the folder from before."""
    missing = []
    for sha256, needed in contents.named.items():
        if sha256 in contents.audio:
            continue
        if plan.pool is not None and (pooled := audio_copy.audio_path(plan.pool, sha256)).exists():
            target.write_audio(sha256, audio_copy.chunks(pooled))
            contents.audio.add(sha256)
        elif needed and not _is_there(plan.audio, sha256):
            missing.append(sha256)
    return missing


def _is_there(folder: Path, sha256: bytes) -> bool:
    found = audio_copy.sound_hash(audio_copy.audio_path(folder, sha256))
    return found is not None and found[1] == sha256


class _Staging:
    """Takes what is in a backup into the stage."""

    def __init__(self, target: Target, keys: list[str]) -> None:
        self._target = target
        self._keys = keys
        self.digests: list[Digest] = []

    def key(self, name: str, data: bytes) -> None:
        """See Taker."""
        if name in self._keys:
            self._target.write("keys", name, data, key_files.mode_of(name))

    def digest(self, name: str, data: bytes) -> None:
        """See Taker."""
        try:
            self.digests.append(Digest.open(data))
        except (WireError, AuthorityError) as error:
            raise WireError(f"the digest {name} does not hold: {error}") from error
        self._target.write("audit", name, data)

    def audio(self, sha256: bytes, chunks: Iterator[bytes]) -> None:
        """See Taker."""
        self._target.write_audio(sha256, chunks)
