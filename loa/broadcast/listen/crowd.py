"""The listeners of one stream of bytes whose sockets are ours: all get the same piece, and none waits for another.

Who has got everything stands in a table, and costs no Python for each piece. Who takes it too slowly for the
socket's buffer stands beside it with a place in the backlog, is served when its socket has room again, and is
dropped when the backlog no longer has what comes next.
"""

from __future__ import annotations

import os
import select
from collections import Counter

from loa.broadcast.listen.backlog import Backlog
from loa.broadcast.listen.batch_writer import BatchWriter, is_full, write_some
from loa.broadcast.listen.socket_table import SocketTable

CATCH_UP_AT_ONCE = 256
"""Slow listeners that are served with one piece: those who can go on next come first with the next one."""
CATCH_UP_BYTES = 64 * 1024


class Crowd:
    """Owns the descriptors that are admitted, non-blocking sockets all. For one thread at a time.

    Counts `gone` and `dropped_slow` in `counters`.
    """

    def __init__(self, backlog: Backlog, writer: BatchWriter, counters: Counter[str]) -> None:
        self._backlog = backlog
        self._writer = writer
        self._counters = counters
        self._table = SocketTable()
        self._given = backlog.end  # who is in the table has got everything up to here
        self._behind: dict[int, int] = {}  # place in the backlog by descriptor
        self._room = select.epoll()

    def __len__(self) -> int:
        return len(self._table) + len(self._behind)

    @property
    def behind(self) -> int:
        """How many have not got everything."""
        return len(self._behind)

    def admit(self, fd: int, place: int) -> None:
        """One more, who has got everything up to this place of the backlog."""
        if place == self._given:
            self._table.add(fd)
        else:
            self._fall_behind(fd, place)

    def give(self) -> None:
        """Give everyone what came to the backlog since the last time."""
        piece_at, self._given = self._given, self._backlog.end
        piece = self._backlog.since(piece_at)
        if piece:
            short = self._writer.write(self._table, piece)
            # From the last row on, so that a row that takes over a hole has been looked at.
            for row in sorted(short, reverse=True):
                took, fd = short[row], self._table.remove(row)
                if took >= 0 or is_full(took):
                    self._fall_behind(fd, piece_at + max(0, took))
                else:
                    self._close(fd, "gone")
        self.catch_up()

    def catch_up(self) -> None:
        """Serve those who are behind and have room, and drop those whom the backlog cannot serve any more."""
        if not self._behind:
            return
        for fd, _events in self._room.poll(0, CATCH_UP_AT_ONCE):
            self._serve(fd)
        start = self._backlog.start
        for fd in [fd for fd, place in self._behind.items() if place < start]:
            self._drop(fd, "dropped_slow")

    def close(self) -> None:
        """Close all; who has not got everything is counted as dropped."""
        while len(self._table):
            os.close(self._table.remove(len(self._table) - 1))
        for fd in list(self._behind):
            self._drop(fd, "dropped_slow")
        self._room.close()

    def _serve(self, fd: int) -> None:
        place = self._behind[fd]
        missing = self._backlog.since(place)
        if missing is None:
            return  # dropped right after this
        took = write_some(fd, missing[:CATCH_UP_BYTES])
        if took >= 0:
            place = self._behind[fd] = place + took
            if place == self._given:
                self._room.unregister(fd)
                del self._behind[fd]
                self._table.add(fd)
        elif not is_full(took):
            self._drop(fd, "gone")

    def _fall_behind(self, fd: int, place: int) -> None:
        self._behind[fd] = place
        self._room.register(fd, select.EPOLLOUT)

    def _drop(self, fd: int, why: str) -> None:
        del self._behind[fd]
        self._room.unregister(fd)
        self._close(fd, why)

    def _close(self, fd: int, why: str) -> None:
        os.close(fd)
        self._counters[why] += 1
