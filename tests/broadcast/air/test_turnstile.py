"""So many in a turn, in the order in which they came."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air.turnstile import Turnstile


async def _pass(gate: Turnstile, number: int, through: list[int]) -> None:
    await gate.enter()
    through.append(number)


async def test_those_who_come_one_by_one_do_not_wait() -> None:
    gate, through = Turnstile(1), list[int]()
    for number in range(3):
        await _pass(gate, number, through)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert through == [0, 1, 2]


@given(count=st.integers(0, 40), a_turn=st.integers(1, 9), gone=st.sets(st.integers(0, 39)))
def test_no_turn_lets_more_through_and_nobody_is_passed_over(count: int, a_turn: int, gone: set[int]) -> None:
    async def run() -> None:
        gate, through = Turnstile(a_turn), list[int]()
        tasks = [asyncio.create_task(_pass(gate, number, through)) for number in range(count)]
        await asyncio.sleep(0)
        first = len(through)
        assert first == min(count, a_turn)
        for number in gone:
            if number < count and not tasks[number].done():
                tasks[number].cancel()
        before = first
        for _ in range(3 * count + 3):
            await asyncio.sleep(0)
            assert len(through) - before <= a_turn
            before = len(through)
        assert through == sorted(through)
        assert all(number in through for number in range(count) if number not in gone)

    asyncio.run(run())
