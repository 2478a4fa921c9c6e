"""A socket in a multicast group, for what one source sends to it (IGMPv3, MLDv2; RFC 3678)."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from loa.edge.speaker.group_ear import Membership

SOCKET_BUFFER_BYTES = 1 << 20
# linux/in.h, linux/in6.h; the module does not name them
_IP_ADD_SOURCE_MEMBERSHIP, _IP_MULTICAST_ALL = 39, 49
_MCAST_JOIN_SOURCE_GROUP, _IPV6_MULTICAST_ALL = 46, 29
_STORAGE_BYTES = 128  # of a struct sockaddr_storage
_IF_INET6 = Path("/proc/net/if_inet6")


def join_group(membership: Membership) -> socket.socket:
    """A non-blocking socket that gets what the source sends to the group, and nothing else; OSError.

    The group is joined on the interface by which the source is reached.
    """
    host, port, source = membership
    ipv6 = ":" in host
    sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        # Several speakers of one machine may be in one group.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        sock.bind((host, port))
        local = _local_host(sock.family, source)
        if ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
            request = struct.pack("@I4x", _interface_of(local)) + _storage(host) + _storage(source)
            sock.setsockopt(socket.IPPROTO_IPV6, _MCAST_JOIN_SOURCE_GROUP, request)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            request = b"".join(map(socket.inet_aton, (host, local, source)))
            sock.setsockopt(socket.IPPROTO_IP, _IP_ADD_SOURCE_MEMBERSHIP, request)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _local_host(family: int, source: str) -> str:
    """The address that this machine has towards the source. Nothing is sent."""
    with socket.socket(family, socket.SOCK_DGRAM) as towards:
        towards.connect((source, 9))
        return str(towards.getsockname()[0])


def _interface_of(local: str) -> int:
    """The number of the interface that has an IPv6 address; 0, the system's choice, when none is found."""
    wanted = socket.inet_pton(socket.AF_INET6, local).hex()
    for line in _IF_INET6.read_text(encoding="ascii").splitlines():
        address, index, *_ = line.split()
        if address == wanted:
            return int(index, 16)
    return 0


def _storage(host: str) -> bytes:
    address = struct.pack("@HHI", socket.AF_INET6, 0, 0) + socket.inet_pton(socket.AF_INET6, host) + bytes(4)
    return address.ljust(_STORAGE_BYTES, b"\0")
