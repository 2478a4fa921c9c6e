"""A WebSocket client's bytes (RFC 6455): the upgrade, and frames both ways. Pure.

A generator of ten thousand links cannot afford a task and a stream for each: this is what is left of a client when
somebody else has the sockets. No extension is offered, so no frame may use one.
"""

from __future__ import annotations

import base64
import hashlib
from enum import IntEnum
from typing import NamedTuple

from loa.errors import WireError

MAX_HEAD_BYTES = 8_192
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_CONTROL_BYTES = 125


class Opcode(IntEnum):
    """What a frame is (RFC 6455 §5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Frame(NamedTuple):
    """A whole message, or a control frame."""

    opcode: Opcode
    payload: bytes


def upgrade_request(host: str, path: str, nonce: bytes, protocol: str) -> bytes:
    """The opening request (RFC 6455 §4.1). `nonce`: 16 random bytes."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(nonce).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {protocol}",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii")


def check_upgrade(head: bytes, nonce: bytes, protocol: str) -> None:
    """WireError unless `head`, up to its empty line, accepts the upgrade that `nonce` asked for."""
    status, *lines = head.decode("latin-1").split("\r\n")
    version, _, answer = status.partition(" ")
    if not version.startswith("HTTP/1.1") or not answer.startswith("101"):
        raise WireError(f"the server answers {answer[:80] or status[:80]!r}")
    fields = {
        name.strip().lower(): value.strip()
        for name, found, value in (line.partition(":") for line in lines)
        if found
    }
    accept = base64.b64encode(hashlib.sha1(base64.b64encode(nonce) + _GUID).digest()).decode()
    if fields.get("sec-websocket-accept") != accept or fields.get("upgrade", "").lower() != "websocket":
        raise WireError("the server answers another upgrade than was asked for")
    if fields.get("sec-websocket-protocol") != protocol:
        raise WireError(f"the server does not speak {protocol}")
    if "sec-websocket-extensions" in fields:
        raise WireError("the server uses an extension that was not offered")


def encode_frame(opcode: Opcode, payload: bytes, mask: bytes) -> bytes:
    """One frame from the client, whole. `mask`: 4 random bytes."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    repeated = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + masked.to_bytes(size, "big")


_OPCODES = {int(opcode): opcode for opcode in Opcode}


class FrameReader:
    """The server's frames out of its bytes, fragments put together."""

    def __init__(self, max_message_bytes: int) -> None:
        self._max = max_message_bytes
        self._rest = b""
        """The beginning of a frame that is not whole."""
        self._parts: list[bytes] = []
        self._kind: Opcode | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now; WireError for what no server may send, or for a message too large."""
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        at = 0
        while (raw := self._take(data, at)) is not None:
            final, opcode, start, at = raw
            payload = data[start:at]
            if opcode >= Opcode.CLOSE:
                if not final or len(payload) > _MAX_CONTROL_BYTES:
                    raise WireError("a control frame in parts or too long")
                frames.append(Frame(opcode, payload))
                continue
            if (opcode is Opcode.CONTINUATION) is (self._kind is None):
                raise WireError("fragments out of order")
            if final and self._kind is None:
                frames.append(Frame(opcode, payload))
                continue
            self._kind = self._kind or opcode
            self._parts.append(payload)
            if sum(map(len, self._parts)) > self._max or len(self._parts) > 1024:
                raise WireError("a message too large")
            if final:
                frames.append(Frame(self._kind, b"".join(self._parts)))
                self._parts, self._kind = [], None
        self._rest = data[at:]
        return frames

    def _take(self, data: bytes, at: int) -> tuple[bool, Opcode, int, int] | None:
        """The frame at `at`: whether it is final, what it is, where its payload begins and ends; None while it is
        not whole."""
        have = len(data) - at
        if have < 2:
            return None
        first, size = data[at], data[at + 1]
        if first & 0x70 or size & 0x80:
            raise WireError("reserved bits, or a masked frame from the server")
        opcode = _OPCODES.get(first & 0x0F)
        if opcode is None:
            raise WireError(f"WebSocket opcode {first & 0x0F}")
        head = 2
        if size >= 126:
            head = 4 if size == 126 else 10
            if have < head:
                return None
            size = int.from_bytes(data[at + 2 : at + head], "big")
        if size > self._max:
            raise WireError(f"a frame of {size} bytes")
        if have < head + size:
            return None
        return bool(first & 0x80), opcode, at + head, at + head + size
