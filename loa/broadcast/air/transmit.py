"""Prepared messages handed to the kernel by `sendmmsg` (Linux), up to 1,024 with one call and without the GIL.

What the kernel does not take stops no other message, and is told by kind.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loa.broadcast.air.address_table import HEADER_BYTES

MAX_CALL = 1024
"""The kernel's own limit (UIO_MAXIOV)."""
FULL_WAIT_MS = 20
"""How long, in all, the messages of one outcome may wait for room in the socket's send buffer."""

UNREACHABLE, PORT_CLOSED, FORBIDDEN, FULL, OTHER = "unreachable", "port_closed", "forbidden", "full", "other"
KINDS = {
    errno.ENETUNREACH: UNREACHABLE,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETDOWN: UNREACHABLE,
    errno.EHOSTDOWN: UNREACHABLE,
    errno.EADDRNOTAVAIL: UNREACHABLE,
    errno.ECONNREFUSED: PORT_CLOSED,
    errno.EPERM: FORBIDDEN,
    errno.EACCES: FORBIDDEN,
    errno.EAGAIN: FULL,
    errno.ENOBUFS: FULL,
    errno.ENOMEM: FULL,
}
"""What an errno of the kernel says about the message; all others are OTHER."""
_OURS = frozenset({errno.EBADF, errno.ENOTSOCK, errno.EFAULT, errno.ENOSYS})

Call = Callable[[int, int, int, int], int]
"""sendmmsg(fd, headers, count, flags), errno by ctypes."""

sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
sendmmsg.restype = ctypes.c_int


@dataclass(slots=True)
class Outcome:
    """What has become of messages."""

    sent: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """By kind, those that the kernel did not take."""
    positions: list[int] = field(default_factory=list)
    """Which ones were refused because of their address (all kinds but FULL)."""
    partial: int = 0
    """Calls that took fewer than they were given."""
    pending: int = 0
    """Errors that were an earlier message's: the one they were told for went out when it was tried again."""
    waits: int = 0
    """Times there was no room."""
    waited_ns: int = 0

    @property
    def errors(self) -> int:
        """How many the kernel did not take."""
        return sum(self.refused.values())

    @property
    def smooth(self) -> bool:
        """Whether each call took all that it was given."""
        return not (self.refused or self.partial or self.pending or self.waits)

    def add(self, other: Outcome) -> None:
        """Count `other`'s messages too."""
        self.sent += other.sent
        for kind, count in other.refused.items():
            self.refused[kind] = self.refused.get(kind, 0) + count
        self.positions += other.positions
        self.partial += other.partial
        self.pending += other.pending
        self.waits += other.waits
        self.waited_ns += other.waited_ns


def transmit(
    fd: int,
    headers_at: int,
    first: int,
    count: int,
    call: Call = sendmmsg,
    patience_ns: int = FULL_WAIT_MS * 1_000_000,
) -> Outcome:
    """Send messages `first` … of the headers at `headers_at` from a non-blocking socket.

    It waits `patience_ns` in all for room, then the rest are refused. An error may be an earlier message's (a
    socket tells what ICMP said with the next call), so a refused message is tried once more. OSError only for a
    broken socket.
    """
    outcome = Outcome()
    at, end, tried = first, first + count, -1
    while at < end:
        wanted = min(MAX_CALL, end - at)
        done = call(fd, headers_at + at * HEADER_BYTES, wanted, socket.MSG_DONTWAIT)
        if done > 0:
            outcome.pending += tried == at
            outcome.partial += done < wanted
            outcome.sent += done
            at += done
            continue
        number = ctypes.get_errno()
        if number == errno.EINTR:
            continue
        if number in _OURS:
            raise OSError(number, os.strerror(number))
        kind = KINDS.get(number, OTHER)
        if kind == FULL:
            outcome.waits += 1
            if _wait(fd, number, patience_ns, outcome):
                continue
            outcome.refused[FULL] = end - at
            break
        # sendmmsg reports an error only when it met it at the first message.
        if tried == at:
            outcome.refused[kind] = outcome.refused.get(kind, 0) + 1
            outcome.positions.append(at)
            at += 1
        else:
            tried = at
    return outcome


def _wait(fd: int, number: int, patience_ns: int, outcome: Outcome) -> bool:
    """Wait for room, at least 1 ms of the patience for each call; False when it has come to its end."""
    left_ns = patience_ns - outcome.waited_ns
    if left_ns <= 0:
        return False
    began_ns = time.monotonic_ns()
    if number == errno.EAGAIN:
        room = select.poll()
        room.register(fd, select.POLLOUT)
        room.poll(-(-left_ns // 1_000_000))
    else:  # the device's queue or the machine's memory, of which poll knows nothing
        time.sleep(0.001)
    outcome.waited_ns += max(1_000_000, time.monotonic_ns() - began_ns)
    return True
