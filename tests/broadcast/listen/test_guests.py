"""Listeners behind a transport."""

from __future__ import annotations

import asyncio
from collections import Counter

from loa.broadcast.listen.backlog import Backlog
from loa.broadcast.listen.guests import LEAST_WAITING_BYTES, Guests


class Transport(asyncio.Transport):
    """Writes down what it is told; `waiting` bytes are in its buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.wrote = b""
        self.waiting = 0
        self.end = ""

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.wrote += data

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.end != ""

    def close(self) -> None:
        self.end = "closed"

    def abort(self) -> None:
        self.end = "aborted"


class Room:
    """Guests of a backlog of three pieces."""

    def __init__(self) -> None:
        self.backlog = Backlog(3)
        self.counters: Counter[str] = Counter()
        self.guests = Guests(self.backlog, self.counters)

    async def seated(self, place: int = 0) -> tuple[Transport, asyncio.Task[None]]:
        transport = Transport()
        staying = asyncio.create_task(self.guests.stay(transport, place))
        await asyncio.sleep(0)
        return transport, staying

    def page(self, piece: bytes) -> None:
        self.backlog.append(piece)
        self.guests.give()


async def test_all_get_the_same_and_what_they_missed_while_they_came() -> None:
    room = Room()
    first, _ = await room.seated()
    room.page(b"one")
    room.page(b"two")
    second, staying = await room.seated(place=3)
    room.page(b"three")
    assert (first.wrote, second.wrote) == (b"onetwothree", b"twothree")
    room.guests.close()
    await staying
    assert (first.end, second.end, len(room.guests)) == ("closed", "closed", 0)


async def test_who_takes_nothing_is_dropped_and_who_has_gone_is_missed() -> None:
    room = Room()
    slow, slow_staying = await room.seated()
    gone, gone_staying = await room.seated()
    there, staying = await room.seated()
    slow.waiting = LEAST_WAITING_BYTES
    room.page(b"one")
    assert slow.wrote == b"one"
    slow.waiting += 1
    gone.close()
    room.page(b"two")
    await slow_staying
    await gone_staying
    assert (slow.end, slow.wrote, gone.wrote) == ("aborted", b"one", b"one")
    assert (there.wrote, staying.done(), len(room.guests)) == (b"onetwo", False, 1)
    assert room.counters == Counter(dropped_slow=1, gone=1)
    room.guests.close()
    await staying


async def test_who_needed_too_long_to_come_is_dropped() -> None:
    room = Room()
    for piece in (b"one", b"two", b"three", b"four"):
        room.page(piece)
    late, staying = await room.seated(place=0)
    await staying
    assert (late.end, late.wrote, room.counters) == ("aborted", b"", Counter(dropped_slow=1))
