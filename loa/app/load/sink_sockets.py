"""UDP sockets that only get what commands: the kernel drops sound before it costs its receiver anything.

Sound that was dropped is counted by the kernel, so that it is known how much of it came (`dropped`).
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from loa.codecs.channel_wire import MAGIC

SHARED_BY = 64
"""Endpoints that share a socket: a burst of orders to all of them fits the buffer that every kernel grants."""
BUFFER_BYTES = 1 << 20
_READ_BYTES = 2048
_READS_AT_ONCE = 1024
_SO_ATTACH_FILTER = 26  # linux/socket.h; the module does not name them
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8  # linux/sock_diag.h
_MEMINFO = struct.Struct("=9I")
_IP_PKTINFO = 8
_PKTINFO = struct.Struct("=i4s4s")  # interface, source to send from, destination that was met
_TIMESPEC = struct.Struct("=qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_PKTINFO.size) + socket.CMSG_SPACE(_TIMESPEC.size)
_UDP_HEADER_BYTES = 8  # a filter on a UDP socket sees it

Address = tuple[str, int]


class _Instruction(NamedTuple):
    """Of classic BPF (linux/filter.h)."""

    code: int
    if_true: int
    if_false: int
    k: int


_ONLY_CHANNEL = (
    _Instruction(0x30, 0, 0, _UDP_HEADER_BYTES),  # load the first byte of the datagram
    _Instruction(0x15, 0, 1, MAGIC),
    _Instruction(0x06, 0, 0, 0xFFFF),  # keep it whole
    _Instruction(0x06, 0, 0, 0),  # keep nothing
)
_NOTHING = (_Instruction(0x06, 0, 0, 0),)


def _attach(bare: socket.socket, program: tuple[_Instruction, ...]) -> None:
    packed = b"".join(struct.pack("=HBBI", *each) for each in program)
    code = ctypes.create_string_buffer(packed, len(packed))
    bare.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))


def only_channel(bare: socket.socket) -> None:
    """From now on the kernel lets only channel datagrams (0xC1: orders, answers) through, and no sound."""
    _attach(bare, _ONLY_CHANNEL)


def drop_all(bare: socket.socket) -> None:
    """From now on the kernel lets nothing through."""
    _attach(bare, _NOTHING)


def dropped(bare: socket.socket) -> int:
    """Datagrams that reached the socket and were not given to it: by its filter, or for want of room."""
    value: int = _MEMINFO.unpack(bare.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[_MEMINFO_DROPS]
    return value


def stamp_arrivals(bare: socket.socket) -> None:
    """From now on the kernel tells with each datagram when it came (see `arrival_ns`)."""
    bare.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def enlarge(bare: socket.socket) -> None:
    """Ask for a large receive buffer, above the usual limit where this process may."""
    with contextlib.suppress(OSError):
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    with contextlib.suppress(OSError):
        bare.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)


def arrival_ns(ancillary: list[tuple[int, int, bytes]], otherwise_ns: int) -> int:
    """When a datagram came, UTC ns, as the kernel said it; `otherwise_ns` where it did not."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, ns = _TIMESPEC.unpack_from(data)
            return int(seconds * 1_000_000_000 + ns)
    return otherwise_ns


class SinkSocket:
    """One socket for up to SHARED_BY endpoints on loopback addresses, or for one endpoint anywhere."""

    def __init__(self, server: Address, family: socket.AddressFamily, *, shared: bool, sound: bool = False) -> None:
        """`sound`: it gets sound too."""
        self._server = server
        self._shared = shared
        self.bare = socket.socket(family, socket.SOCK_DGRAM)
        self.bare.setblocking(False)
        if not sound:
            only_channel(self.bare)
        stamp_arrivals(self.bare)
        enlarge(self.bare)
        if shared:
            self.bare.setsockopt(socket.SOL_IP, _IP_PKTINFO, 1)
            self.bare.bind(("", 0))
        else:
            self.bare.connect(server)

    def send(self, source: bytes, data: bytes) -> bool:
        """Send from the address `source` (packed IPv4; a socket of one endpoint has its own). False: not sent."""
        try:
            if self._shared:
                told = [(socket.SOL_IP, _IP_PKTINFO, _PKTINFO.pack(0, source, b"\0\0\0\0"))]
                self.bare.sendmsg([data], told, 0, self._server)
            else:
                self.bare.send(data)
        except OSError:
            return False  # as good as lost on the way
        return True

    def read(self, now_utc_ns: int) -> Iterator[tuple[bytes, bytes, int]]:
        """What has come: destination address (packed; empty where the socket has one owner), datagram, arrival."""
        for _ in range(_READS_AT_ONCE):
            try:
                data, ancillary, _, _ = self.bare.recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP answer to something sent before
            destination = b""
            for level, kind, told in ancillary:
                if level == socket.SOL_IP and kind == _IP_PKTINFO and len(told) >= _PKTINFO.size:
                    destination = _PKTINFO.unpack_from(told)[2]
            yield destination, data, arrival_ns(ancillary, now_utc_ns)

    @property
    def dropped(self) -> int:
        """See `dropped`."""
        return dropped(self.bare)

    def close(self) -> None:
        """Close."""
        self.bare.close()
