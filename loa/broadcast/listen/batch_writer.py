"""The same bytes to many sockets: by one call of the kernel for a thousand of them, without holding the GIL.

`io_submit` (Linux) carries out writes to non-blocking sockets before it returns, each as `write` would. Where it is
not to be had, or does not do that, the sockets are written to one by one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from array import array
from collections.abc import Mapping
from typing import Protocol

from loa.broadcast.listen.socket_table import SocketTable

AT_ONCE = 1_024
"""Requests in one call; the system shares out 65,536 (fs.aio-max-nr)."""
_EVENT_WORDS = 4  # struct io_event of linux/aio_abi.h: data, request, result, result 2
_RESULT = 2
# io_setup, io_destroy, io_getevents, io_submit; on other machines the slower way is taken.
_NUMBERS: Mapping[str, tuple[int, int, int, int]] = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
_FULL = (-errno.EAGAIN, -errno.EINTR)

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


class BatchWriter(Protocol):
    """Writes to all sockets of a table. For one thread at a time."""

    def write(self, table: SocketTable, data: bytes) -> Mapping[int, int]:
        """Write `data` (not empty) to every socket of the table.

        Those that did not take all of it, by row: how many bytes they took, or the negative errno.
        """

    def close(self) -> None:
        """Give back what the kernel holds for it."""


def make_batch_writer() -> BatchWriter:
    """The fastest that works here."""
    try:
        return KernelWriter()
    except OSError:
        return PlainWriter()


class PlainWriter:
    """A BatchWriter that asks for one write after the other."""

    def write(self, table: SocketTable, data: bytes) -> Mapping[int, int]:
        """See BatchWriter."""
        short = {}
        for row, fd in enumerate(table.fds):
            took = write_some(fd, data)
            if took != len(data):
                short[row] = took
        return short

    def close(self) -> None:
        """Nothing is held."""


class KernelWriter:
    """A BatchWriter by `io_submit`."""

    def __init__(self) -> None:
        """OSError where the kernel does not do it, or not at once."""
        numbers = _NUMBERS.get(os.uname().machine)
        if numbers is None or sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8:
            raise OSError(errno.ENOSYS, "io_submit is not known for this machine")
        self._setup, self._destroy, self._reap, self._submit = numbers
        self._context = ctypes.c_ulong(0)
        self._events = array("q", bytes(8 * _EVENT_WORDS * AT_ONCE))
        self._events_at = self._events.buffer_info()[0]
        if _syscall(self._setup, AT_ONCE, ctypes.byref(self._context)) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"io_setup: {os.strerror(number)}")
        try:
            self._try_out()
        except BaseException:
            self.close()
            raise

    def write(self, table: SocketTable, data: bytes) -> Mapping[int, int]:
        """See BatchWriter."""
        held = ctypes.c_char_p(data)
        address = ctypes.cast(held, ctypes.c_void_p).value or 0
        size, rows = len(data), len(table)
        table.aim(address, size)
        short: dict[int, int] = {}
        at = 0
        while at < rows:
            done = _syscall(
                self._submit,
                self._context,
                ctypes.c_long(min(AT_ONCE, rows - at)),
                ctypes.c_void_p(table.pointers_at(at)),
            )
            if done <= 0:
                # Said of the first request: one that cannot even be begun.
                short[at] = -ctypes.get_errno()
                at += 1
                continue
            self._collect(done, size, short)
            at += done
        return short

    def _collect(self, count: int, size: int, short: dict[int, int]) -> None:
        """The results of `count` requests that are done."""
        got = 0
        while got < count:
            came = _syscall(
                self._reap,
                self._context,
                ctypes.c_long(count - got),
                ctypes.c_long(count - got),
                ctypes.c_void_p(self._events_at + 8 * _EVENT_WORDS * got),
                None,
            )
            if came < 0 and ctypes.get_errno() != errno.EINTR:
                raise OSError(ctypes.get_errno(), "io_getevents")
            got += max(0, came)
        results = self._events[_RESULT : count * _EVENT_WORDS : _EVENT_WORDS]
        if results == array("q", [size]) * count:
            return
        for number, took in enumerate(results):
            if took != size:
                short[self._events[number * _EVENT_WORDS]] = took

    def _try_out(self) -> None:
        """OSError unless a full socket is told of at once, and bytes arrive."""
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            other.setblocking(False)
            table = SocketTable()
            table.add(one.fileno())
            if self.write(table, b"page") or other.recv(8) != b"page":
                raise OSError(errno.ENOSYS, "io_submit does not write to sockets")
            while not (short := self.write(table, bytes(1 << 16))):
                pass
            if short[0] != -errno.EAGAIN and short[0] < 0:
                raise OSError(errno.ENOSYS, "io_submit does not tell that a socket is full")

    def close(self) -> None:
        """Give the context back."""
        if self._context.value:
            _syscall(self._destroy, self._context)
            self._context = ctypes.c_ulong(0)


def write_some(fd: int, data: bytes) -> int:
    """How many bytes a non-blocking descriptor took, or the negative errno."""
    try:
        return os.write(fd, data)
    except OSError as error:
        return -(error.errno or errno.EIO)


def is_full(took: int) -> bool:
    """Whether a write took nothing because there is no room now."""
    return took in _FULL
