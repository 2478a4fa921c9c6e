"""The store's connections, on each database: what is durable or undone, who waits for whom, what errors tell."""

from __future__ import annotations

import asyncio
import traceback

import pytest
from sqlalchemy import select, text

from loa.broadcast.store.database import Database, upsert
from loa.broadcast.store.failures import REFUSAL
from loa.broadcast.store.tables import order_sequence, token
from loa.errors import Conflict, NotFound, StoreError
from tests.broadcast.store.counting import SIGNER, bump, counts


async def test_what_was_written_is_there_after_reopening(db_url: str) -> None:
    db = await Database.open(db_url)
    assert await bump(db) == 1
    await db.close()
    db = await Database.open(db_url)
    assert await bump(db) == 2
    await db.close()


async def test_a_store_answers_unless_its_tables_are_gone(db: Database) -> None:
    await db.ask()
    async with db.write() as connection:
        await connection.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(StoreError):
        await db.ask()


async def test_a_write_that_raises_leaves_nothing(db: Database) -> None:
    async def write_half() -> None:
        async with db.write() as connection:
            await upsert(connection, order_sequence, [{"signer": SIGNER, "last_seq": 7}], key=["signer"])
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await write_half()
    assert await bump(db) == 1


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
    assert await bump(db) == 1


async def test_writers_at_once_do_not_lose_each_others_work(db: Database) -> None:
    numbers = await asyncio.gather(*(bump(db) for _ in range(40)))
    assert sorted(numbers) == list(range(1, 41))


async def test_writers_of_two_machines_wait_for_each_other(db_url: str) -> None:
    one, two = await Database.open(db_url), await Database.open(db_url)
    numbers = await asyncio.gather(*(bump(db) for db in [one, two] * 15))
    assert sorted(numbers) == list(range(1, 31))
    await one.close()
    await two.close()


async def test_a_reader_sees_one_state_and_does_not_wait_for_the_writer(db: Database) -> None:
    await bump(db)
    async with db.read() as reader:
        query = select(order_sequence.c.last_seq)
        before = (await reader.execute(query)).scalar_one()
        await bump(db)
        assert (await reader.execute(query)).scalar_one() == before == 1


async def test_readers_take_no_connection_from_the_writer(db: Database) -> None:
    release = asyncio.Event()

    async def read() -> None:
        async with db.read() as connection:
            await connection.execute(select(order_sequence))
            await release.wait()

    readers = [asyncio.create_task(read()) for _ in range(50)]
    assert await bump(db) == 1
    release.set()
    await asyncio.gather(*readers)


async def test_a_reader_can_change_nothing(db: Database) -> None:
    with pytest.raises(StoreError, match=r"(?i)read.?only"):
        async with db.read() as connection:
            await connection.execute(order_sequence.insert().values(signer=SIGNER, last_seq=1))
    assert await counts(db) == {}


async def test_a_broken_constraint_is_a_conflict_and_other_failures_are_store_errors(db: Database) -> None:
    with pytest.raises(Conflict, match="the store refuses it"):
        async with db.write() as connection:
            await connection.execute(order_sequence.insert().values(signer=SIGNER, last_seq=0))
    with pytest.raises(StoreError, match="the store failed"):
        async with db.read() as connection:
            await connection.execute(text("SELECT nothing FROM nowhere"))


async def test_what_a_block_raises_by_itself_leaves_it_as_it_is(db: Database) -> None:
    error = NotFound("no area")
    with pytest.raises(NotFound) as caught:
        async with db.write():
            raise error
    assert caught.value is error


async def test_a_conflict_tells_no_table_and_a_failure_no_values(db: Database) -> None:
    await bump(db)
    with pytest.raises(Conflict) as refused:
        async with db.write() as connection:
            await connection.execute(order_sequence.insert().values(signer=SIGNER, last_seq=987_654_321))
    assert str(refused.value) == REFUSAL
    with pytest.raises(StoreError) as failed:
        async with db.read() as connection:
            await connection.execute(text("SELECT nothing FROM nowhere WHERE x = :secret"), {"secret": "geheim"})
    assert "geheim" not in str(failed.value)


async def test_no_error_and_no_log_of_it_tells_a_secret(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    secret = b"geheim" * 6
    row = {
        "name": "n",
        "role": "admin",
        "sha256": secret,
        "created_ms": 1,
        "expires_ms": None,
        "revoked_ms": None,
        "area_id": None,
    }
    async with db.write() as connection:
        await connection.execute(token.insert().values(id=b"1" * 16, **row))
    told = ""
    for values in (
        {"id": b"2" * 16, **row},
        {"id": b"2" * 16, **row, "created_ms": 2**70 + int.from_bytes(b"geheim", "big")},
        {"id": b"2" * 16, **row, "sha256": b"3" * 32, "name": "geheim\ud800"},
        {"id": b"2" * 16, **row, "sha256": b"3" * 32, "name": None},
    ):
        with pytest.raises(StoreError) as caught:
            async with db.write() as connection:
                await connection.execute(token.insert().values(**values))
        told += "".join(traceback.format_exception(caught.value))
    told += "".join(capsys.readouterr())
    for form in ("geheim", secret.hex(), str(2**70)[:10], str(2**70 + int.from_bytes(b"geheim", "big"))):
        assert form not in told


async def test_the_place_of_a_failure_stays_in_its_traceback(db: Database) -> None:
    async def the_guilty_function() -> None:
        async with db.read() as connection:
            await connection.execute(text("SELECT nothing FROM nowhere"))

    with pytest.raises(StoreError) as caught:
        await the_guilty_function()
    assert caught.traceback[-1].name != "read"
    assert "the_guilty_function" in {entry.name for entry in caught.traceback}
