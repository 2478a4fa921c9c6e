"""All who listen over HTTP: a station for each broadcast that somebody listens to, and the bound on them all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import structlog

from loa.broadcast.air.running import Running
from loa.broadcast.listen.batch_writer import make_batch_writer
from loa.broadcast.listen.station import Station, Terms
from loa.timing.clock import Clock

log = structlog.get_logger("loa.listen")


class ListenDesk:
    """Made within a running loop; `close` it.

    `counters`: joined, gone, dropped_slow, refused.
    """

    def __init__(self, clock: Clock, terms: Terms) -> None:
        self._clock = clock
        self._terms = terms
        self._writer = make_batch_writer()
        # One thread: listeners share one core at most, and the writer is for one thread at a time.
        self._thread = ThreadPoolExecutor(1, "listen")
        self._stations: dict[bytes, tuple[Station, asyncio.Task[None]]] = {}
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many listen now."""
        return sum(len(station) for station, _ in self._stations.values())

    def has_room(self) -> bool:
        """Whether one more may listen; who may not is counted."""
        free = len(self) < self._terms.most
        self.counters["refused"] += not free
        return free

    @contextmanager
    def joining(self, running: Running) -> Iterator[Station]:
        """The broadcast's station for somebody who comes to listen, while their request is being served."""
        station = self._station(running)
        station.served += 1
        self.counters["joined"] += 1
        try:
            yield station
        finally:
            station.served -= 1

    def _station(self, running: Running) -> Station:
        broadcast_id = running.broadcast.id
        station, _ = self._stations.get(broadcast_id, (None, None))
        if station is None or station.closed:
            station = Station(running, self._clock, self._terms, self._writer, self._thread, self.counters)
            work = asyncio.create_task(station.run())
            self._stations[broadcast_id] = station, work
            work.add_done_callback(lambda done: self._done(broadcast_id, done))
        return station

    def _done(self, broadcast_id: bytes, work: asyncio.Task[None]) -> None:
        if self._stations.get(broadcast_id, (None, None))[1] is work:
            del self._stations[broadcast_id]
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("the listeners of a broadcast were cut off", error=f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """End for all who listen."""
        for station, _ in tuple(self._stations.values()):
            station.end()
        await asyncio.gather(*(work for _, work in self._stations.values()), return_exceptions=True)
        self._thread.shutdown()
        self._writer.close()
