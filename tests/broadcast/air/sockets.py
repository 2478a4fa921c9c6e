"""Real UDP sockets of endpoints."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def endpoint(stack: ExitStack, host: str) -> socket.socket:
    """A socket at a port of its own on `host`, of either family; it is closed with the stack."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
    sock.bind((host, 0))
    sock.settimeout(10)
    return sock
