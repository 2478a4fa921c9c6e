"""How slowly a body may come, in time that the test moves."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from loa.control_api.pace import MIN_WINDOW_BYTES, MOST_S, WINDOW_S, Pace
from loa.control_api.problems import Problem


class Sender:
    """A body as pieces: how long the core waits for each, and how many bytes it has."""

    def __init__(self) -> None:
        self.now_s = 0.0

    async def _piece(self, wait_s: float, size: int) -> bytes:
        self.now_s += wait_s
        return bytes(size)

    async def send(self, pieces: Iterable[tuple[float, int]], busy_s: float = 0.0) -> int:
        """How many bytes of the body were taken; the core itself is busy for so long after each piece."""
        pace, taken = Pace(lambda: self.now_s), 0
        for wait_s, size in pieces:
            taken += len(await pace.next(self._piece(wait_s, size)))
            self.now_s += busy_s
        return taken


async def test_a_body_may_come_slowly_and_in_bursts() -> None:
    a_second = MIN_WINDOW_BYTES / WINDOW_S
    steady = [(1.0, round(a_second) + 1)] * 600
    assert await Sender().send(steady) == 600 * (round(a_second) + 1)
    bursts = [(WINDOW_S - 0.1, MIN_WINDOW_BYTES), (0.0, 1), (0.0, 1)] * 40
    assert await Sender().send(bursts) == 40 * (MIN_WINDOW_BYTES + 2)


async def test_a_body_that_hardly_comes_is_given_up() -> None:
    sender = Sender()
    with pytest.raises(Problem, match="16384 bytes in 15 s") as caught:
        await sender.send([(1.0, 1000)] * 600)
    assert (caught.value.status, sender.now_s) == (408, WINDOW_S)


async def test_time_that_the_core_itself_takes_does_not_count() -> None:
    assert await Sender().send([(0.1, 1000)] * 100, busy_s=60.0) == 100_000


async def test_a_body_that_never_ends_is_given_up() -> None:
    sender = Sender()
    with pytest.raises(Problem, match="longer than 7200 s"):
        await sender.send([(1.0, MIN_WINDOW_BYTES)] * 10_000)
    assert sender.now_s == MOST_S + 1


async def test_the_end_of_a_body_may_be_small() -> None:
    assert await Sender().send([(WINDOW_S, 0)]) == 0
