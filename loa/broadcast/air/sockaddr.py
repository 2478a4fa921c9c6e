"""Addresses as the kernel reads them: `struct sockaddr_in6`, `sockaddr_in`."""

from __future__ import annotations

import socket
import struct
from functools import lru_cache

from loa.broadcast.air.media_port import Address

_MAPPED = b"\0" * 10 + b"\xff" * 2


def packed_bytes(family: socket.AddressFamily) -> int:
    """Size of a socket address of AF_INET6 (28) or AF_INET (16)."""
    return 28 if family == socket.AF_INET6 else 16


@lru_cache(maxsize=65_536)
def pack_address(family: socket.AddressFamily, address: Address) -> bytes:
    """`address` as `struct sockaddr_in6` (28 bytes; IPv4 as ::ffff:a.b.c.d) or, for AF_INET, `sockaddr_in` (16).

    A scope may follow an IPv6 host: `fe80::1%3`. ValueError for what is no numeric address of the family.
    """
    host, port = address
    if not 0 <= port <= 0xFFFF:
        raise ValueError(f"port {port}")
    try:
        if family == socket.AF_INET:
            head = struct.pack("=H", socket.AF_INET) + port.to_bytes(2, "big")
            return head + socket.inet_pton(socket.AF_INET, host) + bytes(8)
        host, _, scope = host.partition("%")
        raw = socket.inet_pton(socket.AF_INET6, host if ":" in host else "::ffff:" + host)
        head = struct.pack("=H", socket.AF_INET6) + port.to_bytes(2, "big")
        return head + bytes(4) + raw + struct.pack("=I", int(scope or 0))
    except (OSError, struct.error, ValueError) as error:
        raise ValueError(f"no numeric address: {address!r}") from error


@lru_cache(maxsize=65_536)
def unpack_address(packed: bytes) -> Address:
    """The inverse of `pack_address`: no mapping, the scope after a %. `packed`: 28 or 16 bytes of the kernel's."""
    port = int.from_bytes(packed[2:4], "big")
    if len(packed) == packed_bytes(socket.AF_INET):
        return socket.inet_ntop(socket.AF_INET, packed[4:8]), port
    raw = packed[8:24]
    if raw.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, raw[12:]), port
    (scope,) = struct.unpack("=I", packed[24:28])
    host = socket.inet_ntop(socket.AF_INET6, raw)
    return (f"{host}%{scope}" if scope else host), port
