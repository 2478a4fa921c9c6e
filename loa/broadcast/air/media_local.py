"""The media process inside this one, for tests and the simulator: same core, given clock, given network."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from loa.broadcast.air.media_core import MediaCore
from loa.broadcast.air.media_port import Address, Command, Event
from loa.errors import MediaError
from loa.timing.clock import Clock

MAX_EVENTS = 100_000


class MediaLocal:
    """A `MediaPort` without a process. Its owner moves time: `tick` at or after each `next_due_ns`."""

    def __init__(
        self,
        *,
        clock: Clock,
        send_datagram: Callable[[bytes, Address], None],
        epoch: bytes,
        nonce_key: bytes,
        address: Address = ("127.0.0.1", 0),
    ) -> None:
        """`send_datagram(data, address)`: the network below. `epoch`: 8 bytes, `nonce_key`: 32."""
        self.core = MediaCore(epoch=epoch, address=address, clock=clock.monotonic_ns, nonce_key=nonce_key)
        self._clock = clock
        self._send_datagram = send_datagram
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._collect()

    def send(self, command: Command) -> None:
        """Obey at once; what it makes due is sent by the next `tick`. MediaError after the end."""
        if self._closed:
            raise MediaError("the media process is gone")
        self.core.handle(command, self._clock.monotonic_ns())
        self._closed = self.core.closing
        self._collect()

    def receive(self, data: bytes, address: Address) -> None:
        """A datagram has come from the network, from a numeric `address`."""
        if self._closed:
            return
        for reply, to in self.core.receive(data, address, self._clock.monotonic_ns()):
            self._send_datagram(reply, to)
        self._collect()

    def next_due_ns(self) -> int | None:
        """When `tick` has something to do next: may be past. None: not before the next command or datagram."""
        return None if self._closed else self.core.next_due_ns()

    def tick(self) -> None:
        """Send what is due now."""
        if self._closed:
            return
        for batch in self.core.due(self._clock.monotonic_ns()):
            for address in batch.table.addresses():
                self._send_datagram(batch.packet, address)
                self.core.counters["packets_sent"] += 1
            for _, table in batch.groups:
                for address in table.addresses():
                    self._send_datagram(batch.packet, address)
                    self.core.counters["group_packets_sent"] += 1
        self._collect()

    def take_events(self) -> list[Event]:
        """The events so far that `events` has not given, for owners without an event loop."""
        taken = list(self._events)
        self._events.clear()
        return taken

    async def events(self) -> AsyncIterator[Event]:
        """Events in order, the first is Ready. Ends after `close` or Shutdown."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._closed:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def close(self) -> None:
        """The end."""
        self._closed = True
        self._arrived.set()

    def _collect(self) -> None:
        self._events.extend(self.core.take_events())
        if len(self._events) > MAX_EVENTS:
            raise MediaError("nobody reads the media process's events")
        if self._events or self._closed:
            self._arrived.set()
