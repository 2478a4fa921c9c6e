"""The feed of events: everything once, in order, and what is forgotten shows."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from loa.broadcast.journal import feed as feeds
from loa.broadcast.journal import journal
from loa.broadcast.journal.act import system
from loa.broadcast.journal.feed import Feed
from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.registry.areas import Areas
from loa.broadcast.store import journal as stored
from loa.broadcast.store import remembered, tables
from loa.broadcast.store.database import Database
from loa.broadcast.store.remembered import Remembered
from tests.broadcast.conftest import NOW_MS


async def tell(db: Database, *numbers: int) -> None:
    async with db.write() as connection:
        for number in numbers:
            await journal.tell(connection, NOW_MS + number, "test", f"area:{number}")


async def follow(feed: Feed, seq: int, last: int) -> list[int]:
    """The numbers of what follows `seq`, up to event `last`."""
    seen: list[int] = []
    while not seen or seen[-1] < last:
        events = await feed.after(seen[-1] if seen else seq, 10)
        seen += [event.seq for event in events]
    return seen


async def test_watchers_from_anywhere_get_everything_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "POLL_S", 3600)  # what this process commits it looks for at once
    await tell(db, *range(5))
    feed = Feed(db)
    await feed.open()
    running = asyncio.create_task(feed.run())
    try:
        watchers = [asyncio.create_task(follow(feed, seq, 25)) for seq in (0, 3, 5)]
        for number in range(5, 25):
            await tell(db, number)
        late = await follow(feed, 20, 25)
        told = await asyncio.gather(*watchers)
    finally:
        running.cancel()
    assert told == [list(range(seq + 1, 26)) for seq in (0, 3, 5)]
    assert late == list(range(21, 26))


async def test_a_watcher_that_waits_for_nothing_gets_nothing(db: Database) -> None:
    feed = Feed(db)
    await feed.open()
    assert await feed.after(0, 0.001) == []


async def test_what_is_forgotten_shows_as_a_gap_and_numbers_go_on(db: Database) -> None:
    await tell(db, *range(5))
    assert await Ledger(db).forget_events(NOW_MS + 1_000, 3) == 3
    assert await Ledger(db).forget_events(NOW_MS + 1_000, 3) == 1
    feed = Feed(db)
    await feed.open()
    assert [event.seq for event in await feed.after(1, 0)] == [5]
    await tell(db, 9)
    async with db.read() as connection:
        assert await stored.event_range(connection) == (5, 6)


async def test_what_another_process_committed_is_not_remembered_any_more_when_it_is_told(
    db: Database, db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "POLL_S", 3600)
    monkeypatch.setattr(remembered, "KEPT_S", 3600)
    areas = Areas(db)
    known = Remembered(db, areas.get)
    area = await areas.create(None, "cũ", "commune", None, system(NOW_MS))
    feed = Feed(db)
    await feed.open()
    before = feed.newest
    assert (await known.get(area.id)).name == "cũ"
    other = await Database.open(db_url)
    async with other.write() as connection:
        await connection.execute(update(tables.area).values(name="mới"))
        await journal.tell(connection, NOW_MS, "area.change", "area:x")
    assert (await known.get(area.id)).name == "cũ"
    telling = asyncio.create_task(feed.after(before, 60))
    await feed.look()
    assert [event.kind for event in await telling] == ["area.change"]
    assert (await known.get(area.id)).name == "mới"
    await other.close()
