"""The library: programmes as files named by what they hold, and what the store knows of them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path

from loa.broadcast.content.audio_file import MAX_DURATION_S
from loa.broadcast.content.ingest import Ingested
from loa.broadcast.content.worker import IngestPool
from loa.broadcast.journal.act import Act
from loa.broadcast.records import Programme, ProgrammeClass
from loa.broadcast.store.database import Database
from loa.broadcast.store.programmes import Programmes
from loa.codecs.ogg_opus import OggOpusFile, read_ogg_opus
from loa.durable import sync_folder
from loa.errors import MediaError, NotAudio, NotFound, StoreError, WireError
from loa.model import new_id

_MAX_FILE_BYTES = 256 * 1024 * 1024
_MAX_PACKETS = MAX_DURATION_S * 50 + 50


class TooLarge(MediaError):
    """An upload of more bytes than are taken. `max_bytes` is what is taken."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the file has more than {max_bytes} bytes")
        self.max_bytes = max_bytes


class Library:
    """Programmes under `folder`: `<first two digits>/<SHA-256>.ogg`; what is being made lies under `tmp/`.

    Made by `open`. A file is on disk before the store names it, and never changes after.
    """

    def __init__(
        self,
        db: Database,
        folder: Path,
        pool: IngestPool | None = None,
        *,
        target_lufs: float = -16.0,
        true_peak_dbtp: float = -1.5,
        bitrate_bps: int = 64_000,
    ) -> None:
        self._programmes = Programmes(db)
        self._folder = folder
        self._scratch = folder / "tmp"
        self._pool = pool or IngestPool()
        self._settings = (target_lufs, true_peak_dbtp, bitrate_bps)

    @classmethod
    async def open(
        cls,
        db: Database,
        folder: Path,
        pool: IngestPool | None = None,
        *,
        target_lufs: float = -16.0,
        true_peak_dbtp: float = -1.5,
        bitrate_bps: int = 64_000,
    ) -> Library:
        """The library in `folder`, which is made if need be and freed of what an earlier process left half done.

        StoreError when the folder cannot be used. One process at a time uses a folder.
        """
        library = cls(
            db,
            folder,
            pool,
            target_lufs=target_lufs,
            true_peak_dbtp=true_peak_dbtp,
            bitrate_bps=bitrate_bps,
        )
        try:
            await asyncio.to_thread(library._clean)
        except OSError as error:
            raise StoreError(f"the programmes' folder {folder} cannot be used: {error}") from error
        return library

    def _clean(self) -> None:
        self._scratch.mkdir(parents=True, exist_ok=True)
        for left in self._scratch.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()

    async def add(
        self,
        chunks: AsyncIterator[bytes],
        title: str,
        klass: ProgrammeClass,
        act: Act,
        max_bytes: int,
    ) -> Programme:
        """Make a programme of a sound file that comes in pieces.

        TooLarge beyond `max_bytes`; NotAudio and MediaError as content/ingest.py; StoreError
        when the disk fails. Whatever happens, nothing half done stays.
        """
        try:
            work = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=self._scratch))
        except OSError as error:
            raise StoreError(f"no room for a new programme: {error}") from error
        future: Future[Ingested] | None = None
        try:
            await _receive(chunks, work / "upload", max_bytes)
            future = self._pool.submit(work / "upload", work / "programme.ogg", *self._settings)
            ingested = await asyncio.wrap_future(future)
            await asyncio.to_thread(self._take_in, work / "programme.ogg", ingested.sha256)
        except BrokenExecutor as error:
            raise MediaError("the file cannot be read: it brought its decoder down") from error
        finally:
            if future is None or future.done():
                shutil.rmtree(work, ignore_errors=True)
            else:
                # Nobody waits for it any more, but the worker still writes there.
                future.add_done_callback(lambda _: shutil.rmtree(work, ignore_errors=True))
        programme = Programme(
            id=new_id(act.now_ms),
            title=title,
            klass=klass,
            sha256=ingested.sha256,
            samples=ingested.samples,
            frames=ingested.frames,
            frame_samples=ingested.frame_samples,
            duration_ms=ingested.duration_ms,
            size_bytes=ingested.size_bytes,
            loudness_lufs=ingested.loudness_lufs,
            created_ms=act.now_ms,
        )
        await self._programmes.create(programme, act)
        return programme

    def _take_in(self, fresh: Path, sha256: bytes) -> None:
        final = self._path(sha256)
        try:
            made = not final.parent.exists()
            final.parent.mkdir(exist_ok=True)
            fresh.replace(final)
            sync_folder(final.parent)
            if made:
                sync_folder(self._folder)
        except OSError as error:
            raise StoreError(f"the programme cannot be stored: {error}") from error

    async def get(self, programme_id: bytes) -> Programme:
        """The programme; NotFound."""
        return await self._programmes.get(programme_id)

    async def list(self, after_id: bytes | None = None, limit: int = 100) -> list[Programme]:
        """Up to `limit` programmes in the order they were made, after `after_id`."""
        return await self._programmes.list(after_id, limit)

    def path(self, programme: Programme) -> Path:
        """Its Ogg Opus file."""
        return self._path(programme.sha256)

    def _path(self, sha256: bytes) -> Path:
        name = sha256.hex()
        return self._folder / name[:2] / f"{name}.ogg"

    async def packets(self, programme: Programme) -> Sequence[bytes]:
        """Its Opus packets, `programme.frames` of them; NotFound without its file, MediaError if it is damaged."""
        return (await asyncio.to_thread(self._read, programme)).packets

    def _read(self, programme: Programme) -> OggOpusFile:
        path = self.path(programme)
        try:
            return read_ogg_opus(path.read_bytes(), _MAX_FILE_BYTES, _MAX_PACKETS)
        except FileNotFoundError as error:
            raise NotFound(f"the file of {programme.title!r} is missing") from error
        except (WireError, OSError) as error:
            raise MediaError(f"the file of {programme.title!r} cannot be read: {error}") from error

    async def close(self) -> None:
        """End the worker; a programme that is being made is waited for."""
        await asyncio.to_thread(self._pool.close)


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
        raise StoreError(f"the upload cannot be stored: {error}") from error
