"""The library: programmes, their sound in the audio store, and what the database knows of them."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from loa.broadcast.content.audio_file import MAX_DURATION_S
from loa.broadcast.content.audio_store import AudioStore, Stored
from loa.broadcast.content.disk import failure, require_room, room
from loa.broadcast.content.ingest import QUOTA_FULL, Ingested, Recipe, Room
from loa.broadcast.content.uploads import Upload
from loa.broadcast.content.worker import IngestPool
from loa.broadcast.journal.act import Act
from loa.broadcast.records import Programme, ProgrammeClass
from loa.broadcast.store.database import Database
from loa.broadcast.store.programmes import Programmes
from loa.codecs.ogg_opus import OggOpusFile, read_ogg_opus
from loa.errors import MediaError, NotAudio, NotFound, QuotaFull, WireError
from loa.model import new_id

_MAX_FILE_BYTES = 256 * 1024 * 1024
_MAX_PACKETS = MAX_DURATION_S * 50 + 50
_CHECK_ROOM_BYTES = 8 << 20
"""After so many received bytes the disk is looked at again: others write too."""
GRACE_MS = 3_600_000
"""A sound is put before a programme has it. Never longer before than this: what stores it gives up far sooner."""
_LOOKED_UP_AT_ONCE = 256


class TooLarge(MediaError):
    """An upload of more bytes than are taken. `max_bytes` is what is taken."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the file has more than {max_bytes} bytes")
        self.max_bytes = max_bytes


@dataclass(frozen=True, slots=True)
class Draft:
    """What people say of a programme that is to be made."""

    title: str
    klass: ProgrammeClass = ProgrammeClass.ROUTINE
    area_id: bytes | None = None


@dataclass(slots=True)
class Received:
    """A file that was received whole, and what is being made of it."""

    folder: Path
    upload: Upload
    sha256: bytes = b""

    @property
    def file(self) -> Path:
        """The file as it came."""
        return self.folder / "upload"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much room programmes may take: `quota_bytes` in the store (0: no limit), and all of the disk but
    `reserve_bytes`."""

    quota_bytes: int = 0
    reserve_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Collected:
    """Sound that was removed."""

    files: int = 0
    size_bytes: int = 0

    def __add__(self, other: Collected) -> Collected:
        return Collected(self.files + other.files, self.size_bytes + other.size_bytes)


class Library:
    """Programmes whose sound lies in `store`; what is being made lies in the folder `scratch`, which is
    there, and no other process's (see `own_scratch`). Where the store is a folder too, both lie on one file system.

    A sound is durable before the database names it, and never changes after.
    """

    def __init__(
        self,
        db: Database,
        store: AudioStore,
        scratch: Path,
        pool: IngestPool | None = None,
        recipe: Recipe = Recipe(),  # noqa: B008
        limits: Limits = Limits(),
    ) -> None:
        self._programmes = Programmes(db)
        self._store = store
        self._scratch = scratch
        self._pool = pool or IngestPool()
        self._recipe = recipe
        self._limits = limits
        self._storing = asyncio.Lock()

    async def add(
        self, chunks: AsyncIterator[bytes], draft: Draft, act: Act, max_bytes: int, upload: Upload | None = None
    ) -> Programme:
        """Make a programme of a sound file that comes in pieces: `receive` and `make` in one."""
        watched = upload or Upload(new_id(act.now_ms), act.actor, act.now_ms, None)
        async with self.receive(chunks, max_bytes, watched) as received:
            return await self.make(received, draft, act)

    @asynccontextmanager
    async def receive(
        self, chunks: AsyncIterator[bytes], max_bytes: int, upload: Upload
    ) -> AsyncIterator[Received]:
        """Write a sound file down, piece by piece; it is gone when the block is left.

        TooLarge beyond `max_bytes`; NotAudio when there is nothing; DiskFull, QuotaFull when there is no room for
        it; StoreError when the disk fails.
        """
        if self._limits.quota_bytes and await self._quota_left() <= 0:
            raise QuotaFull(QUOTA_FULL)
        await asyncio.to_thread(require_room, self._scratch, self._limits.reserve_bytes, upload.expected_bytes or 0)
        try:
            received = Received(Path(await asyncio.to_thread(tempfile.mkdtemp, dir=self._scratch)), upload)
        except OSError as error:
            raise failure("the upload cannot be stored", error) from error
        try:
            received.sha256 = await self._write(chunks, received.file, max_bytes, upload)
            yield received
        finally:
            work = None if upload.work is None else upload.work.future
            if work is None or work.done():
                shutil.rmtree(received.folder, ignore_errors=True)
            else:
                # Nobody waits for it any more, but the worker still writes there.
                work.add_done_callback(lambda _: shutil.rmtree(received.folder, ignore_errors=True))

    async def _write(self, chunks: AsyncIterator[bytes], path: Path, max_bytes: int, upload: Upload) -> bytes:
        """Write the pieces down; their SHA-256. What the sender's side raises goes through as it is."""
        digest = hashlib.sha256()
        unchecked = 0
        async for chunk in chunks:
            if upload.received_bytes + len(chunk) > max_bytes:
                raise TooLarge(max_bytes)
            await asyncio.to_thread(_append, path, chunk, digest)
            upload.received_bytes += len(chunk)
            unchecked += len(chunk)
            if unchecked >= _CHECK_ROOM_BYTES:
                unchecked = 0
                await asyncio.to_thread(require_room, self._scratch, self._limits.reserve_bytes)
        if upload.received_bytes == 0:
            raise NotAudio("the file is empty")
        upload.expected_bytes = upload.received_bytes
        return digest.digest()

    async def make(self, received: Received, draft: Draft, act: Act) -> Programme:
        """Make a programme of a file that was received.

        NotAudio, MediaError, DiskFull and QuotaFull as content/ingest.py; StoreError when the disk fails; NotFound
        for an area that is none; Conflict when the act has happened before. Whatever happens, nothing half done
        stays.
        """
        fresh = received.folder / "programme.ogg"
        try:
            work = self._pool.submit(received.file, fresh, self._recipe, await self._room())
            received.upload.work = work
            ingested = await asyncio.wrap_future(work.future)
        except BrokenExecutor as error:
            raise MediaError("the file cannot be read: it brought its decoder down") from error
        programme = Programme(
            id=new_id(act.now_ms),
            title=draft.title,
            klass=draft.klass,
            sha256=ingested.sha256,
            samples=ingested.samples,
            frames=ingested.frames,
            frame_samples=ingested.frame_samples,
            duration_ms=ingested.duration_ms,
            size_bytes=ingested.size_bytes,
            loudness_lufs=ingested.loudness_lufs,
            created_ms=act.now_ms,
            area_id=draft.area_id,
            owner=act.actor,
        )
        # One at a time, so that two do not both take the last of the room.
        async with self._storing:
            await self._require_quota(ingested)
            await self._store.put(ingested.sha256, fresh, act.now_ms)
            await self._programmes.create(programme, act)
        return programme

    async def _room(self) -> Room:
        disk_bytes = await asyncio.to_thread(room, self._scratch, self._limits.reserve_bytes)
        return Room(disk_bytes, await self._quota_left() if self._limits.quota_bytes else None)

    async def _require_quota(self, made: Ingested) -> None:
        if self._limits.quota_bytes == 0 or await self._store.exists(made.sha256):
            return
        if made.size_bytes > await self._quota_left():
            raise QuotaFull(QUOTA_FULL)

    async def _quota_left(self) -> int:
        return self._limits.quota_bytes - await self._store.total_bytes()

    async def collect(self, now_ms: int, kept_ms: int) -> AsyncIterator[Collected]:
        """Remove the sound that no programme has, and none has had for `kept_ms`, some with each step; StoreError.

        What was put less than GRACE_MS ago stays: another process may be about to name it. So does everything while
        a backup copies sound; then this is for another time.
        """
        some: list[Stored] = []
        async for each in self._store.stored():
            if each.put_ms < now_ms - GRACE_MS:
                some.append(each)
            if len(some) == _LOOKED_UP_AT_ONCE:
                yield await self._collect(some, now_ms, kept_ms)
                some.clear()
        yield await self._collect(some, now_ms, kept_ms)

    async def _collect(self, old: Sequence[Stored], now_ms: int, kept_ms: int) -> Collected:
        since_ms = now_ms - kept_ms
        with self._store.removing() as may:
            return await self._remove(old, now_ms, since_ms) if may else Collected()

    async def _remove(self, old: Sequence[Stored], now_ms: int, since_ms: int) -> Collected:
        named = await self._programmes.naming([each.digest for each in old], since_ms) if old else set()
        removed = Collected()
        for each in old:
            if each.digest in named:
                continue
            # Nobody in this process puts or names anything meanwhile, so what is asked is still so when it goes.
            async with self._storing:
                if await self._programmes.naming([each.digest], since_ms):
                    continue
                if await self._store.delete(each.digest, put_before_ms=now_ms - GRACE_MS):
                    removed += Collected(1, each.size_bytes)
        return removed

    async def file(self, programme: Programme) -> Path:
        """Its Ogg Opus file, to be read; NotFound when it is missing."""
        try:
            return await self._store.fetch(programme.sha256)
        except NotFound as error:
            raise NotFound(f"the file of {programme.title!r} is missing") from error

    async def packets(self, programme: Programme) -> Sequence[bytes]:
        """Its Opus packets, `programme.frames` of them; NotFound without its file, MediaError if it is damaged."""
        path = await self.file(programme)
        try:
            return (await asyncio.to_thread(_read, path)).packets
        except (WireError, OSError) as error:
            raise MediaError(f"the file of {programme.title!r} cannot be read: {error}") from error

    async def close(self) -> None:
        """End the worker; a programme that is being made is waited for."""
        await asyncio.to_thread(self._pool.close)


def _read(path: Path) -> OggOpusFile:
    return read_ogg_opus(path.read_bytes(), _MAX_FILE_BYTES, _MAX_PACKETS)


def _append(path: Path, chunk: bytes, digest: hashlib._Hash) -> None:
    digest.update(chunk)
    try:
        with path.open("ab") as file:
            file.write(chunk)
    except OSError as error:
        raise failure("the upload cannot be stored", error) from error
