"""The endpoint's half of its channel: bound to an address, clock probes, NACKs (docs/protocol.md, *Channel*).

No socket: datagrams in with their address and time, datagrams out when asked.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable

from loa.codecs import channel_wire
from loa.codecs.channel_wire import Nack, ProbeReply, ReplayWindow, Type
from loa.errors import AuthorityError, WireError
from loa.timing.filter import ClockFilter
from loa.timing.probes import ProbeSchedule

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
KEEPALIVE_NS = 15 * NS_PER_S
KEEPALIVE_RETRY_NS = NS_PER_S // 2
SLOW_RETRY_NS = (15 * NS_PER_S, 30 * NS_PER_S)
"""How often an address is tried while the sound comes by link."""
DOUBT_NS = NS_PER_S
DEFAULT_ROUND_TRIP_NS = 100 * NS_PER_MS
_MAX_OUTGOING = 64
_MAX_PROBES = 64

Address = tuple[str, int]


class Channel:
    """One channel, as a welcome made it. `clock` outlives it: the time line does not end with a link.

    Counters: `dropped` datagrams that were not the channel's or not well-formed, `unauthentic`, `replayed`,
    `other_epoch` replies of another time line (the link should be made anew), `unsent` NACKs for want of room.
    """

    def __init__(
        self,
        *,
        channel_id: bytes,
        channel_secret: bytes,
        epoch: bytes,
        server: Address,
        clock: ClockFilter,
        rng: random.Random,
    ) -> None:
        self.server = server
        self.epoch = epoch
        self.clock = clock
        self._id = channel_id
        self._secret = channel_secret
        self._probes = ProbeSchedule(rng)
        self._window = ReplayWindow()
        self._counter = 0
        self._outgoing: deque[tuple[Type, bytes]] = deque(maxlen=_MAX_OUTGOING)
        self._keepalive_due_ns: int | None = None  # None: at once
        self._asked: deque[int] = deque(maxlen=_MAX_PROBES)
        self._round_trip_ns: int | None = None
        self._seen_doubts = 0
        self._rng = rng
        self._unanswered_ns: int | None = None  # when the first keep-alive went out that nothing has answered
        self._answered_ns: int | None = None
        self.by_link = False
        self.bound = False
        self.dropped = 0
        self.unauthentic = 0
        self.replayed = 0
        self.other_epoch = 0
        self.unsent = 0

    @property
    def round_trip_ns(self) -> int:
        """Smoothed round trip of the probes; 100 ms before the first."""
        return DEFAULT_ROUND_TRIP_NS if self._round_trip_ns is None else self._round_trip_ns

    @property
    def drops(self) -> int:
        """Datagrams that were of no use, for whatever reason."""
        return self.dropped + self.unauthentic + self.replayed

    def nack(self, nacks: Iterable[Nack]) -> None:
        """Queue NACKs; they go with the next `datagrams_to_send`. Dropped and counted while the queue is full."""
        for nack in nacks:
            if len(self._outgoing) >= _MAX_OUTGOING:
                self.unsent += 1
            elif self.bound:
                self._outgoing.append((Type.NACK, nack.encode()))

    def silent_ns(self, now_ns: int) -> int:
        """How long keep-alives have gone out without an answer; 0 when the last one was answered."""
        return 0 if self._unanswered_ns is None else now_ns - self._unanswered_ns

    def use_link(self, by_link: bool, now_ns: int) -> None:
        """Ask for the time by link, and try the address rarely; or by datagrams again, for which it is bound."""
        self.by_link = by_link
        self.bound = self.bound and not by_link
        self._probes.restart(now_ns)

    def doubt(self, now_ns: int) -> None:
        """Sound that should have come has not: ask now whether the address is still good."""
        answered_ns = self._answered_ns
        if self._unanswered_ns is None and answered_ns is not None and now_ns - answered_ns > DOUBT_NS:
            self._keepalive_due_ns = now_ns

    def link_probe(self, now_ns: int) -> int | None:
        """The t1 of a clock probe to be sent by link at once, if one is due."""
        if not self.by_link or not self._probes.take(now_ns):
            return None
        self._asked.append(now_ns)
        return now_ns

    def receive(self, data: bytes, address: Address, now_ns: int) -> None:
        """Take a channel datagram (not an ORDER) that came at `now_ns`. Never raises; what does not belong is
        counted."""
        if address != self.server:
            self.dropped += 1
            return
        try:
            datagram = channel_wire.parse(data)
            if datagram.channel_id != self._id or datagram.type not in channel_wire.DOWNWARD:
                self.dropped += 1
                return
            datagram.check(self._secret)
        except WireError:
            self.dropped += 1
            return
        except AuthorityError:
            self.unauthentic += 1
            return
        if not self._window.accept(datagram.counter):
            self.replayed += 1
            return
        try:
            self._take(datagram.type, datagram.payload, now_ns)
        except WireError:
            self.dropped += 1

    def next_due_ns(self, now_ns: int) -> int:
        """When `datagrams_to_send` has something next, if nothing arrives before."""
        if self._outgoing or self._keepalive_due_ns is None:
            return now_ns
        if not self.bound and not self.by_link:
            return self._keepalive_due_ns
        return min(self._keepalive_due_ns, self._probes.next_due_ns(now_ns))

    def datagrams_to_send(self, now_ns: int) -> list[bytes]:
        """What goes to `server` now. A probe's t1 is `now_ns`: send at once."""
        outgoing = [self._encode(type_, payload) for type_, payload in self._outgoing]
        self._outgoing.clear()
        if self._keepalive_due_ns is None or now_ns >= self._keepalive_due_ns:
            outgoing.append(self._encode(Type.KEEPALIVE, channel_wire.padded(b"")))
            retry_ns = self._rng.randint(*SLOW_RETRY_NS) if self.by_link else KEEPALIVE_RETRY_NS
            self._keepalive_due_ns = now_ns + retry_ns  # BOUND makes it 15 s
            if self._unanswered_ns is None:
                self._unanswered_ns = now_ns
        if self.bound and not self.by_link and self._probes.take(now_ns):
            self._asked.append(now_ns)
            outgoing.append(self._encode(Type.PROBE, channel_wire.Probe(now_ns).encode()))
        return outgoing

    def _take(self, type_: Type, payload: bytes, now_ns: int) -> None:
        if type_ is Type.CHALLENGE:
            if len(payload) != channel_wire.CHALLENGE_BYTES:
                raise WireError("a challenge of another length")
            self._outgoing.append((Type.ECHO, payload))
            self._keepalive_due_ns = None  # its BOUND tells that the echo has arrived
        elif type_ is Type.BOUND:
            if len(payload) != 2:
                raise WireError("a BOUND of another length")
            lifetime_ns = int.from_bytes(payload, "big") * NS_PER_S
            self.bound = True
            self._unanswered_ns, self._answered_ns = None, now_ns
            self._keepalive_due_ns = now_ns + max(NS_PER_S, min(KEEPALIVE_NS, lifetime_ns // 3))
        else:
            self.take_reply(ProbeReply.decode(payload), now_ns)

    def take_reply(self, reply: ProbeReply, now_ns: int) -> None:
        """Take the answer to a probe, which came at `now_ns` by whatever way."""
        if reply.t1_ns not in self._asked:
            self.dropped += 1
            return
        self._asked.remove(reply.t1_ns)
        if reply.epoch != self.epoch:
            self.other_epoch += 1
            return
        if not self.clock.add(reply.t1_ns, reply.t2_ns, reply.t3_ns, now_ns):
            if self.clock.doubts > 1 and self._seen_doubts <= 1:
                self._probes.restart(now_ns)
            self._seen_doubts = self.clock.doubts
            return
        self._seen_doubts = 0
        round_trip_ns = now_ns - reply.t1_ns - (reply.t3_ns - reply.t2_ns)
        if self._round_trip_ns is None:
            self._round_trip_ns = round_trip_ns
        else:
            self._round_trip_ns += (round_trip_ns - self._round_trip_ns) // 8

    def _encode(self, type_: Type, payload: bytes) -> bytes:
        counter, self._counter = self._counter, self._counter + 1
        return channel_wire.encode(type_, self._id, counter, payload, self._secret)
