"""A connection out of the hands of its server: who only listens needs nobody who reads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

SEND_BUFFER_BYTES = 64 * 1024
"""What the kernel holds for a listener, beside the backlog; Linux doubles it for its own book-keeping."""
RECEIVE_BUFFER_BYTES = 4 * 1024
"""Nothing more is read: what a listener still says fills no memory."""


def take_over(transport: asyncio.Transport) -> int | None:
    """The connection's own non-blocking descriptor; what was its transport is closed without a word.

    None where that cannot be, and nothing has changed: under TLS, or while the transport has something to send.
    """
    bare = transport.get_extra_info("socket")
    secured = transport.get_extra_info("ssl_object") is not None
    if secured or bare is None or transport.is_closing() or transport.get_write_buffer_size():
        return None
    try:
        fd = os.dup(bare.fileno())
    except OSError:
        return None  # out of descriptors: it goes on as it is
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    with contextlib.suppress(OSError):  # it may have gone already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        # Pages that wait for the word that the last one has arrived go together: half the work at 20 ms a page.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    transport.abort()
    return sock.detach()
