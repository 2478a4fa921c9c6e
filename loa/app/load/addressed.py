"""A generated endpoint with an address: bound, kept alive, and told orders by both doors.

It has no engine: what comes to it costs its process a method call. Subclasses say what an order makes them do.
"""

from __future__ import annotations

import socket

from loa.app.load.member import Member, Standing, Timer, World
from loa.app.load.sink_sockets import SinkSocket
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Type
from loa.edge.speaker.channel import KEEPALIVE_NS, KEEPALIVE_RETRY_NS
from loa.edge.speaker.identity import Identity
from loa.edge.speaker.link_session import Event, OrderArrived, Welcomed
from loa.errors import AuthorityError, WireError


class Addressed(Member):
    """See above."""

    def __init__(self, world: World, number: int, identity: Identity, software: str, address: str) -> None:
        """`address`: packed into what it sends from, where that is loopback; empty where the socket has its own."""
        super().__init__(world, number, identity, software)
        self.source = socket.inet_aton(address) if address else b""
        self.media: SinkSocket | None = None
        self._channel_id = self._secret = b""
        self._counter = 0

    def on_event(self, event: Event, now_ns: int) -> None:
        """See Member."""
        if isinstance(event, OrderArrived):
            self.on_order(event.bundle, "link", self.world.clock.utc_ns(), now_ns)
        elif isinstance(event, Welcomed):
            self._channel_id, self._secret, self._counter = event.channel_id, event.keys.channel_secret, 0

    def on_link_end(self) -> None:
        """See Member."""
        if self.media is not None:
            self.world.release(self.media)
            self.media = None

    def open_channel(self, media: SinkSocket) -> None:
        """Bind an address through this socket."""
        self.media = media
        self._keepalive(self.local_ns())

    def datagram(self, data: bytes, at_utc_ns: int) -> None:
        """A channel datagram came to its address."""
        bundle = channel_wire.parse_order(data)
        if bundle is not None:
            self.on_order(bundle, "datagram", at_utc_ns, self.local_ns())
            return
        counts = self.world.tally.counts
        if len(data) > 1 and data[1] == Type.PROBE_REPLY:
            counts["probe_replies"] += 1
            return
        try:
            parsed = channel_wire.parse(data)
            if parsed.channel_id != self._channel_id:
                return  # an answer to the link before
            parsed.check(self._secret)
        except (WireError, AuthorityError):
            counts["datagrams_dropped"] += 1
            return
        if parsed.type is Type.CHALLENGE:
            self.send_datagram(Type.ECHO, parsed.payload)
            self.send_datagram(Type.KEEPALIVE, channel_wire.padded(b""))
        elif parsed.type is Type.BOUND:
            self.is_bound()

    def on_alarm(self, timer: Timer, about: bytes, now_ns: int) -> None:
        """See Member."""
        if timer is Timer.KEEPALIVE:
            self._keepalive(now_ns)

    def on_order(self, bundle: bytes, door: str, at_utc_ns: int, now_ns: int) -> None:
        """A bundle came by "datagram" or "link"; nothing in it has been verified. `at_utc_ns`: as the kernel says,
        or the time of its being read."""
        raise NotImplementedError

    def send_datagram(self, kind: Type, payload: bytes) -> bool:
        """Send a channel datagram; False, counted, when it did not leave."""
        if self.media is None:
            return False
        data = channel_wire.encode(kind, self._channel_id, self._counter, payload, self._secret)
        self._counter += 1
        if not self.media.send(self.source, data):
            self.world.tally.counts["datagrams_unsent"] += 1
            return False
        return True

    def _keepalive(self, now_ns: int) -> None:
        self.send_datagram(Type.KEEPALIVE, channel_wire.padded(b""))
        bound = self.standing is Standing.BOUND
        self.alarm(now_ns + (KEEPALIVE_NS if bound else KEEPALIVE_RETRY_NS), Timer.KEEPALIVE)
