"""All of a database, out of one and into another: SQLite to PostgreSQL and back, of every revision."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import system
from loa.broadcast.store import tables
from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.copying import NOT_KEPT, Tables, is_empty, references_later
from loa.broadcast.store.database import Database, migrate
from loa.broadcast.store.row_format import decode_row
from loa.broadcast.store.unmigrated import building, known_revisions, reading, revision_of
from loa.errors import ConfigError, Conflict, StoreError
from tests.broadcast.conftest import NewStore
from tests.broadcast.store.full_store import ROWS, dump, fill
from tests.postgres import PostgresServer


async def load(lines: dict[str, list[bytes]], url: str, revision: str) -> None:
    async with building(url) as connection:
        assert await is_empty(connection)
        await connection.run_sync(migrate, revision)
        kept = await Tables.find(connection)
        async with references_later(connection):
            for name, columns in kept.forms().items():
                await kept.insert(connection, name, [decode_row(line, columns) for line in lines[name]])


async def test_every_row_of_every_revision_crosses_over_and_comes_back(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    for revision in known_revisions():
        first, back = (sqlite_address(tmp_path / f"{name}-{revision}.db") for name in ("first", "back"))
        async with AsyncExitStack() as stack:
            across = await stack.enter_async_context(postgres.empty_database())
            async with building(first) as connection:
                await connection.run_sync(migrate, revision)
                await fill(connection)
            lines = await dump(first)
            assert {len(rows) for rows in lines.values()} == {ROWS}
            await load(lines, across, revision)
            assert await dump(across) == lines
            await load(await dump(across), back, revision)
            assert await dump(back) == lines


async def test_all_tables_are_carried_over_but_those_that_are_named(db_url: str) -> None:
    await (await Database.open(db_url)).close()
    async with reading(db_url) as connection:
        forms = (await Tables.find(connection)).forms()
        assert await connection.run_sync(revision_of) == known_revisions()[0]
    assert set(forms) == set(tables.metadata.tables) - NOT_KEPT
    for name, columns in forms.items():
        assert {column.name for column in columns} == set(tables.metadata.tables[name].c.keys())


_STRAY = "INSERT INTO token (id, name, role, sha256, created_ms, area_id) VALUES (:id, 'x', 'r', :id, 1, :id)"


async def _build_with_a_stray(url: str) -> None:
    async with building(url) as connection:
        await connection.run_sync(migrate)
        async with references_later(connection):
            await connection.execute(text(_STRAY), {"id": bytes(16)})


async def test_a_reference_to_nothing_undoes_all(unmigrated_url: str) -> None:
    with pytest.raises(StoreError, match="refer"):
        await _build_with_a_stray(unmigrated_url)
    async with building(unmigrated_url) as connection:
        assert await is_empty(connection)


async def test_references_hold_again_afterwards(unmigrated_url: str) -> None:
    async with building(unmigrated_url) as connection:
        await connection.run_sync(migrate)
        await fill(connection)
    database = await Database.open(unmigrated_url)
    try:
        with pytest.raises(Conflict):
            async with database.write() as connection:
                await connection.execute(text("DELETE FROM area"))
    finally:
        await database.close()


async def test_a_snapshot_is_of_one_instant(new_store: NewStore) -> None:
    async with new_store() as url:
        database = await Database.open(url)
        try:
            async with reading(url) as connection:
                kept = await Tables.find(connection)
                assert await kept.count(connection, "audit") == 0
                async with database.write() as writer:
                    await journal.record(writer, system(1), "thing.do", "thing:1")
                assert await kept.count(connection, "audit") == 0
                assert [rows async for rows in kept.rows(connection, "event")] == []
            async with reading(url) as connection:
                assert await kept.count(connection, "audit") == await kept.count(connection, "event") == 1
        finally:
            await database.close()


async def test_reading_makes_no_database_and_changes_none(tmp_path: Path, unmigrated_url: str) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(ConfigError, match="there is no database"):
        async with reading(sqlite_address(path)):
            pass
    assert not path.exists()
    async with building(unmigrated_url) as connection:
        await connection.run_sync(migrate, "0002")
    async with reading(unmigrated_url) as connection:
        assert await connection.run_sync(revision_of) == "0002"
        kept = await Tables.find(connection)
        assert "audit" not in kept.forms()


async def test_a_database_of_others_is_none_of_ours(unmigrated_url: str) -> None:
    async with building(unmigrated_url) as connection:
        await connection.execute(text("CREATE TABLE theirs (a INTEGER)"))
    async with reading(unmigrated_url) as connection:
        assert not await is_empty(connection)
        with pytest.raises(StoreError, match="holds no store of Loa"):
            await Tables.find(connection)
