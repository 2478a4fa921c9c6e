"""Packets to all of their address tables, by several threads that share the work.

A wave holds one packet of each table. It is cut into chunks, from which the threads help themselves until none is
left, so a thread that is slow or held up is helped by the others. The next wave begins when every chunk of this one
is done: no packet overtakes another on its way to an endpoint.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

from loa.broadcast.air.address_table import AddressTable
from loa.broadcast.air.transmit import FULL_WAIT_MS, MAX_CALL, Call, Outcome, sendmmsg, transmit

MAX_THREADS = 8
SHARE_FROM = 2_048
"""A wave to fewer receivers is left to one thread: waking another takes longer than it saves."""
MIN_CHUNK = 128
CHUNKS_A_THREAD = 6
SLOW_CHUNK_NS = 10_000_000
"""A chunk takes about 1 ms: who needs so long was held up."""


class Parcel(NamedTuple):
    """A packet and its receivers."""

    packet: bytes
    table: AddressTable


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Receivers `first` … of a table, and where to tell what has become of them."""

    table: AddressTable
    first: int
    count: int
    outcome: Outcome


class Fanout:
    """Sends packets from one UDP socket, for one calling thread; the others are its own."""

    def __init__(self, sock: socket.socket, threads: int = 1, call: Call = sendmmsg) -> None:
        """`sock`: non-blocking, of the family of the tables. `threads`: in all, 1 to MAX_THREADS."""
        self.helped = 0
        """Chunks that were sent by another thread than the caller's."""
        self.slow = 0
        """Chunks that took more than SLOW_CHUNK_NS, waiting for room not counted."""
        self._fd = sock.fileno()
        self._call = call
        self._chunks: queue.SimpleQueue[_Chunk | None] = queue.SimpleQueue()
        self._mutex = threading.Lock()  # guards what follows, the two counters and all outcomes of a wave
        self._left = 0
        self._fault: OSError | None = None
        self._finished = threading.Semaphore(0)
        self._helpers = [
            threading.Thread(target=self._help, name=f"sender-{n}", daemon=True)
            for n in range(1, min(threads, MAX_THREADS))
        ]
        for helper in self._helpers:
            helper.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._helpers:
            self._chunks.put(None)
        for helper in self._helpers:
            helper.join()

    def send(self, packet: bytes, table: AddressTable) -> Outcome:
        """Send one packet to all of a table."""
        return self.send_all([Parcel(packet, table)])[0]

    def send_all(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Send each packet to every address of its table; tables must not change meanwhile.

        Packets to one table leave in the order given. OSError only for a broken socket.
        """
        outcomes = [Outcome() for _ in parcels]
        for wave in _waves(parcels):
            for n in wave:
                parcels[n].table.aim(parcels[n].packet)
            whole = [_Chunk(parcels[n].table, 0, len(parcels[n].table), outcomes[n]) for n in wave]
            total = sum(chunk.count for chunk in whole)
            if self._helpers and total >= SHARE_FROM:
                self._share(whole, total)
            else:
                for chunk in whole:
                    self._work(chunk, helping=False)
            if self._fault is not None:
                raise self._fault
        return outcomes

    def _share(self, whole: list[_Chunk], total: int) -> None:
        size = min(MAX_CALL, max(MIN_CHUNK, -(-total // (CHUNKS_A_THREAD * (1 + len(self._helpers))))))
        chunks = [
            _Chunk(each.table, first, min(size, each.count - first), each.outcome)
            for each in whole
            for first in range(0, each.count, size)
        ]
        self._left = len(chunks)  # nobody else looks at it now
        for chunk in chunks:
            self._chunks.put(chunk)
        while True:
            try:
                mine = self._chunks.get_nowait()
            except queue.Empty:
                break
            assert mine is not None
            self._work(mine, helping=False)
            self._done()
        self._finished.acquire()

    def _help(self) -> None:
        """A helper's life. One that fails must not leave a process that looks alive."""
        try:
            while (chunk := self._chunks.get()) is not None:
                self._work(chunk, helping=True)
                self._done()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)

    def _work(self, chunk: _Chunk, *, helping: bool) -> None:
        began_ns = time.monotonic_ns()
        patience_ns = FULL_WAIT_MS * 1_000_000 - chunk.outcome.waited_ns
        try:
            outcome = transmit(self._fd, chunk.table.headers_at, chunk.first, chunk.count, self._call, patience_ns)
        except OSError as fault:
            with self._mutex:
                self._fault = fault
            return
        with self._mutex:
            chunk.outcome.add(outcome)
            self.helped += helping
            self.slow += (
                chunk.count <= MAX_CALL and time.monotonic_ns() - began_ns - outcome.waited_ns > SLOW_CHUNK_NS
            )

    def _done(self) -> None:
        with self._mutex:
            self._left -= 1
            last = self._left == 0
        if last:
            self._finished.release()


def _waves(parcels: Sequence[Parcel]) -> list[list[int]]:
    """The numbers of the parcels: of each table the first in the first wave, the second in the second …"""
    waves: list[list[int]] = []
    seen: dict[int, int] = {}
    for n, parcel in enumerate(parcels):
        wave = seen.get(id(parcel.table), 0)
        seen[id(parcel.table)] = wave + 1
        if wave == len(waves):
            waves.append([])
        waves[wave].append(n)
    return waves
