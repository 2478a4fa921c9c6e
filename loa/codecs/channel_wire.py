"""The endpoint's own channel: datagrams on the media socket (docs/protocol.md, *Channel*).

    0xC1 | type 1 | channel id 8 | counter 8 | payload | MAC 16

The first byte is outside the ranges of STUN, DTLS, TURN and RTP (RFC 7983). An ORDER datagram is the
exception: 0xC1 | 0x10 | order bundle; it is signed, the same for all, and needs no MAC. Another is GROUP
(codecs/group_wire.py), which means nothing but that it was heard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from loa.codecs import key_schedule
from loa.codecs.order_wire import MAX_DATAGRAM_BYTES, MAX_INDEX
from loa.errors import WireError

MAGIC = 0xC1
HEADER_BYTES = 18
OVERHEAD_BYTES = HEADER_BYTES + key_schedule.MAC_BYTES
CHANNEL_ID_BYTES = 8
CHALLENGE_BYTES = 16
PADDED_BYTES = 32
"""Payload of KEEPALIVE and PROBE: no answer is longer than its question, so nothing is amplified."""
MAX_NACK_ENTRIES = 32
NACK_SPAN = 64


class Type(IntEnum):
    """Channel datagram types; *up* goes from the endpoint to the server."""

    KEEPALIVE = 0x01
    CHALLENGE = 0x02
    ECHO = 0x03
    BOUND = 0x04
    PROBE = 0x05
    PROBE_REPLY = 0x06
    NACK = 0x07
    ORDER = 0x10
    GROUP = 0x11


UPWARD = frozenset({Type.KEEPALIVE, Type.ECHO, Type.PROBE, Type.NACK})
DOWNWARD = frozenset({Type.CHALLENGE, Type.BOUND, Type.PROBE_REPLY})
_UP, _DOWN = b"U", b"D"


class Datagram(NamedTuple):
    """A parsed channel datagram. `check` must have returned before anything in it is believed."""

    type: Type
    channel_id: bytes
    counter: int
    payload: bytes
    data: bytes

    def check(self, channel_secret: bytes) -> None:
        """AuthorityError unless the datagram carries this channel's MAC for its direction."""
        direction = _UP if self.type in UPWARD else _DOWN
        cut = len(self.data) - key_schedule.MAC_BYTES
        key_schedule.check_mac(channel_secret, direction + self.data[:cut], self.data[cut:])


def encode(type_: Type, channel_id: bytes, counter: int, payload: bytes, channel_secret: bytes) -> bytes:
    """A channel datagram with its MAC."""
    front = bytes((MAGIC, type_)) + channel_id + counter.to_bytes(8, "big") + payload
    return front + key_schedule.mac(channel_secret, (_UP if type_ in UPWARD else _DOWN) + front)


def is_channel(data: bytes) -> bool:
    """Whether a datagram is the channel's (and not RTP)."""
    return len(data) >= 2 and data[0] == MAGIC


def parse(data: bytes) -> Datagram:
    """The channel datagram in `data`; WireError when there is none (an ORDER is `parse_order`'s, a GROUP
    `group_wire.parse_beat`'s)."""
    if not OVERHEAD_BYTES <= len(data) <= MAX_DATAGRAM_BYTES or data[0] != MAGIC:
        raise WireError("no channel datagram")
    try:
        type_ = Type(data[1])
    except ValueError as error:
        raise WireError(f"channel datagram type {data[1]}") from error
    if type_ not in UPWARD and type_ not in DOWNWARD:
        raise WireError(f"{type_.name} where a channel datagram belongs")
    return Datagram(
        type_,
        data[2:10],
        int.from_bytes(data[10:18], "big"),
        data[HEADER_BYTES : len(data) - key_schedule.MAC_BYTES],
        data,
    )


def encode_order(bundle: bytes) -> bytes:
    """The ORDER datagram of a bundle; ValueError when it exceeds 1,200 bytes and must go by link."""
    if len(bundle) + 2 > MAX_DATAGRAM_BYTES:
        raise ValueError(f"an order of {len(bundle)} bytes does not fit a datagram")
    return bytes((MAGIC, Type.ORDER)) + bundle


def parse_order(data: bytes) -> bytes | None:
    """The order bundle in an ORDER datagram; None when `data` is no ORDER datagram."""
    if len(data) > 2 and data[0] == MAGIC and data[1] == Type.ORDER and len(data) <= MAX_DATAGRAM_BYTES:
        return data[2:]
    return None


def padded(payload: bytes) -> bytes:
    """`payload` filled with zeros to PADDED_BYTES."""
    return payload.ljust(PADDED_BYTES, b"\0")


@dataclass(frozen=True, slots=True)
class Probe:
    """An endpoint's question for the time: its own clock at sending, ns."""

    t1_ns: int

    def encode(self) -> bytes:
        """The payload."""
        return padded(self.t1_ns.to_bytes(8, "big", signed=True))

    @classmethod
    def decode(cls, payload: bytes) -> Probe:
        """The probe in a payload; WireError when there is none."""
        if len(payload) != PADDED_BYTES:
            raise WireError("a probe of another length")
        return cls(int.from_bytes(payload[:8], "big", signed=True))


@dataclass(frozen=True, slots=True)
class ProbeReply:
    """The server's answer: t1 as it came, and the origin time of receipt (t2) and of sending (t3), ns."""

    epoch: bytes
    t1_ns: int
    t2_ns: int
    t3_ns: int

    def encode(self) -> bytes:
        """The payload."""
        return self.epoch + b"".join(
            t.to_bytes(8, "big", signed=True) for t in (self.t1_ns, self.t2_ns, self.t3_ns)
        )

    @classmethod
    def decode(cls, payload: bytes) -> ProbeReply:
        """The reply in a payload; WireError when there is none."""
        if len(payload) != PADDED_BYTES:
            raise WireError("a probe reply of another length")
        t1, t2, t3 = (int.from_bytes(payload[at : at + 8], "big", signed=True) for at in (8, 16, 24))
        return cls(payload[:8], t1, t2, t3)


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets that an endpoint misses of one SSRC, by extended index."""

    ssrc: int
    indices: tuple[int, ...]

    def encode(self) -> bytes:
        """ssrc 4 | (base index 6 | mask 8)*: bit i of the mask is index base + i. See `split_nack` for bounds."""
        entries: list[tuple[int, int]] = []
        for index in sorted(set(self.indices)):
            if entries and index - entries[-1][0] < NACK_SPAN:
                base, mask = entries[-1]
                entries[-1] = (base, mask | 1 << (index - base))
            else:
                entries.append((index, 1))
        if not 1 <= len(entries) <= MAX_NACK_ENTRIES:
            raise ValueError(f"a NACK of {len(entries)} entries")
        return self.ssrc.to_bytes(4, "big") + b"".join(
            base.to_bytes(6, "big") + mask.to_bytes(8, "big") for base, mask in entries
        )

    @classmethod
    def decode(cls, payload: bytes) -> Nack:
        """The NACK in a payload, each index once and ascending; WireError when there is none."""
        count, rest = divmod(len(payload) - 4, 14)
        if rest or not 1 <= count <= MAX_NACK_ENTRIES:
            raise WireError("a NACK of another length")
        indices: set[int] = set()
        for at in range(4, len(payload), 14):
            base = int.from_bytes(payload[at : at + 6], "big")
            mask = int.from_bytes(payload[at + 6 : at + 14], "big")
            if base + mask.bit_length() > MAX_INDEX + 1:
                raise WireError("a NACK for an index beyond 48 bits")
            indices.update(base + i for i in range(NACK_SPAN) if mask >> i & 1)
        return cls(int.from_bytes(payload[:4], "big"), tuple(sorted(indices)))


def split_nack(ssrc: int, indices: Iterable[int]) -> list[Nack]:
    """NACKs that together name all `indices`, each within MAX_NACK_ENTRIES."""
    nacks: list[list[int]] = []
    bases: list[int] = []
    for index in sorted(set(indices)):
        if not bases or index - bases[-1] >= NACK_SPAN:
            if not nacks or len(bases) == MAX_NACK_ENTRIES:
                nacks.append([])
                bases = []
            bases.append(index)
        nacks[-1].append(index)
    return [Nack(ssrc, tuple(part)) for part in nacks]


class ReplayWindow:
    """Which counters of one direction have been seen: the newest 64 (the manner of RFC 4303 §3.4.3)."""

    SIZE = 64

    def __init__(self) -> None:
        self._newest = -1
        self._seen = 0

    def accept(self, counter: int) -> bool:
        """True for a counter never seen and not older than the window; it is seen from then on.

        Only for counters whose MAC held: any other could push the window beyond what will come.
        """
        if counter > self._newest:
            shift = min(counter - self._newest, self.SIZE)
            self._seen = (self._seen << shift | 1) & ((1 << self.SIZE) - 1)
            self._newest = counter
            return True
        age = self._newest - counter
        if age >= self.SIZE or self._seen >> age & 1:
            return False
        self._seen |= 1 << age
        return True
