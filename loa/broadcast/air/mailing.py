"""What is said to thousands of endpoints: to a few in each turn of the event loop, so that others have turns."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from loa.broadcast.air.session import Session

AT_ONCE = 1_000
"""Sessions in one turn: some ten milliseconds, most of them the kernel's."""
MAX_WAITING = 256
"""Mailings that wait for earlier ones; with one more, the first of them is sent without turns for others."""

Say = Callable[[Session], None]


class Mailing:
    """Sends in the order in which it was told to; at once what fits into one turn and has nothing before it."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Sequence[Session], Say]] = deque()
        self._sending: asyncio.Task[None] | None = None

    def send(self, sessions: Sequence[Session], say: Say) -> None:
        """Call `say`, which must not raise, for each of the sessions."""
        if self._sending is None and len(sessions) <= AT_ONCE:
            _say_all(sessions, say)
            return
        self._waiting.append((sessions, say))
        while len(self._waiting) > MAX_WAITING:
            _say_all(*self._waiting.popleft())
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting:
                sessions, say = self._waiting.popleft()
                for at in range(0, len(sessions), AT_ONCE):
                    _say_all(sessions[at : at + AT_ONCE], say)
                    await asyncio.sleep(0)
        finally:
            self._sending = None


def _say_all(sessions: Sequence[Session], say: Say) -> None:
    for session in sessions:
        say(session)
