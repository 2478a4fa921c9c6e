"""The store's connection: what is durable, what is undone, who waits for whom, and how the schema changes."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, select, text

from loa.broadcast.store.database import REFUSAL, Database, migrate, migrate_down, upsert
from loa.broadcast.store.tables import metadata, order_sequence
from loa.errors import ConfigError, Conflict, StoreError

SIGNER = b"s" * 8


async def _bump(db: Database) -> int:
    async with db.write() as connection:
        query = select(order_sequence.c.last_seq).where(order_sequence.c.signer == SIGNER)
        last = (await connection.execute(query)).scalar_one_or_none() or 0
        await asyncio.sleep(0)
        await upsert(connection, order_sequence, [{"signer": SIGNER, "last_seq": last + 1}], key=["signer"])
        return last + 1


async def test_the_migrated_schema_is_the_one_the_code_speaks_of(db: Database) -> None:
    def difference(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with db.read() as connection:
        assert await connection.run_sync(difference) == []


async def test_migrated_constraints_are_those_of_the_metadata(db: Database, tmp_path: Path) -> None:
    def constraints(connection: Connection) -> dict[str, object]:
        inspector = inspect(connection)
        return {
            name: (
                sorted(str(c["name"]) for c in inspector.get_unique_constraints(name)),
                sorted(str(c["name"]) for c in inspector.get_foreign_keys(name)),
                sorted(str(c["name"]) for c in inspector.get_check_constraints(name)),
                inspector.get_pk_constraint(name),
                [(c["name"], c["nullable"], str(c["type"])) for c in inspector.get_columns(name)],
            )
            for name in inspector.get_table_names()
            if name != "alembic_version"
        }

    async with db.read() as connection:
        migrated = await connection.run_sync(constraints)
    other = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'other.db'}")
    async with other.write() as connection:
        await connection.run_sync(migrate_down)
        await connection.run_sync(metadata.create_all)
        assert await connection.run_sync(constraints) == migrated
    await other.close()


async def test_downgrade_leaves_nothing_and_upgrade_brings_all_back(db: Database) -> None:
    def tables(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}

    async with db.write() as connection:
        assert await connection.run_sync(tables) == set(metadata.tables)
        await connection.run_sync(migrate_down)
        assert await connection.run_sync(tables) == set()
        await connection.run_sync(migrate)
        assert await connection.run_sync(tables) == set(metadata.tables)


async def test_sqlite_is_set_up_to_lose_nothing(db: Database) -> None:
    async with db.read() as connection:
        answers = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert answers == ["wal", 2, 1, 10_000]


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'deep' / 'folder' / 'loa.db'}"
    db = await Database.open(url)
    assert await _bump(db) == 1
    await db.close()
    db = await Database.open(url)
    assert await _bump(db) == 2
    await db.close()


async def test_a_write_that_raises_leaves_nothing(db: Database) -> None:
    async def write_half() -> None:
        async with db.write() as connection:
            await upsert(connection, order_sequence, [{"signer": SIGNER, "last_seq": 7}], key=["signer"])
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await write_half()
    assert await _bump(db) == 1


async def test_a_cancelled_write_leaves_nothing_and_blocks_nobody(db: Database) -> None:
    inside = asyncio.Event()

    async def write_and_wait() -> None:
        async with db.write() as connection:
            await upsert(connection, order_sequence, [{"signer": SIGNER, "last_seq": 7}], key=["signer"])
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_and_wait())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _bump(db) == 1


async def test_writers_at_once_do_not_lose_each_others_work(db: Database) -> None:
    numbers = await asyncio.gather(*(_bump(db) for _ in range(40)))
    assert sorted(numbers) == list(range(1, 41))


async def test_writers_of_two_processes_wait_for_each_other(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'loa.db'}"
    one, two = await Database.open(url), await Database.open(url)
    numbers = await asyncio.gather(*(_bump(db) for db in [one, two] * 15))
    assert sorted(numbers) == list(range(1, 31))
    await one.close()
    await two.close()


async def test_a_reader_sees_one_state_and_does_not_wait_for_the_writer(db: Database) -> None:
    await _bump(db)
    async with db.read() as reader:
        query = select(order_sequence.c.last_seq)
        before = (await reader.execute(query)).scalar_one()
        await _bump(db)
        assert (await reader.execute(query)).scalar_one() == before == 1


async def test_a_broken_constraint_is_a_conflict_and_other_failures_are_store_errors(db: Database) -> None:
    with pytest.raises(Conflict, match="the store refuses it"):
        async with db.write() as connection:
            await connection.execute(order_sequence.insert().values(signer=SIGNER, last_seq=0))
    with pytest.raises(StoreError, match="the store failed"):
        async with db.read() as connection:
            await connection.execute(text("SELECT nothing FROM nowhere"))


async def test_a_conflict_tells_no_table_and_a_failure_no_values(db: Database) -> None:
    row = {"signer": SIGNER, "last_seq": 987_654_321}
    await _bump(db)
    with pytest.raises(Conflict) as refused:
        async with db.write() as connection:
            await connection.execute(order_sequence.insert().values(row))
    assert str(refused.value) == REFUSAL
    with pytest.raises(StoreError) as failed:
        async with db.read() as connection:
            await connection.execute(text("SELECT nothing FROM nowhere WHERE x = :secret"), {"secret": "geheim"})
    assert "geheim" not in str(failed.value)


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "loa.db"
    path.write_bytes(b"this is a letter to my aunt, not a database" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError):
        await Database.open(f"sqlite+aiosqlite:///{path}")
    assert path.read_bytes() == before


async def test_a_store_of_a_newer_programme_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loa.db"
    await (await Database.open(f"sqlite+aiosqlite:///{path}")).close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError, match="9999"):
        await Database.open(f"sqlite+aiosqlite:///{path}")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "nodialect://x/y", "sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"]
)
async def test_an_address_that_is_none_is_a_clear_error(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        await Database.open(url)


async def test_a_password_in_the_address_is_not_told() -> None:
    with pytest.raises(ConfigError) as caught:
        await Database.open("nodialect://user:geheim@host/loa")
    assert "geheim" not in str(caught.value)
