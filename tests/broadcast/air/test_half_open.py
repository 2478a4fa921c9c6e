"""Handshakes under way: bounded in all, and nobody's name takes the places of others."""

from __future__ import annotations

import asyncio

import pytest

from loa.broadcast.air.half_open import MAX_HALF_OPEN, MAX_OF_ONE, HalfOpen


class Links:
    """Handshakes that stay where they are until they are let go."""

    def __init__(self) -> None:
        self.half_open = HalfOpen()
        self.proving: list[bytes] = []
        self.timed_out = 0
        self.patience: list[asyncio.Timeout] = []
        self.on = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self, endpoint_id: bytes) -> None:
        """One more hello; and all that follows from it at once."""
        self.tasks.append(asyncio.create_task(self._prove(endpoint_id)))
        for _ in range(5):
            await asyncio.sleep(0)

    async def _prove(self, endpoint_id: bytes) -> None:
        try:
            async with asyncio.timeout(1_000) as patience, self.half_open.place(endpoint_id, patience):
                self.patience.append(patience)
                self.proving.append(endpoint_id)
                await self.on.wait()
        except TimeoutError:
            self.timed_out += 1


@pytest.fixture
async def links() -> Links:
    return Links()


async def test_hellos_in_one_name_leave_places_for_all_others(links: Links) -> None:
    for _ in range(MAX_HALF_OPEN + 10):
        await links.begin(b"one")
    assert links.timed_out == MAX_HALF_OPEN + 10 - MAX_OF_ONE
    await links.begin(b"another")
    assert links.proving[-1] == b"another"
    links.on.set()
    await asyncio.gather(*links.tasks)
    assert links.timed_out == MAX_HALF_OPEN + 10 - MAX_OF_ONE
    assert links.half_open._patience == {}


async def test_who_comes_when_all_places_are_taken_waits_for_one(links: Links) -> None:
    for number in range(MAX_HALF_OPEN + 2):
        await links.begin(number.to_bytes(2, "big"))
    assert len(links.proving) == MAX_HALF_OPEN
    links.on.set()
    await asyncio.gather(*links.tasks)
    assert len(links.proving) == MAX_HALF_OPEN + 2
    assert links.timed_out == 0


async def test_one_whose_time_is_just_over_is_not_ended_twice(links: Links) -> None:
    for _ in range(MAX_OF_ONE):
        await links.begin(b"one")
    links.patience[0].reschedule(0)  # over in the next turn, in which there is one more too
    await links.begin(b"one")
    assert links.timed_out == 1
    links.on.set()
    await asyncio.gather(*links.tasks)
    assert links.timed_out == 1
