"""The library: uploads become programmes in a worker process, and whatever goes wrong leaves nothing behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from loa.broadcast.content.audio_folder import AudioFolder
from loa.broadcast.content.library import Draft, Library, Limits, TooLarge
from loa.broadcast.content.progress import SharedProgress
from loa.broadcast.content.uploads import Upload
from loa.broadcast.content.worker import IngestPool, spawn_process
from loa.broadcast.journal.act import system
from loa.broadcast.records import ProgrammeClass
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import FIRST
from loa.broadcast.store.programmes import Programmes
from loa.codecs.ogg_opus import read_ogg_opus
from loa.errors import DiskFull, MediaError, NotAudio, NotFound, QuotaFull, StoreError
from tests.sounds import siren, wav

NOW_MS = 1_790_000_000_000
MOST = 10_000_000
T = TypeVar("T")


async def _chunks(data: bytes, size: int = 4096) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def _cut_off(data: bytes) -> AsyncIterator[bytes]:
    yield data
    raise ConnectionResetError("the sender is gone")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
async def library(db: Database, tmp_path: Path) -> AsyncIterator[Library]:
    """A library whose worker is a thread: it starts at once."""
    opened = await opened_in(db, tmp_path / "audio", IngestPool(lambda _: ThreadPoolExecutor(1)))
    yield opened
    await opened.close()


async def opened_in(
    db: Database,
    folder: Path,
    pool: IngestPool | None = None,
    limits: Limits = Limits(),  # noqa: B008
) -> Library:
    store = await AudioFolder.open(folder)
    (folder / "tmp").mkdir(exist_ok=True)
    return Library(db, store, folder / "tmp", pool, limits=limits)


@pytest.fixture(autouse=True)
def _no_limits_on_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loa.broadcast.content.worker.resource.setrlimit", lambda *_: None)


async def test_an_upload_becomes_a_programme_and_its_packets(
    library: Library, db: Database, tmp_path: Path
) -> None:
    programme = await library.add(
        _chunks(wav(siren(1.5))), Draft("Còi thử", ProgrammeClass.EMERGENCY), system(NOW_MS), MOST
    )
    assert (programme.title, programme.klass, programme.duration_ms) == ("Còi thử", "emergency", 1500)
    packets = await library.packets(programme)
    assert len(packets) == programme.frames
    data = (await library.file(programme)).read_bytes()
    assert list(packets) == read_ogg_opus(data).packets
    assert len(data) == programme.size_bytes
    assert _files(tmp_path / "audio") == [await library.file(programme)]
    assert await Programmes(db).list() == [programme]


async def test_the_same_sound_twice_is_two_programmes_of_one_file(
    library: Library, db: Database, tmp_path: Path
) -> None:
    sound = wav(siren(0.5))
    one = await library.add(_chunks(sound), Draft("one"), system(NOW_MS), MOST)
    two = await library.add(_chunks(sound), Draft("two"), system(NOW_MS + 1), MOST)
    assert one.id != two.id
    assert await library.file(one) == await library.file(two)
    assert len(_files(tmp_path / "audio")) == 1
    assert await Programmes(db).list(FIRST.behind(one)) == [two]


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"", NotAudio), (b"not a sound at all" * 500, NotAudio), (wav(siren(1.0))[:50_000], MediaError)],
)
async def test_what_is_no_sound_leaves_nothing(
    library: Library, db: Database, tmp_path: Path, data: bytes, error: type[MediaError]
) -> None:
    with pytest.raises(error):
        await library.add(_chunks(data), Draft("bad"), system(NOW_MS), MOST)
    assert list((tmp_path / "audio").rglob("*")) == [tmp_path / "audio" / "tmp"]
    assert await Programmes(db).list() == []


async def test_more_than_the_most_is_refused_without_reading_all_of_it(
    library: Library, db: Database, tmp_path: Path
) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield bytes(1000)

    with pytest.raises(TooLarge) as caught:
        await library.add(endless(), Draft("endless"), system(NOW_MS), 10_000)
    assert (caught.value.max_bytes, given) == (10_000, 11)
    assert list((tmp_path / "audio" / "tmp").iterdir()) == []


async def test_an_upload_that_breaks_off_leaves_nothing_and_says_what_broke(
    library: Library, db: Database, tmp_path: Path
) -> None:
    with pytest.raises(ConnectionResetError):
        await library.add(_cut_off(wav(siren(1.0))), Draft("gone"), system(NOW_MS), MOST)
    assert list((tmp_path / "audio" / "tmp").iterdir()) == []
    assert await Programmes(db).list() == []


class _Held(Executor):
    """An executor that runs nothing until it is told to."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []
        self.asked = asyncio.Event()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self.work.append(lambda: future.set_result(fn(*args, **kwargs)))
        self.asked.set()
        return future


async def test_a_caller_that_gives_up_leaves_nothing_once_the_worker_is_done(db: Database, tmp_path: Path) -> None:
    held = _Held()
    library = await opened_in(db, tmp_path / "audio", IngestPool(lambda _: held))
    task = asyncio.create_task(library.add(_chunks(wav(siren(0.5))), Draft("given up"), system(NOW_MS), MOST))
    await held.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(held.work[0])
    assert list((tmp_path / "audio" / "tmp").iterdir()) == []
    assert await Programmes(db).list() == []


async def test_a_folder_that_cannot_be_used_is_a_clear_error(db: Database, tmp_path: Path) -> None:
    (tmp_path / "audio").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be used"):
        await opened_in(db, tmp_path / "audio")


async def test_a_programme_whose_file_is_gone_or_damaged_is_a_clear_error(library: Library) -> None:
    programme = await library.add(_chunks(wav(siren(0.5))), Draft("x"), system(NOW_MS), MOST)
    path = await library.file(programme)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(MediaError):
        await library.packets(programme)
    path.unlink()
    with pytest.raises(NotFound):
        await library.packets(programme)


def _threads() -> IngestPool:
    return IngestPool(lambda _: ThreadPoolExecutor(1))


async def test_what_the_quota_cannot_hold_is_refused_before_it_is_encoded(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = await opened_in(db, tmp_path / "audio", _threads(), Limits(quota_bytes=20_000))
    first = await library.add(_chunks(wav(siren(1.5))), Draft("vừa"), system(NOW_MS), MOST)
    assert first.size_bytes < 20_000

    def encode(*_: object) -> None:
        raise AssertionError("it was encoded")

    monkeypatch.setattr("loa.broadcast.content.ingest._encode", encode)
    with pytest.raises(QuotaFull):
        await library.add(_chunks(wav(siren(2.5))), Draft("quá nhiều"), system(NOW_MS), MOST)
    assert _files(tmp_path / "audio") == [await library.file(first)]
    assert await Programmes(db).list() == [first]
    await library.close()


async def test_two_at_once_do_not_both_take_the_last_of_the_quota(db: Database, tmp_path: Path) -> None:
    pool = IngestPool(lambda _: ThreadPoolExecutor(2))
    library = await opened_in(db, tmp_path / "audio", pool, Limits(quota_bytes=25_000))
    results = await asyncio.gather(
        *(
            library.add(_chunks(wav(siren(2.0, level))), Draft("cùng lúc"), system(NOW_MS), MOST)
            for level in (0.3, 0.9)
        ),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in results) == ["Programme", "QuotaFull"]
    assert sum(path.stat().st_size for path in _files(tmp_path / "audio")) <= 25_000
    await library.close()


async def test_a_quota_that_is_used_up_takes_no_byte_more(db: Database, tmp_path: Path) -> None:
    library = await opened_in(db, tmp_path / "audio", _threads(), Limits(quota_bytes=15_000))
    await library.add(_chunks(wav(siren(1.5))), Draft("vừa"), system(NOW_MS), MOST)
    full = await opened_in(db, tmp_path / "audio", _threads(), Limits(quota_bytes=10_000))
    upload = Upload(b"u" * 16, "lan", NOW_MS, None)
    with pytest.raises(QuotaFull):
        await full.add(_chunks(wav(siren(0.5))), Draft("nữa"), system(NOW_MS), MOST, upload)
    assert (upload.received_bytes, upload.work) == (0, None)
    await library.close()


async def test_the_last_of_the_disk_is_kept_for_the_rest_of_the_core(db: Database, tmp_path: Path) -> None:
    library = await opened_in(db, tmp_path / "audio", _threads(), Limits(reserve_bytes=1 << 62))
    with pytest.raises(DiskFull):
        await library.add(_chunks(wav(siren(0.5))), Draft("x"), system(NOW_MS), MOST)
    roomy = await opened_in(db, tmp_path / "audio", _threads())
    announced = Upload(b"u" * 16, "lan", NOW_MS, 1 << 62)
    with pytest.raises(DiskFull):
        await roomy.add(_chunks(wav(siren(0.5))), Draft("x"), system(NOW_MS), MOST, announced)
    assert _files(tmp_path / "audio") == []


@pytest.mark.parametrize("name", ["upload", "programme.ogg"])
async def test_a_disk_that_becomes_full_is_told_and_leaves_nothing(
    library: Library, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real_open = Path.open

    def on_a_full_disk(self: Path, mode: str = "r") -> Any:
        if self.name == name and mode in ("ab", "xb"):
            return real_open(Path("/dev/full"), "ab" if mode == "ab" else "wb")
        return real_open(self, mode)

    monkeypatch.setattr(Path, "open", on_a_full_disk)
    with pytest.raises(DiskFull):
        await library.add(_chunks(wav(siren(0.5))), Draft("x"), system(NOW_MS), MOST)
    assert list((tmp_path / "audio" / "tmp").iterdir()) == []
    assert await Programmes(db).list() == []


async def test_an_upload_is_counted_as_it_comes_and_hashed(library: Library) -> None:
    data = wav(siren(0.5))
    upload = Upload(b"u" * 16, "lan", NOW_MS, None)
    seen: list[int] = []

    async def watched() -> AsyncIterator[bytes]:
        async for chunk in _chunks(data):
            yield chunk
            seen.append(upload.received_bytes)

    async with library.receive(watched(), MOST, upload) as received:
        assert received.sha256 == hashlib.sha256(data).digest()
        assert received.file.read_bytes() == data
    assert seen == sorted(set(seen))
    assert (seen[-1], upload.expected_bytes) == (len(data), len(data))


class _DyingFirst:
    """Makes real worker processes, the first of which dies of its first work."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, shared: SharedProgress) -> Executor:
        self.made += 1
        executor = spawn_process(shared)
        if self.made == 1:
            executor.submit(os._exit, 9)
        return executor


async def test_a_worker_that_dies_fails_one_upload_and_the_next_gets_a_new_worker(
    db: Database, tmp_path: Path
) -> None:
    make = _DyingFirst()
    library = await opened_in(db, tmp_path / "audio", IngestPool(make))
    sound = wav(siren(0.5))
    with pytest.raises(MediaError, match="brought its decoder down"):
        await library.add(_chunks(sound), Draft("first"), system(NOW_MS), MOST)
    assert list((tmp_path / "audio" / "tmp").iterdir()) == []
    ticks = 0

    async def count() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    counting = asyncio.create_task(count())
    programme = await library.add(_chunks(sound), Draft("second"), system(NOW_MS), MOST)
    counting.cancel()
    assert ticks > 5
    assert make.made == 2
    assert await Programmes(db).list() == [programme]
    with pytest.raises(NotAudio):
        await library.add(_chunks(b"text" * 100), Draft("third"), system(NOW_MS), MOST)
    await library.close()
