"""The housekeeper in virtual time: it is idle most of the time, tells what it removed, and survives what fails."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.retention.housekeeper import LEAST_PAUSE_S, SHARE, Breathe, Chore, Housekeeper
from loa.broadcast.retention.plan import FIRST_S, NS_PER_S, RETRY_S
from loa.broadcast.store.database import Database
from loa.broadcast.store.journal import AuditFilter
from loa.broadcast.store.paging import Page
from loa.errors import StoreError
from loa.timing.clock import VirtualClock
from tests.broadcast.conftest import NOW_MS

DAY_S = 86_400
Run = Callable[[int, Breathe, Counter[str]], Awaitable[None]]


class Ended(Exception):
    """The test's time is over."""


class Stage:
    """A housekeeper whose sleep moves the clock."""

    def __init__(self, db: Database, **chores: Run) -> None:
        self.clock = VirtualClock(5 * NS_PER_S, NOW_MS * 1_000_000)
        self.ledger = Ledger(db)
        self.slept: list[float] = []
        self.until_ns = 0
        given = {name: Chore(DAY_S, run) for name, run in chores.items()}
        self.housekeeper = Housekeeper(given, self.ledger, self.clock, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(round(seconds * NS_PER_S))
        if self.until_ns and self.clock.monotonic_ns() >= self.until_ns:
            raise Ended
        await asyncio.sleep(0)

    async def run(self, seconds: float) -> None:
        self.until_ns = self.clock.monotonic_ns() + round(seconds * NS_PER_S)
        with pytest.raises(Ended):
            await self.housekeeper.run()

    async def told(self) -> list[tuple[str, dict[str, int]]]:
        entries = await self.ledger.entries(Page(by="seq"), AuditFilter(action="retention.forget"))
        found = [json.loads(entry.entry) for entry in entries]
        return [(entry["actor"], entry["after"]) for entry in found]


async def test_each_run_that_removes_something_is_one_act_of_the_system(db: Database) -> None:
    left = {"a": [3, 0, 2], "b": [0, 0, 7]}

    def removing(name: str) -> Run:
        async def run(_now_ms: int, _breathe: Breathe, removed: Counter[str]) -> None:
            removed[name] += left[name].pop(0)

        return run

    stage = Stage(db, a=removing("a"), b=removing("b"))
    await stage.run(FIRST_S + 2 * DAY_S + 60)
    assert left == {"a": [], "b": []}
    assert await stage.told() == [("system", {"a": 3}), ("system", {"a": 2, "b": 7})]
    assert stage.housekeeper.counters == {"removed_a": 5, "removed_b": 7}


async def test_it_rests_nine_times_as_long_as_it_works(db: Database) -> None:
    stage: Stage

    async def slow(now_ms: int, breathe: Breathe, removed: Counter[str]) -> None:
        assert now_ms == NOW_MS + (5 + FIRST_S) * 1000
        for work_ms in (100, 2_000, 0):
            stage.clock.advance(work_ms * 1_000_000)
            removed["rows"] += 1
            await breathe()

    stage = Stage(db, slow=slow)
    await stage.run(FIRST_S + 1000)
    assert stage.slept[0] == FIRST_S
    rest = (1 - SHARE) / SHARE
    assert stage.slept[1:4] == pytest.approx([0.1 * rest, 2.0 * rest, LEAST_PAUSE_S])
    assert await stage.told() == [("system", {"rows": 3})]


async def test_a_chore_that_fails_is_tried_again_soon_and_hinders_no_other(db: Database) -> None:
    tries: list[float] = []
    stage: Stage

    async def failing(_now_ms: int, _breathe: Breathe, removed: Counter[str]) -> None:
        tries.append(stage.clock.monotonic_ns() / NS_PER_S - 5)
        removed["before it failed"] += 1
        if len(tries) < 3:
            raise StoreError("the store is away")

    async def good(_now_ms: int, _breathe: Breathe, removed: Counter[str]) -> None:
        removed["good"] += 1

    stage = Stage(db, failing=failing, good=good)
    await stage.run(FIRST_S + DAY_S - 1)
    assert tries == [FIRST_S, FIRST_S + RETRY_S, FIRST_S + 2 * RETRY_S]
    assert (await stage.told())[0] == ("system", {"before it failed": 1, "good": 1})
    assert len(await stage.told()) == 3
    assert stage.housekeeper.counters["failures"] == 2


async def test_what_was_removed_when_it_is_cut_off_is_told_all_the_same(db: Database) -> None:
    inside = asyncio.Event()

    async def endless(_now_ms: int, _breathe: Breathe, removed: Counter[str]) -> None:
        removed["rows"] += 4
        inside.set()
        await asyncio.Event().wait()

    stage = Stage(db, endless=endless)
    stage.clock.advance(FIRST_S * NS_PER_S)
    task = asyncio.create_task(stage.housekeeper.run_due())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stage.told() == [("system", {"rows": 4})]


async def test_a_store_that_is_away_when_it_is_to_be_told_ends_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def removing(_now_ms: int, _breathe: Breathe, removed: Counter[str]) -> None:
        removed["rows"] += 1

    async def away(*_: object) -> None:
        raise StoreError("the store is away")

    stage = Stage(db, removing=removing)
    monkeypatch.setattr(stage.ledger, "forgotten", away)
    await stage.run(FIRST_S + DAY_S + 60)
    assert stage.housekeeper.counters == {"removed_rows": 2, "failures": 2}
