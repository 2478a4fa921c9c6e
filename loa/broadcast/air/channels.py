"""The server's end of all endpoints' channels: binding by challenge, probes, NACKs (docs/protocol.md, *Channel*).

Pure. What comes is hostile until its MAC and counter hold; nothing is stored for a question that is not a known
channel's, and the challenge itself is stateless.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from loa.broadcast.air.address_book import AddressBook
from loa.broadcast.air.air_counters import Values
from loa.broadcast.air.credit import Credit
from loa.broadcast.air.repair_ring import RepairRing
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Datagram, Nack, Probe, ProbeReply, ReplayWindow, Type
from loa.errors import AuthorityError, WireError

MAX_CHANNELS = 20_000
LIFETIME_NS = 45_000_000_000
NONCE_SLOT_NS = 10_000_000_000
"""A nonce is good for the rest of its slot and the next one: 10 to 20 s."""
REPAIRS_A_SECOND, REPAIRS_AT_ONCE = 100, 100
"""What one channel may have repaired: no second of any phase has more than 200 packets."""
ALL_REPAIRS_A_SECOND, ALL_REPAIRS_AT_ONCE = 20_000, 20_000
"""… and all channels together: two in a hundred packets to 20,000 endpoints, or one packet that all have missed."""
MISSES_A_REPAIR = 16
"""So many packets that are not there cost as much as one that is: to look for them takes time, too."""
DATAGRAMS_A_SECOND, DATAGRAMS_AT_ONCE = 100, 300
"""What one channel may say. An endpoint that asks for repair in every frame says 50."""
LOUD_AGAIN_NS = 60_000_000_000
"""That a channel says too much is told again after this; of ten channels at once, and then of one a second."""

_EMPTY = channel_wire.padded(b"")

Reply = tuple[bytes, bytes]
"""A packet and the packed address it goes to."""
FindRing = Callable[[int, bytes], RepairRing | None]
"""The ring of an SSRC, if that channel gets it."""


@dataclass(slots=True)
class Channel:
    """One endpoint's channel."""

    secret: bytes
    slot: int
    window: ReplayWindow = field(default_factory=ReplayWindow)
    sent: int = 0
    address: bytes = b""
    """Packed; empty: none."""
    bound_until_ns: int = 0
    loud_until_ns: int = 0
    datagrams: Credit = field(default_factory=lambda: Credit(DATAGRAMS_A_SECOND, DATAGRAMS_AT_ONCE))
    repairs: Credit = field(default_factory=lambda: Credit(REPAIRS_A_SECOND, REPAIRS_AT_ONCE))


class Channels:
    """All channels, by id."""

    def __init__(
        self,
        *,
        epoch: bytes,
        nonce_key: bytes,
        clock: Callable[[], int],
        find_ring: FindRing,
        book: AddressBook,
        counters: Values,
    ) -> None:
        """`nonce_key`: random, of this process. `clock`: monotonic ns, read for t3 of probes only. `book`: where
        the addresses of bound channels are kept."""
        self._epoch = epoch
        self._nonce_key = nonce_key
        self._clock = clock
        self._find_ring = find_ring
        self._book = book
        self._counters = counters
        self._repairs = Credit(ALL_REPAIRS_A_SECOND, ALL_REPAIRS_AT_ONCE)
        self._channels: dict[bytes, Channel] = {}
        self._bound: OrderedDict[bytes, Channel] = OrderedDict()  # the first ends first
        self.newly_bound: list[tuple[bytes, bytes]] = []
        self.newly_loud: list[bytes] = []
        self._louds = Credit(1, 10)
        """Channels that got another address, and which, packed; who composes this empties it after `receive`."""

    def add(self, channel_id: bytes, secret: bytes) -> bool:
        """Know a channel, or give a known one a new secret and no address. False: the book is full."""
        slot = self._book.add(channel_id)
        if slot is None:
            self._counters["channels_refused"] += 1
            return False
        self._bound.pop(channel_id, None)
        self._channels[channel_id] = Channel(secret, slot)
        self._count()
        return True

    def drop(self, channel_id: bytes) -> None:
        """Forget a channel, if it is known."""
        self._book.drop(channel_id)
        self._channels.pop(channel_id, None)
        self._bound.pop(channel_id, None)
        self._count()

    def next_expiry_ns(self) -> int | None:
        """When the next binding ends unless it is renewed."""
        for channel in self._bound.values():
            return channel.bound_until_ns
        return None

    def expire(self, now_ns: int) -> list[bytes]:
        """Unbind the channels whose time is over; their ids."""
        over: list[bytes] = []
        first_ns = self.next_expiry_ns()
        if first_ns is None or first_ns > now_ns:
            return over
        while self._bound:
            channel_id, channel = next(iter(self._bound.items()))
            if channel.bound_until_ns > now_ns:
                break
            channel.address = b""
            self._book.unbind(channel.slot)
            del self._bound[channel_id]
            over.append(channel_id)
        self._counters["bindings_expired"] += len(over)
        self._count()
        return over

    def receive(self, data: bytes, address: bytes, now_ns: int) -> list[Reply]:
        """Take a datagram from a packed address, and answer it. Never raises; what it drops it counts.

        What costs least is asked first. A channel that has said too much is not even asked for its MAC, which only
        its own MACs can bring about.
        """
        self._counters["datagrams_received"] += 1
        if not channel_wire.is_channel(data):
            return self._dropped("dropped_foreign")
        try:
            datagram = channel_wire.parse(data)
            if datagram.type not in channel_wire.UPWARD:
                return self._dropped("dropped_malformed")
            channel = self._channels.get(datagram.channel_id)
            if channel is None:
                return self._dropped("dropped_unknown")
            if not channel.datagrams.has(now_ns):
                if now_ns >= channel.loud_until_ns and self._louds.has(now_ns):
                    self._louds.spend()
                    channel.loud_until_ns = now_ns + LOUD_AGAIN_NS
                    self.newly_loud.append(datagram.channel_id)
                return self._dropped("dropped_limited")
            datagram.check(channel.secret)
            channel.datagrams.spend()
            if not channel.window.accept(datagram.counter):
                return self._dropped("dropped_replay")
            if datagram.type is Type.KEEPALIVE:
                return self._keepalive(datagram, channel, address, now_ns)
            if datagram.type is Type.ECHO:
                return self._echo(datagram, channel, address, now_ns)
            if not self._is_bound(channel, address, now_ns):
                return self._dropped("dropped_unbound")
            if datagram.type is Type.PROBE:
                return self._probe(datagram, channel, address, now_ns)
            return self._nack(datagram, channel, address, now_ns)
        except WireError:
            return self._dropped("dropped_malformed")
        except AuthorityError:
            return self._dropped("dropped_mac")

    def _keepalive(self, datagram: Datagram, channel: Channel, address: bytes, now_ns: int) -> list[Reply]:
        if datagram.payload != _EMPTY:
            return self._dropped("dropped_malformed")
        if self._is_bound(channel, address, now_ns):
            self._renew(datagram.channel_id, channel, now_ns)
            lifetime_s = LIFETIME_NS // 1_000_000_000
            return [self._reply(Type.BOUND, datagram, channel, lifetime_s.to_bytes(2, "big"), address)]
        self._counters["challenges"] += 1
        nonce = self._nonce(datagram.channel_id, address, now_ns // NONCE_SLOT_NS)
        return [self._reply(Type.CHALLENGE, datagram, channel, nonce, address)]

    def _echo(self, datagram: Datagram, channel: Channel, address: bytes, now_ns: int) -> list[Reply]:
        slot = now_ns // NONCE_SLOT_NS
        good = (self._nonce(datagram.channel_id, address, at) for at in (slot, slot - 1))
        if not any(hmac.compare_digest(nonce, datagram.payload) for nonce in good):
            return self._dropped("dropped_nonce")
        if not self._is_bound(channel, address, now_ns):
            channel.address = address
            self._book.bind(channel.slot, address)
            self._counters["bindings"] += 1
            self.newly_bound.append((datagram.channel_id, address))
        self._renew(datagram.channel_id, channel, now_ns)
        return []

    def _probe(self, datagram: Datagram, channel: Channel, address: bytes, now_ns: int) -> list[Reply]:
        probe = Probe.decode(datagram.payload)
        self._counters["probes"] += 1
        answer = ProbeReply(self._epoch, probe.t1_ns, now_ns, max(now_ns, self._clock())).encode()
        return [self._reply(Type.PROBE_REPLY, datagram, channel, answer, address)]

    def _nack(self, datagram: Datagram, channel: Channel, address: bytes, now_ns: int) -> list[Reply]:
        self._counters["nacks"] += 1
        if not channel.repairs.has(now_ns):
            self._counters["nack_limited"] += 1  # without looking: a flood must not cost more than its MAC
            return []
        nack = Nack.decode(datagram.payload)
        ring = self._find_ring(nack.ssrc, datagram.channel_id)
        replies: list[Reply] = []
        misses = 0
        for at, index in enumerate(nack.indices):
            if not channel.repairs.has(now_ns):
                self._counters["nack_limited"] += len(nack.indices) - at
                break
            if not self._repairs.has(now_ns):
                self._counters["nack_limited_all"] += len(nack.indices) - at
                break
            packet = None if ring is None else ring.get(index, now_ns)
            if packet is None:
                misses += 1
                continue
            channel.repairs.spend()
            self._repairs.spend()
            replies.append((packet, address))
        self._counters["repair_misses"] += misses
        if not replies or misses >= MISSES_A_REPAIR:
            channel.repairs.spend(max(1, misses // MISSES_A_REPAIR))  # asking in vain is limited too
        self._counters["repaired_packets"] += len(replies)
        return replies

    def _reply(self, type_: Type, datagram: Datagram, channel: Channel, payload: bytes, address: bytes) -> Reply:
        counter, channel.sent = channel.sent, channel.sent + 1
        return channel_wire.encode(type_, datagram.channel_id, counter, payload, channel.secret), address

    def _nonce(self, channel_id: bytes, address: bytes, slot: int) -> bytes:
        told = channel_id + slot.to_bytes(8, "big", signed=True) + address
        return hmac.digest(self._nonce_key, told, "sha256")[: channel_wire.CHALLENGE_BYTES]

    @staticmethod
    def _is_bound(channel: Channel, address: bytes, now_ns: int) -> bool:
        return channel.address == address and now_ns < channel.bound_until_ns

    def _renew(self, channel_id: bytes, channel: Channel, now_ns: int) -> None:
        channel.bound_until_ns = now_ns + LIFETIME_NS
        self._bound[channel_id] = channel
        self._bound.move_to_end(channel_id)
        self._count()

    def _dropped(self, why: str) -> list[Reply]:
        self._counters[why] += 1
        return []

    def _count(self) -> None:
        self._counters["channels"] = len(self._channels)
        self._counters["channels_bound"] = len(self._bound)
