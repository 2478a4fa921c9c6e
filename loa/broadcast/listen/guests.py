"""Listeners that are written to through their transport: those who came by TLS."""

from __future__ import annotations

import asyncio
from collections import Counter

from loa.broadcast.listen.backlog import Backlog

LEAST_WAITING_BYTES = 64 * 1024


class Guests:
    """Transports of the loop, which holds what they do not take at once: within a bound.

    Counts `gone` and `dropped_slow` in `counters`.
    """

    def __init__(self, backlog: Backlog, counters: Counter[str]) -> None:
        self._backlog = backlog
        self._counters = counters
        self._given = backlog.end
        self._left: dict[asyncio.Transport, asyncio.Event] = {}

    def __len__(self) -> int:
        return len(self._left)

    async def stay(self, transport: asyncio.Transport, place: int) -> None:
        """Listen, having got everything up to this place of the backlog, until the end or until it has gone."""
        left = self._left[transport] = asyncio.Event()
        self._write(transport, self._backlog.since(place) if place < self._given else b"")
        await left.wait()

    def give(self) -> None:
        """Give everyone what came to the backlog since the last time; who has not taken as much is dropped."""
        piece = self._backlog.since(self._given)
        self._given = self._backlog.end
        for transport in tuple(self._left):
            self._write(transport, piece)

    def close(self) -> None:
        """The end: what waits is still sent."""
        for transport in tuple(self._left):
            transport.close()
            self._leave(transport)

    def _write(self, transport: asyncio.Transport, piece: bytes | None) -> None:
        most = max(LEAST_WAITING_BYTES, self._backlog.end - self._backlog.start)
        if transport.is_closing():
            self._counters["gone"] += 1
            self._leave(transport)
        elif piece is None or transport.get_write_buffer_size() > most:
            self._counters["dropped_slow"] += 1
            transport.abort()
            self._leave(transport)
        elif piece:
            transport.write(piece)

    def _leave(self, transport: asyncio.Transport) -> None:
        self._left.pop(transport).set()
