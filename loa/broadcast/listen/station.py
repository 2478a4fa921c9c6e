"""One broadcast as its HTTP listeners get it: it makes each page once, and gives it to all of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from loa.broadcast.air.running import Running
from loa.broadcast.listen.backlog import Backlog
from loa.broadcast.listen.batch_writer import BatchWriter
from loa.broadcast.listen.crowd import Crowd
from loa.broadcast.listen.framing import Framing
from loa.broadcast.listen.guests import Guests
from loa.broadcast.listen.pages import LivePages
from loa.broadcast.listen.taking_over import take_over
from loa.timing.clock import Clock

BACKLOG_MS = 10_000
"""A listener that is further behind than this is dropped."""
LINGER_S = 3.0
LINGER_STEP_S = 0.1
"""After the end, those who are behind have so long to take the rest, and are looked after so often."""
_FLUSH_TURNS = 3


@dataclass(frozen=True, slots=True)
class Terms:
    """`page_ms`: the sound on a page. `burst_ms`: how much of the last sound a joiner gets at once. `most`:
    listeners, of all broadcasts."""

    page_ms: int
    burst_ms: int
    most: int


class _Hall:
    """The listeners that get the same bytes. Its length: those whose sockets are ours."""

    def __init__(self, framing: Framing, pieces: int, writer: BatchWriter, counters: Counter[str]) -> None:
        self._framing = framing
        self.backlog = Backlog(pieces)
        self.crowd = Crowd(self.backlog, writer, counters)
        self.guests = Guests(self.backlog, counters)
        self.joining: list[tuple[int, int]] = []  # descriptor and place in the backlog

    def __len__(self) -> int:
        return len(self.crowd) + len(self.joining)

    def append(self, page: bytes) -> None:
        if page:
            self.backlog.append(self._framing.frame(page))

    def append_end(self) -> None:
        self.backlog.append(self._framing.trailer)

    def greeting(self, headers: bytes, pieces: int) -> tuple[bytes, int]:
        """What a joiner gets first, and the place in the backlog up to which that goes."""
        recent = self.backlog.since(self.backlog.place_of_last(pieces)) or b""
        return self._framing.frame(headers) + recent, self.backlog.end

    def admit(self) -> None:
        """Those who have come since the last page."""
        for fd, place in self.joining:
            self.crowd.admit(fd, place)
        self.joining.clear()

    def close(self) -> None:
        self.admit()
        self.crowd.close()
        self.guests.close()


class Station:
    """The listeners of one broadcast. A crowd belongs to the loop, and to the thread while it hands out a page."""

    def __init__(
        self,
        running: Running,
        clock: Clock,
        terms: Terms,
        writer: BatchWriter,
        thread: Executor,
        counters: Counter[str],
    ) -> None:
        self._running = running
        self._clock = clock
        self._thread = thread
        now_ns = clock.monotonic_ns()
        self._pages = LivePages(running.tune, running.packets, terms.page_ms, now_ns - terms.burst_ms * 1_000_000)
        page_ms = self._pages.page_ms
        self._burst_pieces = -(-terms.burst_ms // page_ms)
        pieces = self._burst_pieces + -(-BACKLOG_MS // page_ms)
        self._halls = {framing: _Hall(framing, pieces, writer, counters) for framing in Framing}
        self._ending = asyncio.Event()
        self.closed = False
        """It looks after nobody any more."""
        self.served = 0
        """Listeners whose request is still with its server: who arrives, and who listens by TLS."""
        self._make_pages()

    @property
    def over(self) -> bool:
        """There is no more to hear."""
        return self._pages.over

    def __len__(self) -> int:
        return self.served + sum(len(hall) for hall in self._halls.values())

    def end(self) -> None:
        """End for all, with a page that says so."""
        self._ending.set()

    async def listen(self, transport: asyncio.Transport, framing: Framing) -> None:
        """Greet a listener whose answer has begun with its head, and let it listen.

        A transport that can be taken over is, and closed when this returns; by another it has listened to the end.
        """
        hall = self._halls[framing]
        if transport.is_closing():
            return
        greeting, place = hall.greeting(self._pages.headers, self._burst_pieces)
        transport.write(greeting)
        for _ in range(_FLUSH_TURNS):  # a loop writes at the end of its turn
            await asyncio.sleep(0)
            if transport.is_closing() or not transport.get_write_buffer_size():
                break
        if self.closed:
            transport.write(hall.backlog.since(place) or b"")
            transport.close()
        elif (fd := take_over(transport)) is not None:
            hall.joining.append((fd, place))
        elif not transport.is_closing():
            await hall.guests.stay(transport, place)

    async def run(self) -> None:
        """Give every page when its sound is complete, to the broadcast's end or until nobody listens."""
        watching = asyncio.create_task(self._running.ended.wait())
        watching.add_done_callback(lambda _done: self._ending.set())
        try:
            while not self.over and len(self):
                await self._until(self._pages.next_due_ns())
                self._make_pages()
                await self._hand_out(Crowd.give)
            await self._linger()
            self.closed = True
            await self._hand_out(Crowd.close)  # thousands of goodbyes: not on the loop
        finally:
            self.closed = True
            watching.cancel()
            for hall in self._halls.values():
                hall.close()

    async def _until(self, due_ns: int) -> None:
        wait_s = (due_ns - self._clock.monotonic_ns()) / 1e9
        try:
            async with asyncio.timeout(max(0.0, wait_s)):
                await self._ending.wait()
        except TimeoutError:
            pass

    def _make_pages(self) -> None:
        """Those that are due; when it ends, the one that says so."""
        pages = self._pages.due(self._clock.monotonic_ns())
        if self._ending.is_set():
            pages.append(self._pages.end())
        for hall in self._halls.values():
            for page in pages:
                hall.append(page)
            if self._pages.over:
                hall.append_end()

    async def _hand_out(self, act: Callable[[Crowd], None]) -> None:
        for hall in self._halls.values():
            hall.admit()
            hall.guests.give()
            if len(hall.crowd):
                await asyncio.get_running_loop().run_in_executor(self._thread, act, hall.crowd)
            else:
                act(hall.crowd)

    async def _linger(self) -> None:
        for hall in self._halls.values():
            hall.guests.close()
        for _ in range(round(LINGER_S / LINGER_STEP_S)):
            if not any(hall.crowd.behind for hall in self._halls.values()):
                return
            await asyncio.sleep(LINGER_STEP_S)
            await self._hand_out(Crowd.catch_up)
