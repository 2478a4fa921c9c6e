"""Commands and events as bytes, for the socket pair between control and the media process.

    length 4 | msgpack [tag, field, field, …]

Both ends are one program of one version, so the tag is a place in the list below and fields stand in the order of
their dataclass.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import fields

import msgpack

from loa.broadcast.air import media_port
from loa.broadcast.air.media_port import Command, Event
from loa.errors import WireError

MAX_MESSAGE_BYTES = 4 << 20
_LENGTH = struct.Struct("!I")

_COMMANDS: tuple[type[Command], ...] = (
    media_port.AddChannel,
    media_port.DropChannel,
    media_port.StartAir,
    media_port.Audience,
    media_port.UseGroups,
    media_port.Groups,
    media_port.UsePlain,
    media_port.Carry,
    media_port.Frames,
    media_port.StopAir,
    media_port.Tap,
    media_port.SendOrder,
    media_port.SettleOrder,
    media_port.AskCounters,
    media_port.Shutdown,
)
_EVENTS: tuple[type[Event], ...] = (
    media_port.Ready,
    media_port.ChannelBound,
    media_port.ChannelUnbound,
    media_port.ChannelLoud,
    media_port.AirProgress,
    media_port.AirEnded,
    media_port.Tapped,
    media_port.Counters,
)
_TYPES: tuple[type[Command] | type[Event], ...] = _COMMANDS + _EVENTS
_NAMES = tuple(tuple(each.name for each in fields(type_)) for type_ in _TYPES)
_TAGS = {type_: tag for tag, type_ in enumerate(_TYPES)}


def encode(message: Command | Event) -> bytes:
    """The message with its length. ValueError above MAX_MESSAGE_BYTES."""
    tag = _TAGS[type(message)]
    body: bytes = msgpack.packb([tag, *(getattr(message, name) for name in _NAMES[tag])])
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a {type(message).__name__} of {len(body)} bytes")
    return _LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Command | Event:
    """The message without its length; WireError when there is none."""
    try:
        value = msgpack.unpackb(body, use_list=False)
    except (ValueError, msgpack.UnpackException) as error:
        raise WireError("a message that is no msgpack") from error
    if not isinstance(value, tuple) or not value or not isinstance(value[0], int):
        raise WireError("a message without a tag")
    tag, *rest = value
    if not 0 <= tag < len(_TYPES) or len(rest) != len(_NAMES[tag]):
        raise WireError(f"a message with tag {tag} and {len(rest)} fields")
    return _TYPES[tag](*rest)


class MessageStream:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Command | Event]:
        """The messages that `data` completes; WireError for a length out of range."""
        self._pending += data
        while len(self._pending) >= _LENGTH.size:
            size = _LENGTH.unpack_from(self._pending)[0]
            if size > MAX_MESSAGE_BYTES:
                raise WireError(f"a message of {size} bytes")
            if len(self._pending) < _LENGTH.size + size:
                return
            body = bytes(self._pending[_LENGTH.size : _LENGTH.size + size])
            del self._pending[: _LENGTH.size + size]
            yield decode(body)
