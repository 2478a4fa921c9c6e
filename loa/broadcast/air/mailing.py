"""What is said to thousands of endpoints: to a few in each turn of the event loop, so that others have turns."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from loa.broadcast.air.session import Session

AT_ONCE = 1_000
"""Sessions in one turn that are told the same: some ten milliseconds, most of them the kernel's."""
ORDERS_AT_ONCE = 2_500
"""Sessions in one turn that are sent an order: some fifty milliseconds for which all else waits. With fewer, the
answers of the first of ten thousand keep the last of them waiting longer than sending does."""
SEALED_AT_ONCE = 250
"""Sessions in one turn where something is made for each of them."""
MAX_WAITING = 256
"""Mailings that wait for earlier ones; with one more, the first of them is sent without turns for others."""

Say = Callable[[Session], None]


class Mailing:
    """Sends in the order in which it was told to; at once what fits into one turn and has nothing before it."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Sequence[Session], Say, int]] = deque()
        self._sending: asyncio.Task[None] | None = None

    def send(self, sessions: Sequence[Session], say: Say, at_once: int = AT_ONCE) -> None:
        """Call `say`, which must not raise, for each of the sessions, `at_once` of them in a turn."""
        if self._sending is None and len(sessions) <= min(at_once, AT_ONCE):
            _say_all(sessions, say)
            return
        self._waiting.append((sessions, say, at_once))
        while len(self._waiting) > MAX_WAITING:
            _say_all(*self._waiting.popleft()[:2])
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting:
                sessions, say, at_once = self._waiting.popleft()
                for at in range(0, len(sessions), at_once):
                    _say_all(sessions[at : at + at_once], say)
                    await asyncio.sleep(0)
        finally:
            self._sending = None


def _say_all(sessions: Sequence[Session], say: Say) -> None:
    for session in sessions:
        say(session)
