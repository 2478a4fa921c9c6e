"""Endpoints that cost nothing to feed: sampled ones keep all with the kernel's instants, the kernel drops the rest.

They live on 127.1.0.0/16. One socket that is bound to all addresses stands for those that are not sampled, so ten
thousand need no ten thousand sockets; it names the address that it sends from with each datagram.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections import defaultdict
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from loa.app.load.sink_sockets import drop_all
from loa.broadcast.air.media_port import Address
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Type, padded

SAMPLED = 100
KEEPALIVE_S = 15.0
_BUFFER_BYTES = 32 << 20
_WINDOW = 100
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS, _IP_PKTINFO = 33, 35, 8  # the module does not name them
_PKTINFO = struct.Struct("=I4s4s")


class Ears:
    """`count` endpoints, between the two ends of `with`; SAMPLED of them, evenly chosen, are heard."""

    def __init__(self, count: int, secret: bytes) -> None:
        self._secret = secret
        self._stack = ExitStack()
        self._counters = [0] * count
        sampled = min(SAMPLED, count)
        chosen = {round(n * (count - 1) / max(1, sampled - 1)) for n in range(sampled)}
        self._sink = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._sink.bind(("0.0.0.0", 0))
        self._sink.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._sink.settimeout(5)
        port = self._sink.getsockname()[1]
        self.addresses: list[Address] = []
        self.channels = [n.to_bytes(channel_wire.CHANNEL_ID_BYTES, "big") for n in range(count)]
        self._own: dict[int, socket.socket] = {}
        for n in range(count):
            host = f"127.1.{n // 250}.{1 + n % 250}"
            if n in chosen:
                self._own[n] = self._listen(host)
            self.addresses.append((host, self._own[n].getsockname()[1] if n in chosen else port))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def bind_all(self, port: int) -> None:
        """Bind every channel at the media process on this port; then the kernel drops what is not sampled."""
        server = ("127.0.0.1", port)
        for first in range(0, len(self.channels), _WINDOW):
            some = range(first, min(first + _WINDOW, len(self.channels)))
            for n in some:
                self._say(n, Type.KEEPALIVE, padded(b""), server)
            for _ in range(sum(n not in self._own for n in some)):
                self._echo(self._sink.recv(2_048), server)
            for n in some:
                if n in self._own:
                    self._echo(self._own[n].recv(2_048), server)
        self.deafen()

    def deafen(self) -> None:
        """From now on only the sampled ones hear."""
        drop_all(self._sink)

    def stay(self, part: int, parts: int, port: int) -> None:
        """Keep the bindings of one of so many parts of all."""
        for n in range(part, len(self.channels), parts):
            self._say(n, Type.KEEPALIVE, padded(b""), ("127.0.0.1", port))

    def heard(self) -> dict[tuple[bytes, int], list[int]]:
        """Instants in ns of UTC at which the sampled ones got a packet of RTP, by its SSRC and extended number.

        In the order in which each came; the number goes on where the 16 bits end.
        """
        heard: dict[tuple[bytes, int], list[int]] = defaultdict(list)
        for sock in self._own.values():
            sock.setblocking(False)
            newest: dict[bytes, int] = {}
            while True:
                try:
                    data, controls, _, _ = sock.recvmsg(2_048, 64)
                except BlockingIOError:
                    break
                if data[:1] == b"\xc1":
                    continue
                seconds, ns = struct.unpack("=qq", controls[0][2])
                ssrc, number = data[8:12], int.from_bytes(data[2:4], "big")
                before = newest.get(ssrc, number)
                number = before + (number - before + 0x8000) % 0x1_0000 - 0x8000
                newest[ssrc] = max(before, number)
                heard[ssrc, number].append(seconds * 1_000_000_000 + ns)
        return heard

    @property
    def sampled(self) -> int:
        """How many are heard."""
        return len(self._own)

    def _listen(self, host: str) -> socket.socket:
        sock = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.bind((host, 0))
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            print("without CAP_NET_ADMIN long samples are cut short", file=sys.stderr)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.settimeout(5)
        return sock

    def _echo(self, data: bytes, server: Address) -> None:
        answer = channel_wire.parse(data)
        if answer.type is Type.CHALLENGE:
            self._say(int.from_bytes(answer.channel_id, "big"), Type.ECHO, answer.payload, server)

    def _say(self, n: int, type_: Type, payload: bytes, server: Address) -> None:
        self._counters[n] += 1
        data = channel_wire.encode(type_, self.channels[n], self._counters[n], payload, self._secret)
        own = self._own.get(n)
        if own is not None:
            own.sendto(data, server)
            return
        origin = socket.inet_aton(self.addresses[n][0])
        control = (socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, origin, bytes(4)))
        self._sink.sendmsg([data], [control], 0, server)


def spreads_ms(heard: dict[tuple[bytes, int], list[int]], sampled: int) -> tuple[list[float], int]:
    """First-to-last of each packet that all sampled ones got, ascending, and how many receptions are missing."""
    missing = sum(sampled - len(instants) for instants in heard.values())
    whole = [instants for instants in heard.values() if len(instants) == sampled]
    return sorted((max(instants) - min(instants)) / 1e6 for instants in whole), missing


def quantile(ascending: list[float], share: float) -> float:
    """The value below which `share` of them lie; nan for none."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))] if ascending else float("nan")
