"""What goes to many goes in turns, in order, to everybody once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air import mailing
from loa.broadcast.air.mailing import AT_ONCE, ORDERS_AT_ONCE, Mailing
from loa.broadcast.air.session import Session
from tests.broadcast.air.sessions import session

MANY = [session(number) for number in range(3 * AT_ONCE)]


async def settle() -> None:
    """Turns of the event loop, more than any mailing here takes."""
    for _ in range(200):
        await asyncio.sleep(0)


async def test_a_few_are_told_at_once_and_many_in_turns() -> None:
    told: list[Session] = []
    post = Mailing()
    post.send(MANY[:AT_ONCE], told.append)
    assert told == MANY[:AT_ONCE]
    told.clear()
    post.send(MANY, told.append)
    assert told == []
    await asyncio.sleep(0)
    assert told == MANY[:AT_ONCE]
    await settle()
    assert told == MANY


async def test_orders_take_larger_turns() -> None:
    told: list[Session] = []
    Mailing().send(MANY, told.append, ORDERS_AT_ONCE)
    assert told == []
    await asyncio.sleep(0)
    assert told == MANY[:ORDERS_AT_ONCE]
    await settle()
    assert told == MANY


async def test_what_is_made_for_each_takes_smaller_turns() -> None:
    told: list[Session] = []
    Mailing().send(MANY[:30], told.append, at_once=20)
    await asyncio.sleep(0)
    assert told == MANY[:20]
    await settle()
    assert told == MANY[:30]


@given(sizes=st.lists(st.integers(0, len(MANY)), max_size=8))
def test_everybody_is_told_everything_once_and_in_order(sizes: list[int]) -> None:
    told: list[tuple[int, Session]] = []

    async def send() -> None:
        post = Mailing()
        for number, size in enumerate(sizes):
            post.send(MANY[:size], lambda each, number=number: told.append((number, each)))  # type: ignore[misc]
        await settle()

    asyncio.run(send())
    assert told == [(number, each) for number, size in enumerate(sizes) for each in MANY[:size]]


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "MAX_WAITING", 2)
    told: list[int] = []
    post = Mailing()
    for number in range(4):
        post.send(MANY, lambda _, number=number: told.append(number))  # type: ignore[misc]
    assert told == [0] * len(MANY) + [1] * len(MANY)
    await settle()
    assert told == [number for number in range(4) for _ in MANY]
