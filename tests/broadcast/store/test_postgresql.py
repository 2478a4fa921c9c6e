"""What is special to PostgreSQL: how transactions begin, how long anything waits, and a server that goes away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.store import engines
from loa.broadcast.store.database import Database
from loa.errors import ConfigError, StoreError
from tests.broadcast.store.counting import SIGNER, Held, bump, count_up, counts, waiting
from tests.postgres import PostgresServer


@pytest.fixture
async def url(postgres: PostgresServer) -> AsyncIterator[str]:
    async with postgres.database() as url:
        yield url


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url)
    yield database
    await database.close()


async def _setting(connection: AsyncConnection, name: str) -> str:
    return str((await connection.execute(text(f"SHOW {name}"))).scalar_one())


async def test_a_reader_has_one_state_and_a_writer_the_lock(db: Database) -> None:
    held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()")
    async with db.read() as connection:
        assert await _setting(connection, "transaction_isolation") == "repeatable read"
        assert await _setting(connection, "transaction_read_only") == "on"
        assert (await connection.execute(held)).scalar_one() == 0
    async with db.write() as connection:
        assert await _setting(connection, "transaction_isolation") == "read committed"
        assert await _setting(connection, "transaction_read_only") == "off"
        assert (await connection.execute(held)).scalar_one() == 1


async def test_nothing_waits_for_ever(db: Database) -> None:
    for use in (db.read, db.write):
        async with use() as connection:
            assert await _setting(connection, "lock_timeout") == "10s"
            assert await _setting(connection, "statement_timeout") == "30s"
            assert await _setting(connection, "idle_in_transaction_session_timeout") == "1min"


async def test_a_commit_is_on_the_disk_whatever_the_servers_default(url: str, postgres: PostgresServer) -> None:
    name = url.partition("@/")[2].partition("?")[0]
    for default, kept in (("off", "on"), ("remote_apply", "remote_apply")):
        await postgres.admin(f'ALTER DATABASE "{name}" SET synchronous_commit = {default}')
        db = await Database.open(url)
        async with db.write() as connection:
            assert await _setting(connection, "synchronous_commit") == kept
        await db.close()


async def test_a_writer_that_another_machine_keeps_waiting_is_told_so(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "LOCK_TIMEOUT_S", 0.05)
    one, two = await Database.open(url), await Database.open(url)
    async with one.write() as connection:
        await count_up(connection)
        with pytest.raises(StoreError, match="lock timeout"):
            await bump(two)
    assert await bump(two) == 2
    await one.close()
    await two.close()


async def test_a_statement_that_takes_too_long_is_ended(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "STATEMENT_TIMEOUT_S", 0.3)
    db = await Database.open(url)
    for use in (db.read, db.write):
        with pytest.raises(StoreError, match="statement timeout"):
            async with use() as connection:
                await connection.execute(text("SELECT pg_sleep(100)"))
    assert await bump(db) == 1
    await db.close()


async def test_a_machine_that_hangs_in_a_write_blocks_the_others_no_longer_than_said(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await Database.open(url)
    assert await bump(other) == 1
    monkeypatch.setattr(engines, "IDLE_TIMEOUT_S", 0.3)
    hanging = await Database.open(url)

    async def hang() -> None:
        async with hanging.write() as connection:
            await count_up(connection)
            assert await bump(other) == 2

    with pytest.raises(StoreError):
        await hang()
    assert await bump(hanging) == 3
    await hanging.close()
    await other.close()


async def test_a_server_that_does_not_answer_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CONNECT_TIMEOUT_S", 0.05)
    silent = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(StoreError, match="TimeoutError"):
        await Database.open(f"postgresql://u:geheim@127.0.0.1:{silent.getsockname()[1]}/loa")
    silent.close()


async def test_a_server_that_stops_answering_is_given_up_and_its_connection_too(
    url: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "STATEMENT_TIMEOUT_S", 0.0)  # the server's own is off
    monkeypatch.setattr(engines, "ANSWER_GRACE_S", 0.5)
    db = await Database.open(url)
    for use in (db.read, db.write):
        with pytest.raises(StoreError, match="TimeoutError"):
            async with use() as connection:
                await connection.execute(text("SELECT pg_sleep(100)"))
    assert await bump(db) == 1
    assert await counts(db) == {SIGNER: 1}
    await db.close()


async def test_refused_unknown_forbidden_and_crowded_are_store_errors_without_a_password(
    url: str, postgres: PostgresServer
) -> None:
    await postgres.admin(
        "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0", "CREATE ROLE with_password LOGIN PASSWORD 'right'"
    )
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    for address, said in (
        (f"postgresql://u:geheim@127.0.0.1:{port}/loa", "refused|Connect call failed"),
        (postgres.url("nowhere").replace("loa@", "loa:geheim@"), "does not exist"),
        (url.replace("loa@", "with_password:geheim@"), "password authentication failed"),
        (url.replace("loa@", "crowded:geheim@"), "too many connections"),
        ("postgresql://u:geheim@/loa?host=/nowhere", "No such file|FileNotFound"),
    ):
        with pytest.raises(StoreError, match=said) as caught:
            await Database.open(address)
        assert "geheim" not in str(caught.value)
    await postgres.admin("DROP ROLE crowded", "DROP ROLE with_password")


async def test_a_database_that_cannot_hold_vietnamese_is_refused(postgres: PostgresServer) -> None:
    await postgres.admin(
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'"
    )
    with pytest.raises(ConfigError, match="LATIN1"):
        await Database.open(postgres.url("latin"))
    await postgres.admin("DROP DATABASE latin WITH (FORCE)")


async def _end_connections(postgres: PostgresServer, use: str) -> None:
    rows = await postgres.admin(
        f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'loa {use}'"
    )
    assert rows


async def test_a_connection_that_is_ended_in_the_middle_undoes_its_block_alone(
    db: Database, postgres: PostgresServer
) -> None:
    async def before_another_statement() -> None:
        async with db.write() as connection:
            await count_up(connection)
            await _end_connections(postgres, "write")
            await count_up(connection)

    async def before_the_commit() -> None:
        async with db.write() as connection:
            await count_up(connection)
            await _end_connections(postgres, "write")

    async def while_reading() -> None:
        async with db.read() as connection:
            await connection.execute(text("SELECT 1"))
            await _end_connections(postgres, "read")
            await connection.execute(text("SELECT 1"))

    assert await bump(db) == 1
    for block in (before_another_statement, before_the_commit, while_reading):
        with pytest.raises(StoreError, match="the store failed"):
            await block()
        assert await counts(db) == {SIGNER: 1}
    assert await bump(db) == 2


async def test_a_connection_that_is_ended_fails_its_group_and_those_behind_it_get_another(
    db: Database, postgres: PostgresServer
) -> None:
    async with Held(db) as held:
        behind = await waiting(bump(db), bump(db), bump(db))
        await _end_connections(postgres, "write")
    with pytest.raises(StoreError, match="the store failed"):
        await held.task
    assert await asyncio.gather(*behind) == [1, 2, 3]
    assert await counts(db) == {SIGNER: 3}


async def test_all_who_wait_are_told_when_no_transaction_can_be_begun(
    db: Database, postgres: PostgresServer
) -> None:
    assert await bump(db) == 1
    postgres.stop()
    outcomes = await asyncio.gather(*(bump(db) for _ in range(20)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreError}
    assert len({id(outcome) for outcome in outcomes}) == 20
    postgres.start()
    assert await bump(db) == 2


@pytest.mark.parametrize("asked_meanwhile", [False, True], ids=["unnoticed", "noticed"])
@pytest.mark.parametrize("at_once", [False, True], ids=["stopped", "crashed"])
async def test_a_server_that_went_away_and_came_back_is_used_again_with_all_it_was_told(
    db: Database, postgres: PostgresServer, at_once: bool, asked_meanwhile: bool
) -> None:
    # Several connections of both kinds lie in the pools.
    assert await asyncio.gather(*(bump(db) for _ in range(5))) == [1, 2, 3, 4, 5]
    await asyncio.gather(*(counts(db) for _ in range(5)))
    postgres.stop(at_once=at_once)
    if asked_meanwhile:
        for use in (bump, counts):
            with pytest.raises(StoreError, match="the store failed"):
                await use(db)
    postgres.start()
    assert await bump(db) == 6
    assert await asyncio.gather(*(counts(db) for _ in range(5))) == [{SIGNER: 6}] * 5


async def test_connections_are_bounded(db: Database, postgres: PostgresServer) -> None:
    await asyncio.gather(*(counts(db) for _ in range(200)), *(bump(db) for _ in range(50)))
    rows = await postgres.admin("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'loa %'")
    assert rows[0][0] <= engines.READERS + 1


async def test_no_connection_is_left_behind(url: str, postgres: PostgresServer) -> None:
    db = await Database.open(url)
    await asyncio.gather(*(counts(db) for _ in range(20)), *(bump(db) for _ in range(20)))
    cancelled = [asyncio.create_task(use(db)) for use in (bump, counts) for _ in range(20)]
    for n, task in enumerate(cancelled):
        for _ in range(n % 7):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)
    await db.close()
    connection = await asyncpg.connect(url)
    for _ in range(1000):
        rows = await connection.fetch("SELECT FROM pg_stat_activity WHERE application_name LIKE 'loa %'")
        if not rows:
            break
    await connection.close()
    assert not rows
