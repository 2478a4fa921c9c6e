"""The library: programmes, their sound in the audio store, and what the database knows of them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from loa.broadcast.content.audio_file import MAX_DURATION_S
from loa.broadcast.content.audio_store import AudioStore
from loa.broadcast.content.disk import failure
from loa.broadcast.content.ingest import Ingested
from loa.broadcast.content.worker import IngestPool
from loa.broadcast.journal.act import Act
from loa.broadcast.records import Programme, ProgrammeClass
from loa.broadcast.store.database import Database
from loa.broadcast.store.programmes import Programmes
from loa.codecs.ogg_opus import OggOpusFile, read_ogg_opus
from loa.errors import MediaError, NotAudio, NotFound, StoreError, WireError
from loa.model import new_id

_MAX_FILE_BYTES = 256 * 1024 * 1024
_MAX_PACKETS = MAX_DURATION_S * 50 + 50


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
class Upload:
    """A file that was received, and what is being made of it."""

    folder: Path
    work: Future[Ingested] | None = None

    @property
    def file(self) -> Path:
        """The file as it came."""
        return self.folder / "upload"


class Library:
    """Programmes whose sound lies in `store`; what is being made lies in the folder `scratch`.

    Made by `open`. A sound is durable before the database names it, and never changes after.
    """

    def __init__(
        self,
        db: Database,
        store: AudioStore,
        scratch: Path,
        pool: IngestPool | None = None,
        *,
        target_lufs: float = -16.0,
        true_peak_dbtp: float = -1.5,
        bitrate_bps: int = 64_000,
    ) -> None:
        self._programmes = Programmes(db)
        self._store = store
        self._scratch = scratch
        self._pool = pool or IngestPool()
        self._settings = (target_lufs, true_peak_dbtp, bitrate_bps)

    @classmethod
    async def open(
        cls,
        db: Database,
        store: AudioStore,
        scratch: Path,
        pool: IngestPool | None = None,
        *,
        target_lufs: float = -16.0,
        true_peak_dbtp: float = -1.5,
        bitrate_bps: int = 64_000,
    ) -> Library:
        """A library; `scratch` is made if need be, and freed of what an earlier process left half done.

        StoreError when the folder cannot be used. One process at a time uses it; where the store is a folder too,
        both lie on one file system.
        """
        library = cls(
            db,
            store,
            scratch,
            pool,
            target_lufs=target_lufs,
            true_peak_dbtp=true_peak_dbtp,
            bitrate_bps=bitrate_bps,
        )
        try:
            await asyncio.to_thread(library._clean)
        except OSError as error:
            raise StoreError(f"the folder {scratch} cannot be used: {error}") from error
        return library

    def _clean(self) -> None:
        self._scratch.mkdir(parents=True, exist_ok=True)
        for left in self._scratch.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()

    async def add(self, chunks: AsyncIterator[bytes], draft: Draft, act: Act, max_bytes: int) -> Programme:
        """Make a programme of a sound file that comes in pieces: `receive` and `make` in one."""
        async with self.receive(chunks, max_bytes) as upload:
            return await self.make(upload, draft, act)

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[Upload]:
        """Write a sound file down, piece by piece; it is gone when the block is left.

        TooLarge beyond `max_bytes`; NotAudio when there is nothing; StoreError when the disk fails.
        """
        try:
            upload = Upload(Path(await asyncio.to_thread(tempfile.mkdtemp, dir=self._scratch)))
        except OSError as error:
            raise failure("the upload cannot be stored", error) from error
        try:
            await _receive(chunks, upload.file, max_bytes)
            yield upload
        finally:
            if upload.work is None or upload.work.done():
                shutil.rmtree(upload.folder, ignore_errors=True)
            else:
                # Nobody waits for it any more, but the worker still writes there.
                upload.work.add_done_callback(lambda _: shutil.rmtree(upload.folder, ignore_errors=True))

    async def make(self, upload: Upload, draft: Draft, act: Act) -> Programme:
        """Make a programme of a file that was received.

        NotAudio and MediaError as content/ingest.py; StoreError when the disk fails; NotFound for an area that is
        none; Conflict when the act has happened before. Whatever happens, nothing half done stays.
        """
        fresh = upload.folder / "programme.ogg"
        try:
            upload.work = self._pool.submit(upload.file, fresh, *self._settings)
            ingested = await asyncio.wrap_future(upload.work)
            await self._store.put(ingested.sha256, fresh, act.now_ms)
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
        await self._programmes.create(programme, act)
        return programme

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


async def _receive(chunks: AsyncIterator[bytes], path: Path, max_bytes: int) -> None:
    """Write the pieces down. What the sender's side raises goes through as it is."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(max_bytes)
        await asyncio.to_thread(_append, path, chunk)
    if size == 0:
        raise NotAudio("the file is empty")


def _append(path: Path, chunk: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(chunk)
    except OSError as error:
        raise failure("the upload cannot be stored", error) from error
