"""What is special to SQLite: how it is set up, and what it does to a full disk's transaction."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.database import Database
from loa.errors import ConfigError, StoreError
from tests.broadcast.store.counting import SIGNER, bump, counts

_INSERT = text("INSERT INTO order_sequence VALUES (:signer, 1)")


async def test_it_is_set_up_to_lose_nothing(tmp_path: Path) -> None:
    db = await Database.open(sqlite_address(tmp_path / "loa.db"))
    async with db.read() as reader, db.write() as writer:
        for connection, query_only in ((reader, 1), (writer, 0)):
            answers = [
                (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
            ]
            assert answers == ["wal", 2, 1, 10_000, query_only]
    await db.close()


async def test_its_folder_is_made(tmp_path: Path) -> None:
    db = await Database.open(sqlite_address(tmp_path / "deep" / "fol%der ?#" / "loa.db"))
    assert await bump(db) == 1
    await db.close()
    assert (tmp_path / "deep" / "fol%der ?#" / "loa.db").is_file()


async def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        await Database.open(sqlite_address(tmp_path / "file" / "loa.db"))


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "loa.db"
    path.write_bytes(b"this is a letter to my aunt, not a database" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError):
        await Database.open(sqlite_address(path))
    assert path.read_bytes() == before


async def test_on_a_full_disk_what_was_acknowledged_stays_and_room_helps(tmp_path: Path) -> None:
    db = await Database.open(sqlite_address(tmp_path / "loa.db"))
    assert await bump(db) == 1
    async with db.write() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        await connection.execute(text(f"PRAGMA max_page_count = {pages + 2}"))
    too_many = [{"signer": b"%08d" % n} for n in range(10_000)]
    with pytest.raises(StoreError, match="full"):
        async with db.write() as connection:
            await connection.execute(_INSERT, too_many)
    assert await counts(db) == {SIGNER: 1}
    async with db.write() as connection:
        await connection.execute(text("PRAGMA max_page_count = 1000000"))
    assert await bump(db) == 2
    await db.close()


async def test_a_transaction_that_sqlite_ended_by_itself_is_not_acknowledged(tmp_path: Path) -> None:
    db = await Database.open(sqlite_address(tmp_path / "loa.db"))

    async def end_in_the_middle() -> None:
        async with db.write() as connection:
            await connection.execute(_INSERT, {"signer": b"a" * 8})
            await connection.execute(text("ROLLBACK"))
            await connection.execute(_INSERT, {"signer": b"b" * 8})

    with pytest.raises(StoreError, match="ended before its time"):
        await end_in_the_middle()
    assert await bump(db) == 1
    await db.close()
