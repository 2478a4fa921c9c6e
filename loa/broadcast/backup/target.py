"""The folder that a restore fills, all of it or nothing, wherever a crash falls.

    restoring/              all that is to be there is made ready in here; while it is there no core starts
    restoring/ready         made last, before a database elsewhere is committed: from then on a restore is finished
    restoring/put-aside     what was there before has been moved into `before-restore-…`
    restoring.done/         on its way out

Each step can be done again. What was there before is moved, never removed; sound is named by its content and stays.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from loa.broadcast.backup import audio_copy
from loa.broadcast.store.address import sqlite_address
from loa.durable import replace_file, sync_folder
from loa.errors import ConfigError, StoreError

STAGE = "restoring"
DATABASE = "loa.sqlite"
_READY = "ready"
_ASIDE = "put-aside"
_DONE = "restoring.done"
_REPLACED = ("admin.token", f"{DATABASE}-wal", f"{DATABASE}-shm", DATABASE, "audit", "keys")
_MOVED = ("keys", "audit", DATABASE)


@dataclass(frozen=True, slots=True)
class Ready:
    """A restore that is to be finished. `aside`: where what was there goes, or nothing.

    `elsewhere`: the database is not in the folder, so that only it can tell whether it was committed.
    """

    restore_id: str
    backup_id: str
    aside: str
    elsewhere: bool


def in_the_way(folder: Path) -> list[str]:
    """The names in a core's folder that a restore would replace: an empty one has none."""
    return [name for name in _REPLACED if (folder / name).exists()]


def unfinished(folder: Path) -> bool:
    """Whether a restore into the folder was cut off: no core may start there before it was done again."""
    stage = folder / STAGE
    return stage.is_dir() and any(stage.iterdir())


class Target:
    """A core's folder while a restore fills it. The caller holds its lock. Methods raise StoreError."""

    def __init__(self, folder: Path, audio: Path) -> None:
        self.folder = folder
        self.stage = folder / STAGE
        self._audio = audio

    def left_behind(self) -> Ready | None:
        """The restore that was cut off after it was ready, if there is one; ConfigError for a damaged mark."""
        try:
            said = json.loads((self.stage / _READY).read_bytes())
            return Ready(**said)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{self.stage / _READY} cannot be read: {error}") from error

    def begin(self) -> None:
        """Begin anew, without what an earlier restore has left half done."""
        with _mapped(self.folder):
            for left in (self.stage, self.folder / _DONE):
                if left.exists():
                    shutil.rmtree(left)
            for name in ("", "keys", "audit", "audio"):
                (self.stage / name).mkdir(mode=0o700)

    @property
    def scratch_url(self) -> str:
        """The address of a database in which something can be tried; it goes with the stage."""
        return sqlite_address(self.folder / STAGE / "scratch.db")

    def require_room(self, wanted_bytes: int) -> None:
        """StoreError unless the disk has so much room."""
        with _mapped(self.folder):
            free = shutil.disk_usage(self.stage).free
        if free < wanted_bytes:
            raise StoreError(f"{self.folder} has room for {free} bytes, and the sound alone has {wanted_bytes}")

    def write(self, folder: str, name: str, data: bytes, mode: int = 0o600) -> None:
        """Make a file ready."""
        with _mapped(self.folder):
            replace_file(self.stage / folder / name, data, mode)

    def write_audio(self, sha256: bytes, chunks: Iterator[bytes]) -> None:
        """Make a file of sound ready, which must be what its name says."""
        audio_copy.put(self.stage / "audio", sha256, chunks)

    def ready(self, mark: Ready) -> None:
        """All is ready: from now on the restore is finished whatever happens, once its database is committed."""
        with _mapped(self.folder):
            if (self.stage / f"{DATABASE}-wal").exists():
                raise StoreError("the database has not been closed")
            owner = self.folder.stat()
            if os.geteuid() == 0 and owner.st_uid != 0:
                for path in (self.stage, *self.stage.rglob("*")):
                    os.chown(path, owner.st_uid, owner.st_gid)
            for name in ("keys", "audit", "audio", ""):
                sync_folder(self.stage / name)
            replace_file(self.stage / _READY, json.dumps(asdict(mark)).encode())

    def finish(self) -> None:
        """Put what is ready in its place, and what was there aside."""
        mark = self.left_behind()
        if mark is None:
            raise StoreError(f"nothing is ready in {self.stage}")
        with _mapped(self.folder):
            if mark.aside and not (self.stage / _ASIDE).exists():
                self._put_aside(self.folder / mark.aside)
                replace_file(self.stage / _ASIDE, b"")
            self._move_audio()
            for name in _MOVED:
                if (self.stage / name).exists():
                    (self.stage / name).rename(self.folder / name)
                    sync_folder(self.folder)
            self.stage.rename(self.folder / _DONE)
            sync_folder(self.folder)
            shutil.rmtree(self.folder / _DONE)

    def undo(self) -> None:
        """Leave the folder as it was."""
        with _mapped(self.folder):
            # At once, so that no part of it is taken for a restore that was ready.
            (self.stage / _READY).unlink(missing_ok=True)
            sync_folder(self.stage)
            shutil.rmtree(self.stage)
            sync_folder(self.folder)

    def _put_aside(self, aside: Path) -> None:
        aside.mkdir(mode=0o700, exist_ok=True)
        for name in _REPLACED:
            if (self.folder / name).exists() and not (aside / name).exists():
                (self.folder / name).rename(aside / name)
        sync_folder(aside)
        sync_folder(self.folder)

    def _move_audio(self) -> None:
        audio = self._audio
        audio.mkdir(mode=0o700, parents=True, exist_ok=True)
        for staged in sorted((self.stage / "audio").glob("*/*.ogg")):
            sha256 = bytes.fromhex(staged.stem)
            final = audio_copy.audio_path(audio, sha256)
            final.parent.mkdir(mode=0o700, exist_ok=True)
            try:
                staged.replace(final)
            except OSError:
                # The programmes may lie on another disk than the rest.
                audio_copy.put(audio, sha256, audio_copy.chunks(staged))
                staged.unlink()
            sync_folder(final.parent)
        sync_folder(audio)


@contextmanager
def _mapped(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{folder} cannot be used: {error.strerror or error}") from error
