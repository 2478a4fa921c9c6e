"""Answers to endpoints, each another packet to another address, with one `sendmmsg` for many of them."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import numpy as np

from loa.broadcast.air.address_table import IOVEC, Names, headers_for
from loa.broadcast.air.sockaddr import packed_bytes
from loa.broadcast.air.transmit import Call, Outcome, sendmmsg, transmit

MAX_REPLIES = 1_024
"""What is handed to the kernel at once."""


class ReplyBatch:
    """Sends answers from one UDP socket. For one thread."""

    def __init__(self, sock: socket.socket, call: Call = sendmmsg) -> None:
        """`sock`: non-blocking."""
        self._fd = sock.fileno()
        self._call = call
        self._stride = packed_bytes(sock.family)
        self._names: Names = np.zeros((MAX_REPLIES, self._stride), np.uint8)
        self._iovecs = np.zeros(MAX_REPLIES, IOVEC)
        self._headers = headers_for(self._names)
        self._headers["header"]["iov"] = self._iovecs.ctypes.data + np.arange(MAX_REPLIES) * IOVEC.itemsize

    def send(self, replies: Sequence[tuple[bytes, bytes]], patience_ns: int) -> Outcome:
        """Send each packet to its packed address. They wait `patience_ns` in all for room."""
        outcome = Outcome()
        for at in range(0, len(replies), MAX_REPLIES):
            some = replies[at : at + MAX_REPLIES]
            text = np.frombuffer(b"".join(packet for packet, _ in some), np.uint8)
            sizes = np.fromiter((len(packet) for packet, _ in some), np.uintp, len(some))
            names = np.frombuffer(b"".join(name for _, name in some), np.uint8)
            self._names[: len(some)] = names.reshape(-1, self._stride)
            self._iovecs["size"][: len(some)] = sizes
            self._iovecs["base"][: len(some)] = text.ctypes.data + np.cumsum(sizes) - sizes
            part = transmit(
                self._fd,
                self._headers.ctypes.data,
                0,
                len(some),
                self._call,
                patience_ns - outcome.waited_ns,
            )
            outcome.add(part)
        return outcome
