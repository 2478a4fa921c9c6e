"""Nothing acknowledged is lost: writers are killed, on each database, and a server is killed under its writers."""

from __future__ import annotations

import asyncio
import sys

import pytest

from loa.broadcast.store.database import Database
from loa.errors import StoreError
from tests.broadcast.store.counting import bump, counts
from tests.postgres import PostgresServer

WRITERS = 12
_WRITER = """
import asyncio, sys
from loa.broadcast.store.database import Database
from tests.broadcast.store.counting import bump

async def write(db, signer):
    while True:
        print(signer.decode(), await bump(db, signer), flush=True)

async def run(url, writers):
    db = await Database.open(url)
    await asyncio.gather(*(write(db, b"%08d" % n) for n in range(writers)))

asyncio.run(run(sys.argv[1], int(sys.argv[2])))
"""


async def _write_and_kill(url: str, at_least: int) -> dict[bytes, int]:
    """The highest number of each writer that a process told of before it was killed while writing more."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WRITER, url, str(WRITERS), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(at_least)]
    process.kill()
    lines += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    told = [line.split() for line in lines if line.endswith(b"\n")]
    return {signer: int(number) for signer, number in told}


async def test_what_many_writers_told_before_their_process_was_killed_is_there(db_url: str) -> None:
    for at_least in (1, 40, 77):
        told = await _write_and_kill(db_url, at_least)
        db = await Database.open(db_url)
        there = await counts(db)
        await db.close()
        assert told
        # One more may have become durable and not been told.
        assert all(number <= there[signer] <= number + 1 for signer, number in told.items())


@pytest.mark.parametrize("at_once", [False, True], ids=["stopped", "crashed"])
async def test_what_many_writers_were_told_before_the_server_went_is_there_when_it_is_back(
    postgres: PostgresServer, at_once: bool
) -> None:
    told: dict[bytes, int] = {}
    running = asyncio.Event()

    async def write(db: Database, signer: bytes) -> None:
        while True:
            try:
                told[signer] = await bump(db, signer)
            except StoreError:
                return
            if sum(told.values()) > 5 * WRITERS:
                running.set()

    async with postgres.database() as url:
        db = await Database.open(url)
        for turn in (1, 2):
            running.clear()
            writers = [asyncio.create_task(write(db, b"%08d" % n)) for n in range(WRITERS)]
            await running.wait()
            await asyncio.to_thread(postgres.stop, at_once=at_once)
            await asyncio.gather(*writers)
            postgres.start()
            there = await counts(db)
            assert all(number <= there[signer] for signer, number in told.items())
            assert await bump(db, b"afterwards") == turn
        await db.close()
