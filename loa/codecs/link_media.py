"""Link messages for endpoints that no datagram reaches: door, time, sound (docs/protocol.md, *Media by link*)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from loa.codecs.canonical import Fields, Value
from loa.codecs.order_wire import EPOCH_BYTES
from loa.errors import WireError

MAX_PACKETS = 64
MAX_PACKET_BYTES = 1_500
_TIME = 1 << 63


@dataclass(frozen=True, slots=True)
class DoorMessage:
    """Endpoint → server: send me sound by link, or by datagrams again. A new link begins with datagrams."""

    TYPE: ClassVar[int] = 4
    by_link: bool

    def _value(self) -> dict[int, Value]:
        return {1: int(self.by_link)}

    @classmethod
    def _from(cls, f: Fields) -> DoorMessage:
        return cls(bool(f.uint(1, most=1)))


@dataclass(frozen=True, slots=True)
class MediaMessage:
    """Server → endpoint: 1 to 64 packets of sound and signed blocks, the same bytes as datagrams, in order."""

    TYPE: ClassVar[int] = 14
    packets: tuple[bytes, ...]

    def _value(self) -> dict[int, Value]:
        return {1: list(self.packets)}

    @classmethod
    def _from(cls, f: Fields) -> MediaMessage:
        values = f.array(1, most=MAX_PACKETS)
        packets = tuple(each for each in values if isinstance(each, bytes) and len(each) <= MAX_PACKET_BYTES)
        if not packets or len(packets) < len(values):
            raise WireError("media: no packets, or one that is none")
        return cls(packets)


@dataclass(frozen=True, slots=True)
class ClockProbe:
    """Endpoint → server: what time is it? `t1_ns`: the endpoint's monotonic clock at sending."""

    TYPE: ClassVar[int] = 15
    t1_ns: int

    def _value(self) -> dict[int, Value]:
        return {1: self.t1_ns}

    @classmethod
    def _from(cls, f: Fields) -> ClockProbe:
        return cls(_time(f, 1))


@dataclass(frozen=True, slots=True)
class ClockReply:
    """Server → endpoint: the probe's `t1_ns`, and the origin time at its receipt and at sending this."""

    TYPE: ClassVar[int] = 16
    epoch: bytes
    t1_ns: int
    t2_ns: int
    t3_ns: int

    def _value(self) -> dict[int, Value]:
        return {1: self.epoch, 2: self.t1_ns, 3: self.t2_ns, 4: self.t3_ns}

    @classmethod
    def _from(cls, f: Fields) -> ClockReply:
        return cls(f.octets(1, size=EPOCH_BYTES), _time(f, 2), _time(f, 3), _time(f, 4))


def _time(f: Fields, key: int) -> int:
    return f.uint(key, least=-_TIME, most=_TIME - 1)
