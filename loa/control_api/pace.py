"""How slowly a large body may come: who sends next to nothing holds a place that others wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from loa.control_api.problems import Problem

WINDOW_S = 15.0
MIN_WINDOW_BYTES = 16_384
"""So many at least in each WINDOW_S that the core waits for them: about a kilobyte a second."""
MOST_S = 2 * 3600.0
"""And the whole within this time."""


class Pace:
    """Watches one body. Only time in which the core waits for the sender counts against the rate."""

    def __init__(self, time_s: Callable[[], float] | None = None) -> None:
        """`time_s`: the seconds of a monotonic clock, the running loop's without it."""
        self._time_s = time_s or asyncio.get_running_loop().time
        self._ends_s = self._time_s() + MOST_S
        self._waited_s = 0.0
        self._got_bytes = 0

    async def next(self, reading: Awaitable[bytes]) -> bytes:
        """The next piece of the body; Problem 408 `timeout` when it comes too slowly."""
        began_s = self._time_s()
        try:
            async with asyncio.timeout(WINDOW_S):
                piece = await reading
        except TimeoutError as error:
            raise _slow() from error
        now_s = self._time_s()
        self._waited_s += now_s - began_s
        self._got_bytes += len(piece)
        if now_s > self._ends_s:
            raise Problem(408, "timeout", f"the body took longer than {MOST_S:g} s")
        if self._waited_s >= WINDOW_S:
            if piece and self._got_bytes < MIN_WINDOW_BYTES:
                raise _slow()
            self._waited_s, self._got_bytes = 0.0, 0
        return piece


def _slow() -> Problem:
    return Problem(408, "timeout", f"a body must bring {MIN_WINDOW_BYTES} bytes in {WINDOW_S:g} s")
