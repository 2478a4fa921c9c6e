"""The endpoint's end of a link, as light as it can be: its own WebSocket, its own handshake, nothing verified."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import struct
from collections.abc import Callable
from typing import cast

from benchmarks.city import device_key, endpoint_id
from loa.codecs import key_schedule, link_wire, signed
from loa.codecs.key_schedule import Agreement, LinkKeys
from loa.codecs.link_wire import Hello, Proof, WelcomeMessage
from loa.codecs.signed import Kind
from loa.codecs.statement_wire import Welcome

_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: loa.link.v1\r\n\r\n"
)
_BINARY, _CLOSE, _PING, _PONG = 0x82, 0x88, 0x89, 0x8A


def masked(first: int, payload: bytes) -> bytes:
    """A client's frame (RFC 6455 §5.2) under the mask of zeros, which changes nothing."""
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size)) + bytes(4) + payload
    return struct.pack("!BBH", first, 0x80 | 126, size) + bytes(4) + payload


class LinkEnd(asyncio.Protocol):
    """One link.

    `on_up(end)`: it has had its secret, or, when `bare`, its socket. `on_message(end, message)`: one has come, from
    the secret on. `on_lost(end)`: the connection has ended.
    """

    __slots__ = (
        "_agreement",
        "_hello",
        "_nonce",
        "_on_lost",
        "_on_message",
        "_on_up",
        "_pending",
        "_upgrade",
        "bare",
        "channel_id",
        "counter",
        "deaf",
        "keys",
        "media_port",
        "number",
        "transport",
        "up",
    )

    def __init__(
        self,
        number: int,
        host: str,
        path: str,
        *,
        on_up: Callable[[LinkEnd], None],
        on_message: Callable[[LinkEnd, memoryview], None],
        on_lost: Callable[[LinkEnd], None],
        bare: bool = False,
    ) -> None:
        self.number = number
        self.bare = bare
        self.up = False
        self.deaf = False
        """What comes is thrown away unread."""
        self.transport: asyncio.Transport | None = None
        self.keys: LinkKeys | None = None
        self.channel_id = b""
        self.counter = 0
        self.media_port = 0
        self._upgrade = _UPGRADE.format(host=host, path=path).encode()
        self._on_up, self._on_message, self._on_lost = on_up, on_message, on_lost
        self._pending = b""
        self._nonce = b""
        self._hello = b""
        self._agreement: Agreement | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._upgrade)

    def connection_lost(self, error: Exception | None) -> None:
        self.up = False
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        if self._upgrade:
            self._pending += data
            head, mark, rest = self._pending.partition(b"\r\n\r\n")
            if not mark:
                return
            self._upgrade, self._pending = b"", b""
            if not head.startswith(b"HTTP/1.1 101"):
                self.abort()
                return
            self._begin()
            data = rest
        if self._pending:
            data = self._pending + data
        at, end = 0, len(data)
        view = memoryview(data)
        while end - at >= 2:
            size, head_bytes = data[at + 1], 2
            if size == 126:
                if end - at < 4:
                    break
                size, head_bytes = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif size == 127:
                if end - at < 10:
                    break
                size, head_bytes = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            if end - at < head_bytes + size:
                break
            self._frame(data[at], view[at + head_bytes : at + head_bytes + size])
            at += head_bytes + size
        self._pending = data[at:]

    def send(self, message: bytes) -> None:
        """Send a message, if the connection is there."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(masked(_BINARY, message))

    def abort(self) -> None:
        """Go without a goodbye."""
        if self.transport is not None:
            self.transport.abort()

    def _begin(self) -> None:
        if self.bare:
            self._rise()
            return
        self._agreement, self._nonce = Agreement(), secrets.token_bytes(32)
        self._hello = link_wire.encode(
            Hello(endpoint_id(self.number), self._nonce, self._agreement.public, 0, "crowd")
        )
        self.send(self._hello)

    def _rise(self) -> None:
        self.up = True
        self._on_up(self)

    def _frame(self, first: int, payload: memoryview) -> None:
        if first == _PING and self.transport is not None:
            self.transport.write(masked(_PONG, bytes(payload)))
        elif first == _CLOSE:
            self.abort()
        elif first == _BINARY and self.keys is None and not self.bare:
            self._welcome(bytes(payload))
        elif first == _BINARY:
            if not self.up and payload[2] == link_wire.SecretMessage.TYPE:
                self._rise()
            self._on_message(self, payload)

    def _welcome(self, data: bytes) -> None:
        message = link_wire.decode(data)
        if not isinstance(message, WelcomeMessage) or self._agreement is None:
            self.abort()  # a bye
            return
        welcome = Welcome.decode(signed.parse(message.welcome, Kind.WELCOME).body)
        assert welcome.hello_hash == hashlib.sha256(self._hello).digest()
        proof = device_key(self.number).sign(key_schedule.proof_message(self._hello, message.welcome))
        self.send(link_wire.encode(Proof(proof)))
        self.keys = self._agreement.keys(
            welcome.agreement_public,
            nonce_c=self._nonce,
            nonce_s=welcome.nonce_s,
            endpoint_id=endpoint_id(self.number),
        )
        self.channel_id, self.media_port = welcome.channel_id, welcome.media_port
        self._agreement, self._hello, self._nonce = None, b"", b""
