"""How the schema changes, on each database: up, down, by two processes at once, and that it is the code's own."""

from __future__ import annotations

import asyncio
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from loa.broadcast.store.database import Database, alembic_config, migrate, migrate_down
from loa.broadcast.store.tables import metadata
from loa.errors import StoreError
from tests.broadcast.store.counting import bump


def _schema(connection: Connection) -> dict[str, object]:
    """All there is, by table: constraints, indexes, columns with their types."""
    inspector = inspect(connection)
    return {
        name: (
            sorted(str(c["name"]) for c in inspector.get_unique_constraints(name)),
            sorted((str(c["name"]), *c["constrained_columns"]) for c in inspector.get_foreign_keys(name)),
            sorted(str(c["name"]) for c in inspector.get_check_constraints(name)),
            sorted((str(i["name"]), *map(str, i["column_names"])) for i in inspector.get_indexes(name)),
            inspector.get_pk_constraint(name)["constrained_columns"],
            [(c["name"], c["nullable"], str(c["type"])) for c in inspector.get_columns(name)],
        )
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


async def test_the_migrated_schema_is_the_one_the_code_speaks_of(db: Database) -> None:
    def difference(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with db.read() as connection:
        assert await connection.run_sync(difference) == []


async def test_migrated_constraints_are_those_of_the_metadata(db: Database) -> None:
    async with db.write() as connection:
        migrated = await connection.run_sync(_schema)
        await connection.run_sync(migrate_down)
        await connection.run_sync(metadata.create_all)
        assert await connection.run_sync(_schema) == migrated


async def test_downgrade_leaves_nothing_and_upgrade_brings_all_back(db: Database) -> None:
    async with db.write() as connection:
        newest = await connection.run_sync(_schema)
        assert set(newest) == set(metadata.tables)
        await connection.run_sync(migrate_down)
        assert await connection.run_sync(_schema) == {}
        await connection.run_sync(migrate)
        assert await connection.run_sync(_schema) == newest


async def test_every_step_down_undoes_its_step_up(db: Database) -> None:
    async with db.write() as connection:
        steps = await connection.run_sync(
            lambda each: list(ScriptDirectory.from_config(alembic_config(each)).walk_revisions())
        )
        newest_first = [step.revision for step in steps]
        await connection.run_sync(migrate_down)
        schemas = []
        for revision in reversed(newest_first):
            await connection.run_sync(migrate, revision)
            schemas.append(await connection.run_sync(_schema))
        for revision in newest_first[1:]:
            schemas.pop()
            await connection.run_sync(migrate_down, revision)
            assert await connection.run_sync(_schema) == schemas[-1], revision


async def test_what_is_open_already_is_opened_again(db: Database, db_url: str) -> None:
    await bump(db)
    other = await Database.open(db_url)
    assert await bump(other) == 2
    await other.close()


_OPENER = """
import asyncio, sys
from loa.broadcast.store.database import Database

async def run(url):
    print("ready", flush=True)
    sys.stdin.readline()
    await (await Database.open(url)).close()

asyncio.run(run(sys.argv[1]))
"""


async def test_processes_that_start_at_once_on_a_new_database_all_succeed(unmigrated_url: str) -> None:
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", _OPENER, unmigrated_url, stdin=pipe, stdout=pipe)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0]
    db = await Database.open(unmigrated_url)
    assert await bump(db) == 1
    await db.close()


async def test_a_store_of_a_newer_programme_is_refused_and_left_as_it_is(db: Database, db_url: str) -> None:
    async with db.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="9999"):
        await Database.open(db_url)
    assert await bump(db) == 1
