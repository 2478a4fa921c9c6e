"""GET /link: the WebSocket under the endpoint hub.

What is sent is written to the connection beside aiohttp's own writer, one whole frame in one write: frames of a
server are not masked, so the frame of a message is the same for all whom it goes to, and is made once.
"""

from __future__ import annotations

import asyncio
import struct
from functools import lru_cache
from socket import IPPROTO_TCP, TCP_NOTSENT_LOWAT

from aiohttp import WSMsgType, web

from loa.codecs.link_wire import MAX_MESSAGE_BYTES, SUBPROTOCOL
from loa.control_api.link_sweep import SWEEP
from loa.control_api.places import place
from loa.control_api.problems import Problem
from loa.control_api.requests import at_core
from loa.errors import LinkError

HEARTBEAT_S = 15.0
CLOSE_TIMEOUT_S = 2.0
NOTSENT_BYTES = 16 * 1024
"""What the kernel takes for a link beyond what is on its way: old sound must not pile up there (tcp(7))."""
MAX_LINKS = 20_000
"""Sockets open at once, those in their handshake too."""
CONTROL_PAUSE_S = 0.02
"""What follows a ping or a pong of an endpoint is read so much later: they are rare, or a flood."""
_FINAL = 0x80


def frame(opcode: WSMsgType, payload: bytes) -> bytes:
    """One unfragmented, unmasked WebSocket frame (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((_FINAL | opcode, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _FINAL | opcode, 126, size) + payload
    return struct.pack("!BBQ", _FINAL | opcode, 127, size) + payload


@lru_cache(maxsize=8)
def _binary(message: bytes) -> bytes:
    """The frame of a message, kept for a moment: the same message may go to thousands."""
    return frame(WSMsgType.BINARY, message)


_PING = frame(WSMsgType.PING, b"")


class SocketTransport:
    """`broadcast.air.session.Transport` over a WebSocket that has been prepared."""

    __slots__ = ("_connection", "_receiving", "_silent", "_socket")

    def __init__(self, socket: web.WebSocketResponse, connection: asyncio.Transport) -> None:
        """`connection`: what is under the socket."""
        self._socket = socket
        self._connection = connection
        self._silent = 0
        self._receiving = False

    async def receive(self) -> bytes:
        """The next binary message."""
        self._receiving = True
        try:
            while (message := await self._socket.receive()).type in (WSMsgType.PING, WSMsgType.PONG):
                self._silent = 0
                # Who does not take what it is sent is not sent more for the asking.
                if message.type is WSMsgType.PING and not self.unsent_bytes:
                    self._write(frame(WSMsgType.PONG, message.data))
                await asyncio.sleep(CONTROL_PAUSE_S)
        finally:
            self._receiving = False
        self._silent = 0
        if message.type is WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is WSMsgType.TEXT:
            raise LinkError("malformed: a text message")
        if message.type is WSMsgType.ERROR or self._socket.close_code == 1009:
            raise LinkError("too_large: the message is too large or broken")
        raise LinkError("closed")

    def send(self, message: bytes) -> None:
        """Send one binary message."""
        self._write(_binary(message))

    @property
    def unsent_bytes(self) -> int:
        """What waits in this process."""
        return self._connection.get_write_buffer_size()

    async def close(self) -> None:
        """Close the socket; a peer that does not answer, or takes nothing, is left."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close()
        except (TimeoutError, ConnectionError, RuntimeError):
            pass
        if self.unsent_bytes:
            self._connection.abort()
        if (error := self._socket.exception()) is not None:
            # Its traceback holds the socket, which holds it: all of the link would wait for a collection of cycles.
            error.__traceback__ = error.__context__ = None

    def sweep(self) -> None:
        """Called every SWEEP_S: one that has been silent for two of them is pinged, after four it is gone."""
        if not self._receiving:
            return
        self._silent += 1
        if self._silent == 2:
            self._connection.write(_PING)
        elif self._silent >= 4:
            self._connection.abort()

    def _write(self, data: bytes) -> None:
        if self._connection.is_closing():
            raise LinkError("closed")
        self._connection.write(data)


async def link(request: web.Request) -> web.StreamResponse:
    """The WebSocket of the endpoints, subprotocol loa.link.v1 (docs/protocol.md, *Link*).

    Problem 400 `subprotocol`; 503 `busy` above MAX_LINKS.
    """
    socket = make_socket(request, heartbeat_s=None)
    with place(request, "links", MAX_LINKS):
        await socket.prepare(request)
        if (connection := request.transport) is not None:
            if (bare := connection.get_extra_info("socket")) is not None:
                bare.setsockopt(IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES)
            transport = SocketTransport(socket, connection)
            with request.app[SWEEP].of(transport):
                await at_core(request).hub.serve(transport)
    return socket


def make_socket(request: web.Request, *, heartbeat_s: float | None = HEARTBEAT_S) -> web.WebSocketResponse:
    """A socket for a link, not opened yet; Problem 400 `subprotocol`.

    `heartbeat_s`: None leaves pings, and the answers to them, to whoever reads the socket.
    """
    offered = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if SUBPROTOCOL not in offered:
        raise Problem(400, "subprotocol", f"offer the WebSocket subprotocol {SUBPROTOCOL}")
    return web.WebSocketResponse(
        protocols=(SUBPROTOCOL,),
        heartbeat=heartbeat_s,
        autoping=heartbeat_s is not None,
        max_msg_size=MAX_MESSAGE_BYTES,
        compress=False,
        timeout=CLOSE_TIMEOUT_S,
    )
