"""One core for each database, however its connection fares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from loa.broadcast.store import core_lock
from loa.broadcast.store.core_lock import CoreLock
from loa.errors import ConfigError, StoreError
from tests.broadcast.conftest import NewStore
from tests.postgres import PostgresServer, postgres_server


async def test_a_second_core_is_refused_until_the_first_is_gone(db_url: str) -> None:
    first = await CoreLock.take(db_url)
    with pytest.raises(ConfigError, match="another core runs on the database"):
        await CoreLock.take(db_url)
    assert first.held
    await first.close()
    second = await CoreLock.take(db_url)
    await second.close()
    assert not second.held


async def test_each_database_has_a_core_of_its_own(new_store: NewStore) -> None:
    async with new_store() as one, new_store() as two:
        locks = [await CoreLock.take(url) for url in (one, two)]
        assert all(lock.held for lock in locks)
        for lock in locks:
            await lock.close()


@pytest.fixture
async def url(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setattr(core_lock, "RETRY_S", 0.01)
    async with postgres.database() as url:
        yield url


def session(lock: CoreLock) -> object:
    """The session that holds it."""
    return lock._session  # type: ignore[attr-defined]


async def held_anew(lock: CoreLock, before: object) -> None:
    """Wait until another session than `before` holds it."""
    while True:
        if session(lock) not in (None, before) and lock.held:
            return
        await asyncio.sleep(0.002)


async def end(url: str, name: str = "loa core %") -> None:
    """End the sessions of this name."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE $1", name
        )
    finally:
        await connection.close()


async def test_a_lock_whose_session_ends_is_taken_again(url: str) -> None:
    lock = await CoreLock.take(url)
    first = session(lock)
    keeping = asyncio.create_task(lock.keep())
    await end(url)
    await held_anew(lock, first)
    with pytest.raises(ConfigError):
        await CoreLock.take(url)
    keeping.cancel()
    await lock.close()


async def test_an_old_session_that_the_server_believes_alive_is_ended_for_the_new_one(url: str) -> None:
    lock = await CoreLock.take(url)
    name, first = lock._name, session(lock)  # type: ignore[attr-defined]
    await end(url)
    # As it is when the network swallows the end of a session: the server has one of this name, with the lock.
    old = await asyncpg.connect(url, server_settings={"application_name": name})
    assert await old.fetchval("SELECT pg_try_advisory_lock($1)", core_lock.LOCK)
    keeping = asyncio.create_task(lock.keep())
    await held_anew(lock, first)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await old.execute("SELECT 1")
    keeping.cancel()
    await lock.close()


async def test_a_core_that_was_replaced_knows_it(url: str) -> None:
    lock = await CoreLock.take(url)
    await end(url)
    other = await CoreLock.take(url)
    async with asyncio.timeout(30):
        await lock.keep()
    assert lock.replaced.is_set()
    assert not lock.held
    assert other.held
    await lock.close()
    await other.close()


async def test_a_database_that_goes_and_comes_back_gives_the_lock_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_lock, "RETRY_S", 0.01)
    with postgres_server() as server:
        async with server.empty_database() as url:
            lock = await CoreLock.take(url)
            keeping = asyncio.create_task(lock.keep())
            first = session(lock)
            server.stop(at_once=True)
            while True:
                if not lock.held:
                    break
                await asyncio.sleep(0.002)
            with pytest.raises(StoreError):
                await CoreLock.take(url)
            server.start()
            await held_anew(lock, first)
            keeping.cancel()
            await lock.close()
