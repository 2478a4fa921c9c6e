"""One packet to many addresses with one `sendmmsg` (Linux) for up to 1,024 of them, without holding the GIL."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from loa.broadcast.air.address_table import HEADER_BYTES, AddressTable

CHUNK = 1024
"""The kernel's own limit (UIO_MAXIOV)."""
FULL_WAIT_MS = 20
"""How long, in all, one packet may wait for room in the socket's send buffer."""

_OURS = frozenset({errno.EBADF, errno.ENOTSOCK, errno.EFAULT, errno.ENOSYS})
_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS})

_sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_sendmmsg.restype = ctypes.c_int


class SendResult(NamedTuple):
    """How many addresses a packet was handed to the kernel for, and how many it was not."""

    sent: int
    errors: int


class Fanout:
    """Sends packets from one UDP socket. For one thread."""

    def __init__(self, sock: socket.socket, call: Callable[[int, int, int, int], int] = _sendmmsg) -> None:
        """`sock`: of the family of the tables. `call`: sendmmsg(fd, headers, count, flags), errno by ctypes."""
        self._fd = sock.fileno()
        self._call = call
        self._room = select.poll()
        self._room.register(self._fd, select.POLLOUT)

    def send(self, packet: bytes, table: AddressTable) -> SendResult:
        """Send `packet` to every address of `table`, which must not change meanwhile.

        An address that the kernel refuses is counted in `errors` and stops no other. With a full send buffer it
        waits up to FULL_WAIT_MS for the whole packet, then the rest are errors. OSError only for a broken socket.
        """
        table.aim(packet)
        headers_at, total = table.headers_at, len(table)
        at = errors = 0
        wait_ns = FULL_WAIT_MS * 1_000_000
        while at < total:
            done = self._call(self._fd, headers_at + at * HEADER_BYTES, min(CHUNK, total - at), socket.MSG_DONTWAIT)
            if done > 0:
                at += done
                continue
            number = ctypes.get_errno()
            if number == errno.EINTR:
                continue
            if number in _OURS:
                raise OSError(number, os.strerror(number))
            if number in _FULL:
                wait_ns = self._wait(wait_ns)
                if wait_ns > 0:
                    continue
                errors += total - at
                break
            # sendmmsg reports an error only when it met it at the first message: that address is the one.
            errors += 1
            at += 1
        return SendResult(total - errors, errors)

    def _wait(self, left_ns: int) -> int:
        """Wait for room; what is then left of the time to wait, at least 1 ms less for each call."""
        began_ns = time.monotonic_ns()
        self._room.poll(-(-left_ns // 1_000_000))
        return left_ns - max(1_000_000, time.monotonic_ns() - began_ns)
