"""Single questions that are answered together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from loa.broadcast.registry.gathered import Gathered
from loa.errors import StoreError


class Store:
    """Answers an even number with its half, when it is let."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.may = asyncio.Event()
        self.may.set()
        self.fails = False

    async def ask(self, keys: Sequence[int]) -> Mapping[int, int]:
        self.asked.append(list(keys))
        await self.may.wait()
        if self.fails:
            raise StoreError("no")
        return {key: key // 2 for key in keys if key % 2 == 0}


async def test_those_who_ask_at_once_share_queries_of_a_bounded_size() -> None:
    store = Store()
    gathered = Gathered(store.ask, most=4)
    answers = await asyncio.gather(*(gathered.of(key) for key in (2, 3, 2, 4, 6, 8, 10)))
    assert answers == [1, None, 1, 2, 3, 4, 5]
    assert store.asked == [[2, 3, 4, 6], [8, 10]]


async def test_an_answer_is_never_older_than_its_question() -> None:
    store = Store()
    store.may.clear()
    gathered = Gathered(store.ask)
    first = asyncio.create_task(gathered.of(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert store.asked == [[2]]
    second = asyncio.create_task(gathered.of(2))
    await asyncio.sleep(0)
    store.may.set()
    assert [await first, await second] == [1, 1]
    assert store.asked == [[2], [2]]


async def test_a_failure_is_of_those_who_asked_then() -> None:
    store = Store()
    gathered = Gathered(store.ask)
    store.fails = True
    with pytest.raises(StoreError):
        await gathered.of(2)
    store.fails = False
    assert await gathered.of(2) == 1


async def test_one_who_goes_away_takes_nobody_along() -> None:
    store = Store()
    store.may.clear()
    gathered = Gathered(store.ask)
    gone, stays = asyncio.create_task(gathered.of(2)), asyncio.create_task(gathered.of(2))
    await asyncio.sleep(0)
    gone.cancel()
    store.may.set()
    assert await stays == 1
