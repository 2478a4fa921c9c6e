"""Lets so many through in a turn of the event loop: what thousands say at once is heard a little at a time."""

from __future__ import annotations

import asyncio
from collections import deque


class Turnstile:
    """First come, first through. What waits is bounded by those who come: each waits for itself."""

    def __init__(self, a_turn: int) -> None:
        """`a_turn`: how many pass in one turn."""
        self._a_turn = a_turn
        self._passed = 0
        self._turning = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Return at once, or in a later turn when so many have passed in this one."""
        loop = asyncio.get_running_loop()
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn)
        if self._passed < self._a_turn and not self._waiting:
            self._passed += 1
            return
        mine = loop.create_future()
        self._waiting.append(mine)
        await mine

    def _turn(self) -> None:
        self._passed = 0
        while self._waiting and self._passed < self._a_turn:
            first = self._waiting.popleft()
            if not first.done():  # it has gone away
                first.set_result(None)
                self._passed += 1
        self._turning = self._passed > 0
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)
