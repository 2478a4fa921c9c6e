"""A link's socket without a task of its own: the event loop calls, and the endpoint answers."""

from __future__ import annotations

import asyncio
import secrets
from typing import Protocol, cast

from loa.app.load.websocket import (
    MAX_HEAD_BYTES,
    FrameReader,
    Opcode,
    check_upgrade,
    encode_frame,
    upgrade_request,
)
from loa.codecs import link_wire
from loa.errors import WireError

MAX_WAITING_BYTES = 1 << 20
"""Bytes that the core does not take; then the link is given up."""
_END_OF_HEAD = b"\r\n\r\n"


class LinkOwner(Protocol):
    """Whose link it is."""

    def link_open(self, link: Link) -> None:
        """The upgrade was granted: messages may be sent."""

    def link_message(self, link: Link, data: bytes) -> None:
        """A binary message came."""

    def link_lost(self, link: Link, reason: str) -> None:
        """The link is over; called once."""


class Link(asyncio.Protocol):
    """One WebSocket, subprotocol loa.link.v1, from its upgrade to its end."""

    def __init__(self, host: str, path: str, owner: LinkOwner) -> None:
        self._request = host, path
        self._owner = owner
        self._nonce = secrets.token_bytes(16)
        self._head = b""
        self._reader: FrameReader | None = None
        self._transport: asyncio.Transport | None = None
        self._reason = "the connection ended"
        self.deaf = False
        """What comes is thrown away unread."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(upgrade_request(*self._request, self._nonce, link_wire.SUBPROTOCOL))

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.deaf:
            return
        try:
            if self._reader is None:
                self._head += data
                head, found, data = self._head.partition(_END_OF_HEAD)
                if len(head) > MAX_HEAD_BYTES:
                    raise WireError("a head too long")
                if not found:
                    return
                self._head = b""
                check_upgrade(head, self._nonce, link_wire.SUBPROTOCOL)
                self._reader = FrameReader(link_wire.MAX_MESSAGE_BYTES)
                self._owner.link_open(self)
            for opcode, payload in self._reader.feed(data):
                if opcode is Opcode.BINARY:
                    self._owner.link_message(self, payload)
                elif opcode is Opcode.PING:
                    self._frame(Opcode.PONG, payload)
                elif opcode is Opcode.CLOSE:
                    self.close()
                elif opcode is Opcode.TEXT:
                    raise WireError("a text message")
        except WireError as error:
            self.abort(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        reason = f"{type(exc).__name__}: {exc}" if exc is not None else self._reason
        self._owner.link_lost(self, reason)

    def send(self, message: bytes) -> None:
        """Send one binary message. Nothing is sent once the link is over."""
        self._frame(Opcode.BINARY, message)

    def close(self) -> None:
        """End in good order."""
        self._frame(Opcode.CLOSE, (1000).to_bytes(2, "big"))
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """End at once."""
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    def _frame(self, opcode: Opcode, payload: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            self.abort("the core does not read")
            return
        self._transport.write(encode_frame(opcode, payload, secrets.token_bytes(4)))
