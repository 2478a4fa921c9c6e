"""The media sockets of one process: one for each of the sample; on loopback one for many sinks, else one each."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable

from loa.app.load.addressed import Addressed
from loa.app.load.plan import loopback_address
from loa.app.load.sink_sockets import SHARED_BY, SinkSocket
from loa.edge.speaker.channel import Address


class MediaSockets:
    """Opens sockets towards one media address, and hands what comes to the sink that it is for."""

    def __init__(self, utc_ns: Callable[[], int]) -> None:
        self._utc_ns = utc_ns
        self._told: Address | None = None
        self._server: Address = ("", 0)
        self._family = socket.AF_INET
        self._loopback = False
        self._shared: dict[int, SinkSocket] = {}
        self._own: dict[SinkSocket, Addressed] = {}
        self._by_source: dict[bytes, Addressed] = {}
        self._dropped_before = 0

    @property
    def dropped(self) -> int:
        """Datagrams of sound that came to sinks, and that the kernel dropped."""
        return self._dropped_before + sum(each.dropped for each in (*self._shared.values(), *self._own))

    def resolve(self, told: Address) -> Address:
        """The media address as numbers; all endpoints are told the same one. OSError."""
        if told != self._told:
            found = socket.getaddrinfo(*told, type=socket.SOCK_DGRAM)
            self.close()
            self._family = found[0][0]
            self._server = (str(found[0][4][0]), int(found[0][4][1]))
            host = ipaddress.ip_address(self._server[0].partition("%")[0])
            self._loopback = host.is_loopback and self._family == socket.AF_INET
            self._told = told
        return self._server

    def for_sampled(self, number: int) -> socket.socket:
        """A socket of one endpoint, connected. OSError."""
        bare = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            bare.setblocking(False)
            if self._loopback:
                bare.bind((loopback_address(number), 0))
            bare.connect(self._server)
        except BaseException:
            bare.close()
            raise
        return bare

    def for_sink(self, sink: Addressed, place: int, *, sound: bool = False) -> SinkSocket:
        """The socket of a sink; `place` among all of the process says whom it shares one with. OSError.

        `sound`: it gets sound too, and shares with nobody.
        """
        loop = asyncio.get_running_loop()
        if sound or not self._loopback:
            made = SinkSocket(self._server, self._family, shared=False, sound=sound)
            self._own[made] = sink
            loop.add_reader(made.bare, self._read_own, made)
            return made
        self._by_source[sink.source] = sink
        shared = self._shared.get(place // SHARED_BY)
        if shared is None:
            shared = self._shared[place // SHARED_BY] = SinkSocket(self._server, self._family, shared=True)
            loop.add_reader(shared.bare, self._read_shared, shared)
        return shared

    def release(self, media: SinkSocket) -> None:
        """A sink has done with its socket."""
        if media in self._own:
            del self._own[media]
            self._close(media)

    def close(self) -> None:
        """Close all of the sinks'."""
        for each in (*self._shared.values(), *self._own):
            self._close(each)
        self._shared.clear()
        self._own.clear()

    def _close(self, media: SinkSocket) -> None:
        self._dropped_before += media.dropped
        asyncio.get_running_loop().remove_reader(media.bare)
        media.close()

    def _read_shared(self, media: SinkSocket) -> None:
        for destination, data, at_utc_ns in media.read(self._utc_ns()):
            sink = self._by_source.get(destination)
            if sink is not None:
                sink.datagram(data, at_utc_ns)

    def _read_own(self, media: SinkSocket) -> None:
        sink = self._own[media]
        for _, data, at_utc_ns in media.read(self._utc_ns()):
            sink.datagram(data, at_utc_ns)
