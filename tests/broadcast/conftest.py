"""A real store, on SQLite and on PostgreSQL, and what most tests need to stand in it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.database import Database
from tests.postgres import PostgresServer

NOW_S = 1_790_000_000
NOW_MS = NOW_S * 1000


NewStore = Callable[[], AbstractAsyncContextManager[str]]


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each database in turn."""
    return str(request.param)


@pytest.fixture
def new_store(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> NewStore:
    """Makes stores of the test's own: `async with new_store() as url`."""
    if backend == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.database
    numbers = count(1)
    empty: Path = request.getfixturevalue("empty_store")
    folder = tmp_path / "store"

    @asynccontextmanager
    async def new() -> AsyncIterator[str]:
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{next(numbers)}.db"
        shutil.copyfile(empty, path)
        yield sqlite_address(path)

    return new


@pytest.fixture
async def db_url(new_store: NewStore) -> AsyncIterator[str]:
    """The address of an empty store."""
    async with new_store() as url:
        yield url


@pytest.fixture
async def unmigrated_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a database in which nothing is, not even a table."""
    if backend == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        async with server.empty_database() as url:
            yield url
    else:
        yield sqlite_address(tmp_path / "empty.db")


@pytest.fixture
async def db(db_url: str) -> AsyncIterator[Database]:
    """An empty store."""
    database = await Database.open(db_url)
    yield database
    await database.close()


@pytest.fixture
def keyring(tmp_path: Path) -> KeyRing:
    """New keys."""
    return KeyRing.open(tmp_path / "keys", NOW_S)
