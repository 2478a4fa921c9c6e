"""What the scribe writes, and that it does not give up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from loa.broadcast.air import scribe as scribe_module
from loa.broadcast.air.scribe import Scribe
from loa.broadcast.records import Broadcast
from loa.errors import StoreError
from loa.model import BroadcastState

ONE = Broadcast(
    id=b"1" * 16,
    programme_id=b"p" * 16,
    state=BroadcastState.ON_AIR,
    priority=64,
    volume=100,
    play_delay_ms=400,
    areas=(b"a" * 16,),
    endpoints=(),
    created_ms=0,
    generation=1,
    ssrc=1,
    start_utc_ms=0,
    ended_utc_ms=None,
    frames_total=100,
    frames_aired=0,
    reason="",
)


class Store:
    """Fails as often as it is told to, and keeps what it was given."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.writes: list[tuple[Broadcast, ...]] = []

    async def save(self, *broadcasts: Broadcast) -> None:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        self.writes.append(broadcasts)


@asynccontextmanager
async def writing(store: Store) -> AsyncIterator[Scribe]:
    scribe = Scribe(store.save)
    task = asyncio.create_task(scribe.run())
    try:
        yield scribe
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_only_the_latest_of_each_broadcast_is_written_in_one_transaction() -> None:
    store = Store()
    async with writing(store) as scribe:
        other = replace(ONE, id=b"2" * 16)
        for frames in range(50):
            scribe.put(replace(ONE, frames_aired=frames))
        scribe.put(other)
        await scribe.settled()
    assert store.writes == [(replace(ONE, frames_aired=49), other)]


async def test_it_tries_until_the_store_takes_it_and_remembers_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe_module, "RETRY_S", (0.001,))
    store = Store(failures=3)
    ended = replace(ONE, state=BroadcastState.ENDED)
    async with writing(store) as scribe:
        scribe.put(ended, urgent=True)
        assert scribe.unwritten() == {ONE.id: ended}
        await scribe.settled()
        assert scribe.failures == 3
        assert scribe.unwritten() == {}
    assert store.writes == [(ended,)]


async def test_what_changes_while_it_is_written_is_written_again() -> None:
    store = Store()
    async with writing(store) as scribe:
        scribe.put(ONE, urgent=True)
        await asyncio.sleep(0)
        newer = replace(ONE, frames_aired=7)
        scribe.put(newer, urgent=True)
        await scribe.settled()
    assert store.writes[-1] == (newer,)
