"""Links in their handshake: how many prove themselves at once, and how many of them in the name of one endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MAX_HALF_OPEN = 256
"""Links that prove themselves at once; further ones wait for their turn, within the time of the handshake."""
MAX_OF_ONE = 4
"""Of one endpoint. Anybody can say its name and then nothing more: with one more, the first has no more time."""


class HalfOpen:
    """The places for links that prove themselves."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(MAX_HALF_OPEN)
        self._patience: dict[bytes, list[asyncio.Timeout]] = {}

    @asynccontextmanager
    async def place(self, endpoint_id: bytes, patience: asyncio.Timeout) -> AsyncIterator[None]:
        """Wait for a place and hold it. `patience`: the time of the handshake, which this is a part of."""
        of_one = self._patience.setdefault(endpoint_id, [])
        of_one.append(patience)
        if len(of_one) > MAX_OF_ONE:
            first = of_one.pop(0)
            if not first.expired():  # who is, is on the way out already
                first.reschedule(asyncio.get_running_loop().time())
        try:
            async with self._places:
                yield
        finally:
            if patience in of_one:
                of_one.remove(patience)
            if not of_one and self._patience.get(endpoint_id) is of_one:
                del self._patience[endpoint_id]
