"""GET /link: the WebSocket under the endpoint hub."""

from __future__ import annotations

import asyncio

from aiohttp import WSMsgType, web

from loa.codecs.link_wire import MAX_MESSAGE_BYTES, SUBPROTOCOL
from loa.control_api.places import place
from loa.control_api.problems import Problem
from loa.control_api.requests import at_core
from loa.errors import LinkError

HEARTBEAT_S = 15.0
CLOSE_TIMEOUT_S = 2.0
MAX_LINKS = 20_000
"""Sockets open at once, those in their handshake too."""


class SocketTransport:
    """`broadcast.air.hub.Transport` over a WebSocket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> bytes:
        """The next binary message."""
        message = await self._socket.receive()
        if message.type is WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is WSMsgType.TEXT:
            raise LinkError("malformed: a text message")
        if message.type is WSMsgType.ERROR or self._socket.close_code == 1009:
            raise LinkError("too_large: the message is too large or broken")
        raise LinkError("closed")

    async def send(self, message: bytes) -> None:
        """Send one binary message."""
        try:
            await self._socket.send_bytes(message)
        except (ConnectionError, RuntimeError) as error:
            raise LinkError("closed") from error

    async def close(self) -> None:
        """Close the socket; a peer that does not answer is left."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close()
        except (TimeoutError, ConnectionError, RuntimeError):
            return


async def link(request: web.Request) -> web.StreamResponse:
    """The WebSocket of the endpoints, subprotocol loa.link.v1 (docs/protocol.md, *Link*).

    Problem 400 `subprotocol`; 503 `busy` above MAX_LINKS.
    """
    socket = make_socket(request)
    with place(request, "links", MAX_LINKS):
        await socket.prepare(request)
        await at_core(request).hub.serve(SocketTransport(socket))
    return socket


def make_socket(request: web.Request) -> web.WebSocketResponse:
    """A socket for a link, not opened yet; Problem 400 `subprotocol`."""
    offered = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if SUBPROTOCOL not in offered:
        raise Problem(400, "subprotocol", f"offer the WebSocket subprotocol {SUBPROTOCOL}")
    return web.WebSocketResponse(
        protocols=(SUBPROTOCOL,),
        heartbeat=HEARTBEAT_S,
        max_msg_size=MAX_MESSAGE_BYTES,
        compress=False,
        timeout=CLOSE_TIMEOUT_S,
    )
