"""A core's folder and store as they stand on disk: rows in every table, sound, keys, an audit log with a digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.backup.contents import BackupFile
from loa.broadcast.backup.make import BackedUp, Plan, make_backup
from loa.broadcast.backup.progress import silent
from loa.broadcast.backup.restore import Restored, RestorePlan, restore_backup
from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act, system
from loa.broadcast.journal.digest import Digest
from loa.broadcast.journal.digest_folder import DigestFolder
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.store import journal as stored
from loa.broadcast.store.copying import Tables
from loa.broadcast.store.database import migrate
from loa.broadcast.store.unmigrated import building
from tests.broadcast.store.full_store import ROWS, dump, fill

NOW_S = 1_790_000_000
NOW_MS = NOW_S * 1000
DAY = date(2026, 9, 21)
SOUNDS = [b"OggS" + bytes([number]) * (1000 * number) for number in range(1, ROWS + 1)]
HASHES = [hashlib.sha256(sound).digest() for sound in SOUNDS]


@dataclass(frozen=True)
class Standing:
    """Where it stands."""

    url: str
    folder: Path

    def sound(self, number: int) -> Path:
        name = HASHES[number].hex()
        return self.folder / "audio" / name[:2] / f"{name}.ogg"

    async def back_up(self, path: Path, **more: object) -> BackedUp:
        return await make_backup(Plan(self.url, self.folder, self.folder / "audio", NOW_MS, **more), path, silent)  # type: ignore[arg-type]

    async def rows(self) -> dict[str, list[bytes]]:
        return await dump(self.url)


async def standing(url: str, folder: Path, revision: str = "head") -> Standing:
    """A core that stands, with root.key in its folder."""
    made = Standing(url, folder)
    make_folder(folder)
    for number, sound in enumerate(SOUNDS):
        make_folder(made.sound(number).parent)
        made.sound(number).write_bytes(sound)
    ring = KeyRing.open(folder / "keys", NOW_S)
    async with building(url) as connection:
        await connection.run_sync(migrate, revision)
        await fill(connection)
        await _name_sounds(connection)
        for table in {"audit", "event"} & set((await Tables.find(connection)).forms()):
            await connection.execute(text(f"DELETE FROM {table}"))
        if revision != "head":
            return made
        for number in range(5):
            act = Act("token:x", "Thử", NOW_MS, key=f"key-{number}", fingerprint=bytes(32))
            await journal.record(connection, act, "thing.do", f"thing:{number}")
        last = await stored.last_link(connection)
        await journal.record(connection, system(NOW_MS), "thing.do", "thing:after the digest")
    assert last is not None
    DigestFolder(folder / "audit").write(DAY, Digest(DAY, last.seq, last.hash, 5, NOW_MS - 1).seal(ring.order_key))
    return made


async def _name_sounds(connection: AsyncConnection) -> None:
    if "deleted_ms" in {column.name for column in (await Tables.find(connection)).forms()["programme"]}:
        await connection.execute(text("UPDATE programme SET deleted_ms = NULL"))
    rows = await connection.execute(text("SELECT id FROM programme ORDER BY id"))
    for programme_id, sha256, sound in zip(rows.scalars().all(), HASHES, SOUNDS, strict=True):
        await connection.execute(
            text("UPDATE programme SET sha256 = :sha256, size_bytes = :size WHERE id = :id"),
            {"sha256": sha256, "size": len(sound), "id": programme_id},
        )


async def restored(url: str | None, folder: Path, archive: Path, **more: object) -> Restored:
    """Restore into a folder of which nobody else knows."""
    make_folder(folder)
    passphrase = more.pop("passphrase", None)
    plan = RestorePlan(folder, folder / "audio", url, system(NOW_MS + 1), **more)  # type: ignore[arg-type]
    return await restore_backup(plan, BackupFile(archive, passphrase), silent)  # type: ignore[arg-type]


def make_folder(folder: Path) -> None:
    """The folder, if need be with those above it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def mode(path: Path) -> int:
    """Who may read it."""
    return path.stat().st_mode & 0o777


def content(path: Path) -> bytes:
    """What is in a file."""
    return path.read_bytes()


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
