"""Multicast groups on the wire: what the link says of them, and what they say of themselves.

Message types 8 and 9 of the link, and the GROUP datagram (docs/protocol.md, *Groups*).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from loa.codecs.canonical import Fields, Value
from loa.codecs.channel_wire import MAGIC, Type
from loa.codecs.multicast import MAX_HOST_CHARS, group_host, source_host
from loa.codecs.order_wire import EPOCH_BYTES
from loa.errors import WireError

MAX_SERIAL = 0xFFFF_FFFF
BEAT_NS = 2_000_000_000
"""A group says that it is there so often."""


@dataclass(frozen=True, slots=True)
class GroupMessage:
    """Server → endpoint: the group of the endpoint's area, from now on; an empty `host`: there is none.

    `serial` counts the messages of one link. `source`: the numeric host that the group's datagrams come from;
    empty: the address of the endpoint's channel.
    """

    TYPE: ClassVar[int] = 8
    serial: int
    host: str = ""
    port: int = 0
    source: str = ""

    def _value(self) -> dict[int, Value]:
        return {1: self.serial, 2: self.host, 3: self.port, 4: self.source}

    @classmethod
    def _from(cls, f: Fields) -> GroupMessage:
        made = cls(
            serial=f.uint(1, most=MAX_SERIAL),
            host=f.text(2, most=MAX_HOST_CHARS),
            port=f.uint(3, most=0xFFFF),
            source=f.text(4, most=MAX_HOST_CHARS),
        )
        if not made.host and (made.port or made.source):
            raise WireError("group: a port or a source of no group")
        if made.host and (group_host(made.host) != made.host or not made.port):
            raise WireError("group: an address in another form, or without a port")
        if made.source and source_host(made.source) != made.source:
            raise WireError("group: a source in another form")
        return made


@dataclass(frozen=True, slots=True)
class Hearing:
    """Endpoint → server: whether it hears the group of GroupMessage `serial`."""

    TYPE: ClassVar[int] = 9
    serial: int
    hearing: bool

    def _value(self) -> dict[int, Value]:
        return {1: self.serial, 2: int(self.hearing)}

    @classmethod
    def _from(cls, f: Fields) -> Hearing:
        return cls(f.uint(1, most=MAX_SERIAL), bool(f.uint(2, most=1)))


def encode_beat(epoch: bytes) -> bytes:
    """The GROUP datagram: it says that the group reaches whoever hears it, and nothing else."""
    return bytes((MAGIC, Type.GROUP)) + epoch


def parse_beat(data: bytes) -> bytes | None:
    """The epoch in a GROUP datagram; None when `data` is no GROUP datagram."""
    if len(data) == 2 + EPOCH_BYTES and data[0] == MAGIC and data[1] == Type.GROUP:
        return data[2:]
    return None
