"""Many HTTP listeners in one process: they come at a rate, look at what they get first, and then swallow the rest.

`python -m benchmarks.listener_crowd URL COUNT JOINS_PER_S SECONDS` prints as JSON what became of the joins when all
have come, a line when it begins to count, and what has arrived within the seconds after that. The first SAMPLED
keep all that they get, and say what is wrong with it.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from loa.app.open_files import raise_file_limit
from loa.codecs.ogg_page import read_page
from loa.errors import WireError

SAMPLED = 3
FIRST_S = 10.0
"""A listener that has heard nothing so long after it came is not served."""
SWEEP_S = 0.4
SETTLE_S = 3.0
A_SOURCE = 200
"""Listeners that come from one address of 127.0.0.0/8."""
MOST = 1 << 20


@dataclass(slots=True, eq=False)
class Listener:
    """One connection. `got`: the first bytes, or all of a sampled one."""

    sock: socket.socket
    came: float
    sampled: bool
    got: bytearray = field(default_factory=bytearray)
    served_s: float = -1.0
    swallowed: int = 0
    ended: bool = False


class Crowd:
    """The listeners of one URL."""

    def __init__(self, url: str, count: int) -> None:
        parts = urlsplit(url)
        self._where = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._ask = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        self._count = count
        self._poll = select.epoll()
        self.all: dict[int, Listener] = {}

    def join(self, a_second: float) -> None:
        """All come, and wait until they hear something or have waited FIRST_S."""
        began = looked = time.monotonic()
        waiting: set[Listener] = set()
        while len(self.all) < self._count or waiting:
            now = time.monotonic()
            while len(self.all) < self._count and len(self.all) < (now - began) * a_second:
                waiting.add(self._come(len(self.all)))
            for fd, events in self._poll.poll(0.005):
                listener = self.all[fd]
                if events & select.EPOLLOUT:
                    with contextlib.suppress(OSError):
                        listener.sock.send(self._ask)
                    self._poll.modify(fd, select.EPOLLIN)
                elif not self._first(listener):
                    continue
                else:
                    waiting.discard(listener)
            if now - looked > SWEEP_S:
                looked = now
                waiting = {listener for listener in waiting if now - listener.came < FIRST_S}

    def swallow(self, seconds: float) -> list[int]:
        """What each gets within that time, in bytes."""
        self._sweep()
        before = {fd: listener.swallowed for fd, listener in self.all.items()}
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(SWEEP_S, left))
            self._sweep()
        return [listener.swallowed - before[fd] for fd, listener in self.all.items()]

    def _come(self, number: int) -> Listener:
        source = number // A_SOURCE
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.bind((f"127.0.{1 + source // 250}.{1 + source % 250}", 0))
        with contextlib.suppress(BlockingIOError):
            sock.connect(self._where)
        listener = self.all[sock.fileno()] = Listener(sock, time.monotonic(), number < SAMPLED)
        self._poll.register(sock, select.EPOLLOUT)
        return listener

    def _first(self, listener: Listener) -> bool:
        """Whether the waiting is over: sound, or a refusal, has come."""
        try:
            came = listener.sock.recv(MOST)
        except OSError:
            came = b""
        listener.got += came
        listener.swallowed += len(came)
        heard = listener.got.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")) and b"OpusTags" in listener.got
        if not heard and came and len(listener.got) < 8192:
            return False
        if heard:
            listener.served_s = time.monotonic() - listener.came
        listener.ended = not came
        self._poll.unregister(listener.sock)
        return True

    def _sweep(self) -> None:
        for listener in self.all.values():
            if listener.ended:
                continue
            with contextlib.suppress(BlockingIOError):
                try:
                    if listener.sampled:
                        piece = listener.sock.recv(MOST)
                        listener.got += piece
                        took = len(piece)
                    else:
                        took = listener.sock.recv_into(_NOTHING, MOST, socket.MSG_TRUNC)
                except ConnectionError:
                    took = 0
                listener.swallowed += took
                listener.ended = took == 0


_NOTHING = bytearray(MOST)


def faults(got: bytes) -> list[str]:
    """What is wrong with an answer: pages that are damaged, missing or out of order, or none."""
    head, _, body = got.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        body = _unchunked(body)
    position, sequence, wrong, pages = 0, -1, [], 0
    with contextlib.suppress(WireError):  # the last one has not come whole
        while position < len(body):
            page, position = read_page(body, position)
            if pages > 2 and page.sequence != sequence + 1:
                wrong.append(f"page {page.sequence} after {sequence}")
            sequence, pages = page.sequence, pages + 1
    if pages < 3:
        wrong.append(f"{pages} pages")
    if len(body) - position > 65_536:
        wrong.append(f"no page at byte {position}")
    return wrong


def _unchunked(body: bytes) -> bytes:
    found, position = [], 0
    while (line := body.find(b"\r\n", position)) > 0:
        size = int(body[position:line], 16)
        found.append(body[line + 2 : line + 2 + size])
        position = line + 2 + size + 2
    return b"".join(found)


def main() -> None:
    """The command."""
    url, count, a_second, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    raise_file_limit()
    crowd = Crowd(url, count)
    crowd.join(a_second)
    served = sorted(each.served_s for each in crowd.all.values() if each.served_s >= 0)
    late_ms = served[len(served) * 99 // 100] * 1e3 if served else 0.0
    print(json.dumps({"served": len(served), "p99_ms": late_ms}), flush=True)
    crowd.swallow(SETTLE_S)
    print("counting", flush=True)
    got = sorted(crowd.swallow(seconds))
    median = got[len(got) // 2]
    wrong = [fault for each in crowd.all.values() if each.sampled for fault in faults(bytes(each.got))]
    print(json.dumps({"bytes": sum(got), "listening": sum(each > 0.7 * median for each in got), "wrong": wrong}))


if __name__ == "__main__":
    main()
