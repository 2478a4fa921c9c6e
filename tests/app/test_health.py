"""The parts of a core, asked again and again: those that hang, those that fail, those that come back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from loa import config as settings
from loa.app import health
from loa.app.api_client import ApiClient, ApiError
from loa.app.core import Core
from loa.app.health import Health, Probe
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.store.database import Database
from loa.errors import StoreError
from loa.timing.clock import SystemClock
from tests.postgres import PostgresServer


@pytest.fixture(autouse=True)
def _short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ANSWER_S", 0.05)


async def test_a_part_that_hangs_is_asked_once_and_is_believed_when_it_answers() -> None:
    asked = 0
    answer = asyncio.Event()

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await answer.wait()
        return asked

    probe = Probe("part", ask)
    assert not probe.answers
    for _ in range(3):
        await probe.round()
        assert (probe.answers, probe.fault) == (False, "no answer within 0.05 s")
    assert asked == 1
    answer.set()
    await probe.round()
    assert (probe.answers, probe.value) == (True, 1)
    await probe.round()
    assert probe.value == 2


async def test_a_part_is_not_blamed_for_an_event_loop_that_was_late_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LATE_S", 0.1)
    answer = asyncio.Event()
    answer.set()

    async def ask() -> bool:
        await answer.wait()
        return True

    probe = Probe("part", ask)
    await probe.round()
    answer.clear()
    asyncio.get_running_loop().call_later(0.01, time.sleep, 0.3)
    await probe.round()
    assert probe.answers
    await probe.round()
    assert not probe.answers


async def test_a_part_that_fails_is_logged_once_and_again_when_it_is_back() -> None:
    faults: list[Exception | None] = [StoreError("gone"), StoreError("gone"), None, None, KeyError("bug"), None]

    async def ask() -> bool:
        if fault := faults.pop(0):
            raise fault
        return True

    probe = Probe("part", ask)
    answers = []
    with capture_logs() as logs:
        while faults:
            await probe.round()
            answers.append(probe.answers)
    assert answers == [False, False, True, True, False, True]
    assert [(entry["log_level"], entry.get("error")) for entry in logs] == [
        ("error", "gone"),
        ("info", None),
        ("error", "'bug'"),
        ("info", None),
    ]


async def test_a_probe_that_ends_ends_its_question() -> None:
    ended = asyncio.Event()

    async def ask() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(Probe("part", ask).run())
    while not ended.is_set() and not running.done():
        await asyncio.sleep(0.01)
        running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_a_database_that_is_gone_does_not_answer_and_one_that_is_back_does(tmp_path: Path) -> None:
    monkey = 5.0
    db = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'loa.sqlite'}")
    watched = Health(tmp_path, db.ask, Endpoints(db).count)
    with _limit(monkey):
        await watched.first_look()
        assert watched.gauges()["store_up"] == 1
        assert watched.gauges()["endpoints_enrolled"] == 0
        assert watched.gauges()["disk_free_bytes"] > 0
        await db.close()
        _move_away(tmp_path)
        await watched.store.round()
        assert watched.gauges()["store_up"] == 0
        _put_back(tmp_path)
        await watched.store.round()
        assert watched.gauges()["store_up"] == 1
    await db.close()


def _move_away(folder: Path) -> None:
    (folder / "loa.sqlite").rename(folder / "away")
    (folder / "loa.sqlite").mkdir()


def _put_back(folder: Path) -> None:
    (folder / "loa.sqlite").rmdir()
    (folder / "away").rename(folder / "loa.sqlite")


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "ANSWER_S", seconds)
        yield


async def test_a_folder_that_is_gone_is_a_disk_that_does_not_answer(tmp_path: Path) -> None:
    async def nothing() -> int:
        return 0

    async def read() -> None:
        return None

    with _limit(5.0):
        watched = Health(tmp_path / "none", read, nothing)
        await watched.first_look()
    assert not watched.disk.answers
    assert "disk_free_bytes" not in watched.gauges()


class _Clock(SystemClock):
    """The system's clocks, set forward by hand."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.ahead_ns

    def utc_ns(self) -> int:
        return super().utc_ns() + self.ahead_ns


@asynccontextmanager
async def _core(folder: Path, clock: _Clock, **more: int | str) -> AsyncIterator[tuple[Core, ApiClient]]:
    config = settings.load(None, data_dir=folder, http_port=0, media_port=0, **more)
    with _limit(5.0):
        async with Core(config, clock) as core, ApiClient(f"http://127.0.0.1:{core.http_port}", "") as api:
            yield core, api


async def _lacking(api: ApiClient) -> str:
    """What /readyz names; "" when it is ready."""
    try:
        await api.call("GET", "/readyz")
    except ApiError as error:
        if error.status == 200:  # "ready" is no JSON
            return ""
        return f"{error.status} {error.slug}: {error.detail}"
    raise AssertionError("an answer in JSON")


async def _until(api: ApiClient, told: str) -> None:
    """Wait until /readyz says so."""
    async with asyncio.timeout(30):
        while True:
            if await _lacking(api) == told:
                return
            await asyncio.sleep(0.05)


async def test_ready_means_that_the_disk_has_room(tmp_path: Path) -> None:
    async with _core(tmp_path, _Clock(), min_free_bytes=1 << 60) as (core, api):
        assert "min_free_bytes asks for 1099511627776 MiB" in await _lacking(api)
        assert core.status().startswith("not ready: the disk")


async def test_ready_means_that_the_keys_are_good_for_a_day(tmp_path: Path) -> None:
    clock = _Clock()
    async with _core(tmp_path, clock) as (_, api):
        assert await _lacking(api) == ""
        clock.ahead_ns = int((90 - 0.5) * 86_400e9)
        assert "the keys are good for 12 h only" in await _lacking(api)
        clock.ahead_ns = int((90 + 0.5) * 86_400e9)
        assert "the order key is no longer good" in await _lacking(api)


async def test_ready_means_that_the_media_process_answers(tmp_path: Path) -> None:
    clock = _Clock()
    async with _core(tmp_path, clock) as (core, api):
        children = _children()
        for child in children:
            os.kill(child, signal.SIGSTOP)
        try:
            async with asyncio.timeout(30):
                while "the media process has said nothing for" not in await _lacking(api):
                    clock.ahead_ns += 20_000_000_000  # again, when a word of before was still on its way
            assert not core.alive
        finally:
            for child in children:
                os.kill(child, signal.SIGCONT)
        await _until(api, "")


def _children() -> list[int]:
    own = os.getpid()
    return [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]


async def test_ready_means_that_the_store_answers(tmp_path: Path, postgres: PostgresServer) -> None:
    async with postgres.database() as url, _core(tmp_path, _Clock(), database_url=url) as (_, api):
        assert await _lacking(api) == ""
        postgres.stop(at_once=True)
        try:
            await _until(api, "503 not-ready: the store does not answer")
        finally:
            postgres.start()
        await _until(api, "")
