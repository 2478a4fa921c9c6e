"""One real core for the tests of its HTTP face: real store, real media process, real sockets."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from loa import config as settings
from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.broadcast.people import people
from loa.broadcast.people.passwords import Passwords
from loa.timing.clock import SystemClock


class MovableClock(SystemClock):
    """The system's clocks, with a UTC that a test can set forward."""

    _ahead_ns = 0

    def utc_ns(self) -> int:
        return super().utc_ns() + self._ahead_ns

    @contextmanager
    def later(self, seconds: int) -> Iterator[None]:
        """Inside, UTC is so much later."""
        self._ahead_ns = seconds * 1_000_000_000
        try:
            yield
        finally:
            self._ahead_ns = 0


@pytest.fixture(scope="module", autouse=True)
def _passwords_cost_little() -> Iterator[None]:
    """A hash takes a tenth of a second otherwise; what it costs is held in the room of the people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "Passwords", partial(Passwords, time_cost=1, memory_kib=8))
        yield


@pytest.fixture(scope="module")
def clock() -> MovableClock:
    return MovableClock()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def core(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path, clock: MovableClock
) -> AsyncIterator[Core]:
    folder: Path = tmp_path_factory.mktemp("core")
    shutil.copyfile(empty_store, folder / "loa.sqlite")
    config = settings.load(data_dir=folder, http_port=0, media_port=0, max_upload_bytes=8 * 2**20)
    async with Core(config, clock) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(core: Core) -> AsyncIterator[ApiClient]:
    token = core.admin_token_file.read_text(encoding="utf-8").strip()
    async with ApiClient(f"http://127.0.0.1:{core.http_port}", token) as client:
        yield client
