"""An audio store in a folder: `<first two digits>/<SHA-256>.ogg`. Times of putting are the files' own."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ParamSpec, TypeVar

from loa.broadcast.content import file_lease
from loa.broadcast.content.audio_store import Stored
from loa.broadcast.content.disk import failure
from loa.durable import sync_folder
from loa.errors import NotFound, StoreError

_SUFFIX = ".ogg"
_GOING = ".going"
"""What a file is called on its way out."""
_BRANCH = re.compile("[0-9a-f]{2}")
_NAME = re.compile("([0-9a-f]{64})" + re.escape(_SUFFIX))

P = ParamSpec("P")
R = TypeVar("R")


class AudioFolder:
    """`audio_store.AudioStore` in a folder of this machine, or in one that several machines share.

    Made by `open`. Files to be put must lie on the folder's own file system.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    async def open(cls, folder: Path) -> AudioFolder:
        """The store in `folder`, which is made if need be; StoreError when it cannot be used."""
        store = cls(folder)
        try:
            await asyncio.to_thread(store._mend)
        except OSError as error:
            raise StoreError(f"the folder of sound {folder} cannot be used: {error}") from error
        return store

    def _mend(self) -> None:
        """Bring back what was on its way out when a process ended: whether it may go is asked anew."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for branch in self._branches():
            for going in branch.glob(f"*{_GOING}"):
                if going.with_suffix(_SUFFIX).exists():
                    going.unlink(missing_ok=True)
                else:
                    going.replace(going.with_suffix(_SUFFIX))

    async def put(self, digest: bytes, file: Path, now_ms: int) -> None:
        """See AudioStore."""
        await _in_thread("the programme cannot be stored", self._put, digest, file, now_ms)

    def _put(self, digest: bytes, file: Path, now_ms: int) -> None:
        final = self._path(digest)
        os.utime(file, ns=(now_ms * 1_000_000,) * 2)
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
        made = not final.parent.exists()
        final.parent.mkdir(exist_ok=True)
        file.replace(final)
        sync_folder(final.parent)
        if made:
            sync_folder(self._folder)

    async def fetch(self, digest: bytes) -> Path:
        """See AudioStore."""
        if not await self.exists(digest):
            raise NotFound(f"there is no sound {digest.hex()}")
        return self._path(digest)

    async def exists(self, digest: bytes) -> bool:
        """See AudioStore."""
        return await _in_thread("the sound cannot be looked for", self._path(digest).is_file)

    async def delete(self, digest: bytes, *, put_before_ms: int) -> bool:
        """See AudioStore."""
        return await _in_thread("the sound cannot be removed", self._delete, digest, put_before_ms)

    def _delete(self, digest: bytes, put_before_ms: int) -> bool:
        path = self._path(digest)
        going = path.with_suffix(_GOING)
        try:
            if _put_ms(path.stat()) >= put_before_ms:
                return False
            path.rename(going)
            # Another process may have put it anew between the look and the step: then it is that which has moved.
            old = _put_ms(going.stat()) < put_before_ms
            if old or path.exists():
                going.unlink()
            else:
                going.replace(path)
        except FileNotFoundError:
            return False
        sync_folder(path.parent)
        return old

    def removing(self) -> AbstractContextManager[bool]:
        """See AudioStore."""
        return file_lease.removing(self._folder)

    async def stored(self) -> AsyncIterator[Stored]:
        """See AudioStore."""
        for branch in await _in_thread("the folder of sound cannot be read", self._branches):
            for each in await _in_thread("the folder of sound cannot be read", _in_branch, branch):
                yield each

    async def total_bytes(self) -> int:
        """See AudioStore."""
        return await _in_thread(
            "the folder of sound cannot be read",
            lambda: sum(each.size_bytes for branch in self._branches() for each in _in_branch(branch)),
        )

    def _branches(self) -> list[Path]:
        return sorted(each for each in self._folder.iterdir() if _BRANCH.fullmatch(each.name) and each.is_dir())

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._folder / name[:2] / f"{name}{_SUFFIX}"


def _in_branch(branch: Path) -> list[Stored]:
    found = []
    with os.scandir(branch) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            if name is None or not name[1].startswith(branch.name):
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            found.append(Stored(bytes.fromhex(name[1]), status.st_size, _put_ms(status)))
    return sorted(found, key=lambda each: each.digest)


def _put_ms(status: os.stat_result) -> int:
    return status.st_mtime_ns // 1_000_000


async def _in_thread(what: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of blocking work; `what` is what its failure is told as."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        raise failure(what, error) from error
