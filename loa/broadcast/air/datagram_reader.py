"""Datagrams read in batches by `recvmmsg` (Linux), without the GIL, each with the instant the kernel got it at."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import time
from typing import NamedTuple

import numpy as np

from loa.broadcast.air.address_table import IOVEC, headers_for
from loa.broadcast.air.sockaddr import packed_bytes

ROUND = 32
"""Datagrams of one read: so many are looked at before anybody else has his turn."""
READ_BYTES = 1_536
"""Longer than any datagram of the protocol; what is longer still is cut, and refused as malformed."""
OLDEST_NS = 1_000_000_000
_SO_TIMESTAMPNS, _SO_RXQ_OVFL = 35, 40  # asm-generic/socket.h; the module does not name them
_CONTROL = np.dtype(
    [
        ("size", np.uintp),
        ("level", np.int32),
        ("type", np.int32),
        ("seconds", np.int64),
        ("nanoseconds", np.int64),
        ("next_size", np.uintp),
        ("next_level", np.int32),
        ("next_type", np.int32),
        ("lost", np.uint32),
        ("room", np.uint32),
    ]
)
_STAMP_BYTES = 32
_NS_PER_S = 1_000_000_000
_INTERRUPTED_NS = 5_000

_recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_recvmmsg.restype = ctypes.c_int


class Arrival(NamedTuple):
    """A datagram. `name`: the packed address it came from. `at_ns`: monotonic, when the kernel got it."""

    data: bytes
    name: bytes
    at_ns: int


class DatagramReader:
    """Reads one UDP socket. For one thread."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock`: non-blocking; from now on it stamps what it gets."""
        self.lost = 0
        """Datagrams that the kernel dropped because the socket's buffer was full."""
        self.unstamped = 0
        """Datagrams whose stamp was missing or impossible (UTC stepped): the instant of reading stands for it."""
        for option in (_SO_TIMESTAMPNS, _SO_RXQ_OVFL):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        self._fd = sock.fileno()
        self._name_bytes = packed_bytes(sock.family)
        data = np.zeros(ROUND * READ_BYTES, np.uint8)
        self._data = data.data
        self._names = np.zeros((ROUND, self._name_bytes), np.uint8)
        self._control = np.zeros(ROUND, _CONTROL)
        self._iovecs = np.zeros(ROUND, IOVEC)
        self._iovecs["base"] = data.ctypes.data + np.arange(ROUND) * READ_BYTES
        self._iovecs["size"] = READ_BYTES
        self._headers = headers_for(self._names)
        header = self._headers["header"]
        header["iov"] = self._iovecs.ctypes.data + np.arange(ROUND) * IOVEC.itemsize
        header["control"] = self._control.ctypes.data + np.arange(ROUND) * _CONTROL.itemsize
        header["control_bytes"] = _CONTROL.itemsize

    def read(self) -> list[Arrival]:
        """Up to ROUND datagrams that wait, in order. Never waits. OSError when the socket cannot be read."""
        count = _recvmmsg(self._fd, self._headers.ctypes.data, ROUND, socket.MSG_DONTWAIT, None)
        if count <= 0:
            number = ctypes.get_errno()
            if count == 0 or number in (errno.EAGAIN, errno.EINTR):
                return []
            raise OSError(number, os.strerror(number))
        instants = self._instants(count)
        names, stride = self._names[:count].tobytes(), self._name_bytes
        sizes = self._headers["bytes"][:count].tolist()
        arrivals = [
            Arrival(
                bytes(self._data[n * READ_BYTES : n * READ_BYTES + size]),
                names[n * stride : (n + 1) * stride],
                instants[n],
            )
            for n, size in enumerate(sizes)
        ]
        header = self._headers["header"][:count]
        header["name_bytes"] = stride
        header["control_bytes"] = _CONTROL.itemsize
        return arrivals

    def _instants(self, count: int) -> list[int]:
        """The kernel's stamps, which are UTC, on the monotonic clock."""
        offset_ns, now_ns = _utc_to_monotonic_ns()
        control = self._control[:count]
        at_ns = control["seconds"] * _NS_PER_S + control["nanoseconds"] + offset_ns
        stamped = (control["size"] == _STAMP_BYTES) & (control["type"] == _SO_TIMESTAMPNS)
        good = stamped & (at_ns > now_ns - OLDEST_NS) & (at_ns <= now_ns + 1_000)
        self.unstamped += count - int(np.count_nonzero(good))
        told = control["lost"][control["next_type"] == _SO_RXQ_OVFL]
        if len(told):
            self.lost = int(told[-1])  # the kernel's own count since the socket was opened
        control["size"] = control["next_type"] = 0
        return [int(at) for at in np.where(good, np.minimum(at_ns, now_ns), now_ns)]


def _utc_to_monotonic_ns() -> tuple[int, int]:
    """What is to be added to UTC, by the reading that was least interrupted; and now, monotonic."""
    before_ns, utc_ns, now_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
    if now_ns - before_ns > _INTERRUPTED_NS:
        again = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if again[2] - again[0] < now_ns - before_ns:
            before_ns, utc_ns, now_ns = again
    return (before_ns + now_ns) // 2 - utc_ns, now_ns
