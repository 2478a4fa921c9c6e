"""Thousands of bound media addresses on one socket: each endpoint has an address of its own in 127.64.0.0/10."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from loa.app.load.sink_sockets import only_channel

_SO_RCVBUFFORCE, _SO_TIMESTAMPNS, _IP_PKTINFO = 33, 35, 8  # linux headers
_FIRST = 0x7F400001
_BUFFER_BYTES = 64 << 20
_READS_AT_ONCE = 500

Heard = Callable[[int, bytes, int], None]
"""Endpoint, datagram, and when the kernel had it (UTC, ns)."""


class Addresses:
    """The addresses of the endpoints 0 … They hear no sound, but for one whose socket is its own."""

    def __init__(self, heard: Heard, *, sound_at: int) -> None:
        """`sound_at`: the endpoint that hears sound too."""
        self._heard = heard
        self._sound_at = sound_at
        self._shared, self._own = _open(), _open()
        only_channel(self._shared)
        loop = asyncio.get_running_loop()
        for each in (self._shared, self._own):
            loop.add_reader(each, self._read, each)

    def send(self, number: int, data: bytes, port: int) -> None:
        """From an endpoint's address to the core's media port; what the kernel does not take is lost."""
        bare = self._own if number == self._sound_at else self._shared
        source = (_FIRST + number).to_bytes(4, "big")
        info = struct.pack("=I4s4s", 0, source, bytes(4))
        try:
            bare.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, ("127.0.0.1", port))
        except BlockingIOError:
            return

    def _read(self, bare: socket.socket) -> None:
        for _ in range(_READS_AT_ONCE):
            try:
                data, told, _, _ = bare.recvmsg(2048, 256)
            except BlockingIOError:
                return
            number = at_ns = 0
            for _, kind, value in told:
                if kind == _IP_PKTINFO:
                    number = int.from_bytes(value[8:12], "big") - _FIRST
                elif kind == _SO_TIMESTAMPNS:
                    seconds, ns = struct.unpack("=qq", value)
                    at_ns = seconds * 1_000_000_000 + ns
            self._heard(number, data, at_ns)


def _open() -> socket.socket:
    bare = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bare.setblocking(False)
    try:
        bare.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except OSError:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    bare.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    bare.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    bare.bind(("0.0.0.0", 0))
    return bare
