"""Sound that nobody needs goes, and none that somebody needs, however uploads, deletes and collections meet."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from loa.broadcast.content import worker
from loa.broadcast.content.audio_folder import AudioFolder
from loa.broadcast.content.audio_store import Stored
from loa.broadcast.content.file_lease import copying
from loa.broadcast.content.ingest import Ingested
from loa.broadcast.content.library import GRACE_MS, Collected, Draft, Library
from loa.broadcast.content.progress import SharedProgress
from loa.broadcast.content.worker import IngestPool
from loa.broadcast.journal.act import system
from loa.broadcast.records import Programme
from loa.broadcast.store.database import Database
from loa.broadcast.store.programmes import Programmes
from loa.errors import NotFound
from tests.broadcast.conftest import NOW_MS

T = TypeVar("T")
DAY_MS = 86_400_000


def _copied(_number: int, path_in: Path, path_out: Path, *_: object) -> Ingested:
    """In place of measuring and encoding, which are not what is tested: the file as it came."""
    data = path_in.read_bytes()
    path_out.write_bytes(data)
    return Ingested(hashlib.sha256(data).digest(), 960, 1, 960, 20, len(data), -1600, -1.0, 0.0, False)


def _threads(_: SharedProgress) -> Executor:
    return ThreadPoolExecutor(1)


@pytest.fixture(autouse=True)
def _copying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_ingest_within_limits", _copied)


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def opened(db: Database, folder: Path) -> Library:
    store = await AudioFolder.open(folder)
    (folder / "tmp").mkdir(exist_ok=True)
    return Library(db, store, folder / "tmp", IngestPool(_threads))


async def collected(library: Library, now_ms: int, kept_ms: int) -> Collected:
    removed = Collected()
    async for gone in library.collect(now_ms, kept_ms):
        removed += gone
    return removed


async def sounds_in(folder: Path) -> set[bytes]:
    return {each.digest async for each in AudioFolder(folder).stored()}


async def test_what_is_named_stays_and_what_was_taken_away_goes_in_its_time(db: Database, tmp_path: Path) -> None:
    library, programmes = await opened(db, tmp_path), Programmes(db)
    kept, gone = [
        await library.add(chunks(data), Draft("x"), system(NOW_MS), 100) for data in (b"kept", b"gone forever")
    ]
    twin = await library.add(chunks(b"kept"), Draft("y"), system(NOW_MS), 100)
    orphan = tmp_path / "fresh"
    orphan.write_bytes(b"orphan")
    await AudioFolder(tmp_path).put(hashlib.sha256(b"orphan").digest(), orphan, NOW_MS)
    assert await collected(library, NOW_MS + GRACE_MS, 7 * DAY_MS) == Collected()
    assert await collected(library, NOW_MS + GRACE_MS + 1, 7 * DAY_MS) == Collected(1, len(b"orphan"))
    await programmes.delete(gone.id, system(NOW_MS + DAY_MS))
    await programmes.delete(twin.id, system(NOW_MS + DAY_MS))
    assert await collected(library, NOW_MS + 8 * DAY_MS, 7 * DAY_MS) == Collected()
    assert await collected(library, NOW_MS + 8 * DAY_MS + 1, 7 * DAY_MS) == Collected(1, len(b"gone forever"))
    assert await sounds_in(tmp_path) == {kept.sha256}
    await library.close()


async def test_many_are_looked_up_some_at_a_time(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loa.broadcast.content.library._LOOKED_UP_AT_ONCE", 4)
    library, store = await opened(db, tmp_path), AudioFolder(tmp_path)
    for number in range(11):
        fresh = tmp_path / "fresh"
        fresh.write_bytes(bytes([number]))
        await store.put(hashlib.sha256(bytes([number])).digest(), fresh, NOW_MS)
    steps = [gone.files async for gone in library.collect(NOW_MS + 2 * GRACE_MS, 0)]
    assert steps == [4, 4, 3]
    assert await sounds_in(tmp_path) == set()
    await library.close()


async def test_nothing_goes_while_a_backup_copies(db: Database, tmp_path: Path) -> None:
    library, store = await opened(db, tmp_path), AudioFolder(tmp_path)
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"orphan")
    await store.put(hashlib.sha256(b"orphan").digest(), fresh, NOW_MS)
    with copying(tmp_path):
        assert await collected(library, NOW_MS + 2 * GRACE_MS, 0) == Collected()
    assert await collected(library, NOW_MS + 2 * GRACE_MS, 0) == Collected(1, 6)
    await library.close()


# --- uploads, deletes and collections at once, in every order ---------------------------------------------------


class Turns:
    """Lets one of several tasks go on at a time, up to its next step, in an order that a test chooses."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._working = 0

    async def step(self, work: Awaitable[T]) -> T:
        """Wait for a turn, do the work, and wait for a turn again: the others may come before what follows."""
        await self._turn()
        self._working += 1
        try:
            result = await work
        finally:
            self._working -= 1
        await self._turn()
        return result

    async def _turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    async def run(self, tasks: list[asyncio.Task[None]], choose: Callable[[int], int]) -> None:
        """Run the tasks to their ends; `choose` says which of so many goes on."""
        while not all(task.done() for task in tasks):
            await self._settled()
            if self._waiting:
                self._waiting.pop(choose(len(self._waiting))).set_result(None)
        for task in tasks:
            task.result()

    async def _settled(self) -> None:
        """Wait until nobody goes on by itself: all wait for a turn, for each other, or are at an end."""
        quiet = 0
        while quiet < 10:
            await asyncio.sleep(0)
            quiet = 0 if self._working else quiet + 1


class SteppedStore(AudioFolder):
    """The folder, each of whose operations is a step."""

    turns: Turns

    async def put(self, digest: bytes, file: Path, now_ms: int) -> None:
        await self.turns.step(super().put(digest, file, now_ms))

    async def delete(self, digest: bytes, *, put_before_ms: int) -> bool:
        return await self.turns.step(super().delete(digest, put_before_ms=put_before_ms))

    async def stored(self) -> AsyncIterator[Stored]:
        async def everything() -> list[Stored]:
            return [each async for each in AudioFolder.stored(self)]

        for each in await self.turns.step(everything()):
            yield each


class SteppedProgrammes(Programmes):
    """The store of programmes, each of whose operations that matter here is a step."""

    turns: Turns

    async def create(self, new: Programme, act: object) -> None:
        await self.turns.step(super().create(new, act))  # type: ignore[arg-type]

    async def delete(self, programme_id: bytes, act: object) -> None:
        await self.turns.step(super().delete(programme_id, act))  # type: ignore[arg-type]

    async def naming(self, digests: object, deleted_since_ms: int) -> set[bytes]:
        return await self.turns.step(super().naming(digests, deleted_since_ms))  # type: ignore[arg-type]


@dataclass
class Stage:
    """A library over old sound, which goes on in steps."""

    library: Library
    collector: Library
    programmes: SteppedProgrammes
    turns: Turns
    folder: Path
    now_ms: int

    async def upload(self, data: bytes) -> None:
        await self.library.add(chunks(data), Draft("x"), system(self.now_ms), 100)

    async def delete(self, programme: Programme) -> None:
        try:
            await self.programmes.delete(programme.id, system(self.now_ms))
        except NotFound:
            return

    async def collect(self) -> None:
        await collected(self.collector, self.now_ms, 0)


async def staged(db: Database, folder: Path, two_processes: bool) -> tuple[Stage, list[Programme]]:
    """Two old programmes, and an old sound that nobody has."""
    plain = await opened(db, folder)
    old = [await plain.add(chunks(data), Draft("cũ"), system(NOW_MS), 100) for data in (b"a", b"b")]
    fresh = folder / "fresh"
    fresh.write_bytes(b"c")
    await AudioFolder(folder).put(hashlib.sha256(b"c").digest(), fresh, NOW_MS)
    await plain.close()
    turns = Turns()
    store = await SteppedStore.open(folder)
    (folder / "tmp").mkdir(exist_ok=True)
    assert isinstance(store, SteppedStore)
    store.turns = turns
    programmes = SteppedProgrammes(db)
    programmes.turns = turns
    one, two = [Library(db, store, folder / "tmp", IngestPool(_threads)) for _ in range(2)]
    one._programmes = two._programmes = programmes
    return Stage(one, two if two_processes else one, programmes, turns, folder, NOW_MS + 10 * GRACE_MS), old


async def meet(stage: Stage, old: list[Programme], jobs: list[str], choose: Callable[[int], int]) -> None:
    work = {
        "upload a": lambda: stage.upload(b"a"),
        "upload b": lambda: stage.upload(b"b"),
        "upload c": lambda: stage.upload(b"c"),
        "delete a": lambda: stage.delete(old[0]),
        "delete b": lambda: stage.delete(old[1]),
        "collect": stage.collect,
    }
    await stage.turns.run([asyncio.create_task(work[job]()) for job in jobs], choose)
    there = await sounds_in(stage.folder)
    named = {programme.sha256 for programme in await Programmes(stage.library._programmes._db).list()}
    assert named <= there, jobs
    # And what is left over goes the next time.
    plain = await opened(stage.library._programmes._db, stage.folder)
    await collected(plain, stage.now_ms + 2 * GRACE_MS, 0)
    assert await sounds_in(stage.folder) == named
    await plain.close()
    await stage.library.close()


JOBS = ("upload a", "upload b", "upload c", "delete a", "delete b", "collect")


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("processes", ["one process", "two processes"])
async def test_no_sound_that_is_needed_goes_in_whatever_order_they_meet(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, processes: str
) -> None:
    """Within a process without any time of grace; from another process by that time alone."""
    dice = random.Random(seed)
    stage, old = await staged(db, tmp_path, processes == "two processes")
    if processes == "one process":
        monkeypatch.setattr("loa.broadcast.content.library.GRACE_MS", -1)
    jobs = ["collect", *dice.choices(JOBS, k=dice.randint(2, 5))]
    await meet(stage, old, jobs, dice.randrange)
