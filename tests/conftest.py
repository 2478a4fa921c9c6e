"""For all tests: property tests that say the same on every machine, however slow it is, and stores to begin with.

Tests run in several processes at once; one marked `alone` (real sound in real time) runs while no other does. Those
come first, one after the other, so that the others are waited for once.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile(
    "explore", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The session's PostgreSQL server; it starts when the first test asks for it."""
    from tests.postgres import postgres_server

    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty SQLite store with the newest schema: a copy takes less than a migration."""
    from loa.broadcast.store.address import sqlite_address
    from loa.broadcast.store.database import Database

    path = tmp_path_factory.mktemp("empty") / "loa.sqlite"

    async def make() -> None:
        await (await Database.open(sqlite_address(path))).close()

    # In a thread of its own: the test that asks first may have an event loop here.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, make()).result()
    return path


class Places:
    """Who runs now, over the processes of one run: a test holds a place beside the others, or all places.

    Who has all places keeps them for the next test that wants them.
    """

    def __init__(self, run: str) -> None:
        folder = Path(tempfile.gettempdir())
        self._paths = [folder / f"loa-tests-{run}.{name}" for name in ("door", "places")]
        self._door, self._places = (os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in self._paths)
        self._has_all = False

    @contextlib.contextmanager
    def held(self, *, alone: bool, next_alone: bool) -> Iterator[None]:
        """Wait for a place. Who wants all keeps the door meanwhile, so that those who come and go let it in."""
        if not self._has_all:
            fcntl.flock(self._door, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._places, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            finally:
                fcntl.flock(self._door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            self._has_all = alone and next_alone
            if not self._has_all:
                fcntl.flock(self._places, fcntl.LOCK_UN)

    def close(self) -> None:
        """No further test of this process. All processes have opened the files before the first one ends."""
        for number, path in zip((self._door, self._places), self._paths, strict=True):
            os.close(number)
            path.unlink(missing_ok=True)


PLACES = pytest.StashKey[Places]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """One process of several has places to share."""
    if run := os.environ.get("PYTEST_XDIST_TESTRUNUID"):
        session.config.stash[PLACES] = Places(run)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """No further test here."""
    if places := session.config.stash.get(PLACES, None):
        places.close()


def _is_alone(item: pytest.Item | None) -> bool:
    return item is not None and item.get_closest_marker("alone") is not None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of tests that are alone first, then those that hold such a test too; otherwise in their order."""
    of_files: dict[Path, set[bool]] = defaultdict(set)
    for item in items:
        of_files[item.path].add(_is_alone(item))
    ranks = {path: 0 if kinds == {True} else 1 if True in kinds else 2 for path, kinds in of_files.items()}
    items.sort(key=lambda item: ranks[item.path])


def pytest_collection_finish() -> None:
    """What five thousand tests are made of stays to the end: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Beside the others, or alone."""
    places = item.config.stash.get(PLACES, None)
    alone, next_alone = _is_alone(item), _is_alone(nextitem)
    with places.held(alone=alone, next_alone=next_alone) if places is not None else contextlib.nullcontext():
        return (yield)
