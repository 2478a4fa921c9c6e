"""The event bus: what one process commits, those who watch another get once, in order, whatever Redis forgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import pytest

from loa.broadcast.journal import feed as feeds
from loa.broadcast.journal import journal
from loa.broadcast.journal.feed import Feed
from loa.broadcast.live import event_stream
from loa.broadcast.live.event_stream import KEY, EventStream
from loa.broadcast.live.redis_address import RedisAddress
from loa.broadcast.live.redis_line import RedisLine
from loa.broadcast.store.database import Database
from tests.broadcast.conftest import NOW_MS
from tests.valkey import ValkeyServer


class Process:
    """What a process of a city has of events: a store of its own connections, a feed, and the bus."""

    def __init__(self, db: Database, feed: Feed) -> None:
        self.db = db
        self.feed = feed
        self.seen: list[int] = []

    async def commit(self) -> None:
        """Something happens here."""
        async with self.db.write() as connection:
            await journal.tell(connection, NOW_MS, "test", "area:x")

    async def watch(self) -> None:
        """Watch from the beginning, for ever."""
        while True:
            events = await self.feed.after(self.seen[-1] if self.seen else 0, 60)
            self.seen += [event.seq for event in events]

    async def sees(self, last: int) -> None:
        """Wait until the watcher has seen event `last`; everything before it came once, in order."""
        async with asyncio.timeout(30):
            while not self.seen or self.seen[-1] < last:
                await self.feed.beyond(self.seen[-1] if self.seen else 0)
                await asyncio.sleep(0.001)
        assert self.seen == list(range(1, self.seen[-1] + 1))


@asynccontextmanager
async def process(db_url: str, address: RedisAddress) -> AsyncIterator[Process]:
    async with AsyncExitStack() as stack:
        db = await Database.open(db_url)
        stack.push_async_callback(db.close)
        feed = Feed(db)
        await feed.open()
        stream = EventStream(address, feed)
        stack.push_async_callback(stream.close)
        made = Process(db, feed)
        tasks = [asyncio.create_task(work) for work in (feed.run(), stream.run(), made.watch())]
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def gone(line: RedisLine) -> None:
    """Wait until there is no stream."""
    while True:
        if not await line.ask("EXISTS", KEY):
            return
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "RETRY_S", 0.01)


@pytest.fixture
def signs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No feed looks by itself: what comes has come by the bus."""
    monkeypatch.setattr(feeds, "POLL_S", 3600)


@pytest.mark.usefixtures("signs_only")
async def test_what_one_process_commits_every_other_is_told(db_url: str, address: RedisAddress) -> None:
    async with process(db_url, address) as one, process(db_url, address) as two:
        for number in range(1, 41):
            await (one, two)[number % 2].commit()
        await asyncio.gather(one.sees(40), two.sees(40))
        async with process(db_url, address) as late:
            await one.commit()
            await asyncio.gather(one.sees(41), two.sees(41), late.sees(41))


@pytest.mark.usefixtures("signs_only")
async def test_what_was_committed_while_redis_was_down_is_told_when_it_is_back(
    db_url: str, address: RedisAddress, valkey: ValkeyServer
) -> None:
    async with process(db_url, address) as one, process(db_url, address) as two:
        await one.commit()
        await two.sees(1)
        valkey.kill()
        for _ in range(5):
            await one.commit()
        assert two.feed.newest == 1
        valkey.start()
        await asyncio.gather(one.sees(6), two.sees(6))
        await two.commit()
        await asyncio.gather(one.sees(7), two.sees(7))


async def test_without_redis_every_process_looks_by_itself(
    db_url: str, address: RedisAddress, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "POLL_S", 0.05)
    valkey.kill()
    async with process(db_url, address) as one, process(db_url, address) as two:
        await one.commit()
        await asyncio.gather(one.sees(1), two.sees(1))


@pytest.mark.usefixtures("signs_only")
async def test_what_a_killed_process_committed_is_told_by_whoever_learns_of_it(
    db_url: str, address: RedisAddress
) -> None:
    async with process(db_url, address) as watcher:
        killed = Process(await Database.open(db_url), watcher.feed)  # it has no bus: it dies before its word
        await killed.commit()
        await killed.db.close()
        async with process(db_url, address):
            await watcher.sees(1)


@pytest.mark.usefixtures("signs_only")
@pytest.mark.parametrize("foreign", ["9999-0", "18446744073709551615-18446744073709551615"])
async def test_a_stream_of_another_store_is_begun_anew(
    db_url: str, address: RedisAddress, line: RedisLine, foreign: str
) -> None:
    await line.ask("XADD", KEY, foreign, "seq", "9999")
    async with process(db_url, address) as one, process(db_url, address) as two:
        await gone(line)
        await one.commit()
        await asyncio.gather(one.sees(1), two.sees(1))


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_redis_nothing_is_lost_or_comes_twice(
    db_url: str,
    address: RedisAddress,
    line: RedisLine,
    valkey: ValkeyServer,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "POLL_S", 0.1)
    random, committed, down = Random(seed), 0, False
    async with process(db_url, address) as one, process(db_url, address) as two:
        for _ in range(60):
            what = random.randrange(8)
            if what == 0 and not down:
                valkey.kill()
                down = True
            elif what <= 1 and down:
                valkey.start()
                down = False
            elif what == 2 and not down:
                valkey.ask(b"FLUSHALL")
            elif what == 3 and not down:
                valkey.ask(f"XADD {KEY} {random.randrange(1, 500)}-1 seq 0".encode())
            elif what == 4 and not down:
                valkey.ask(f"XTRIM {KEY} MAXLEN 0".encode())
            else:
                await random.choice((one, two)).commit()
                committed += 1
        await asyncio.gather(one.sees(committed), two.sees(committed))
    assert committed > 10
