"""The sockets that send to multicast groups: one for each time to live, interface and source that is wanted.

Apart from the media socket, whose options are those of unicast. Nothing is read from them.
"""

from __future__ import annotations

import socket
import struct
import time

from loa.broadcast.air.air_counters import Values
from loa.broadcast.air.group_book import GroupPath, GroupWays, ways_to
from loa.broadcast.air.media_port import GroupRoute
from loa.broadcast.air.media_socket import DSCP_EF
from loa.broadcast.air.transmit import transmit

MAX_SOCKETS = 64
PATIENCE_NS = 2_000_000
"""How long a packet waits for room in a socket's send buffer: those who listen by unicast wait with it."""
RETRY_NS = 5_000_000_000
"""A socket that could not be opened, or to whose groups something could not be sent, is opened anew after this:
its interface may have come, or come back under another number."""


def open_group_socket(path: GroupPath) -> socket.socket:
    """A non-blocking socket that sends as `path` says, marked Expedited Forwarding; OSError."""
    index = socket.if_nametoindex(path.interface) if path.interface else 0
    sock = socket.socket(path.family, socket.SOCK_DGRAM)
    try:
        if path.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, path.ttl)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, path.loop)
            if index:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, DSCP_EF << 2)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, path.ttl)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, path.loop)
            if index:
                by_index = struct.pack("=4s4si", bytes(4), bytes(4), index)  # struct ip_mreqn
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, by_index)
            elif path.source:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(path.source))
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, DSCP_EF << 2)
        if path.source:
            sock.bind((path.source, 0))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def source_of(route: GroupRoute) -> str:
    """The numeric address that datagrams to the group come from; OSError while there is no way to it."""
    ((path, _),) = ways_to([route])
    with open_group_socket(path) as sock:
        sock.connect(route.address)  # nothing is sent
        return str(sock.getsockname()[0])


class GroupSockets:
    """Sends to groups. For one thread. What cannot be sent is counted and troubles nobody else."""

    def __init__(self, counters: Values) -> None:
        self._counters = counters
        self._open: dict[GroupPath, socket.socket] = {}
        self._tried_ns: dict[GroupPath, int] = {}

    def send(self, packet: bytes, ways: GroupWays) -> None:
        """Send a packet once to each group."""
        for path, table in ways:
            sent, sock = 0, self._socket(path)
            if sock is not None:
                table.aim(packet)
                sent = transmit(sock.fileno(), table.headers_at, 0, len(table), patience_ns=PATIENCE_NS).sent
            self._counters["group_packets_sent"] += sent
            if sent < len(table):
                self._counters["group_send_refused"] += len(table) - sent
                self._doubt(path)

    def close(self) -> None:
        """Close all sockets."""
        for sock in self._open.values():
            sock.close()
        self._open.clear()

    def _socket(self, path: GroupPath) -> socket.socket | None:
        known = self._open.get(path)
        if known is not None:
            return known
        now_ns = time.monotonic_ns()
        if now_ns - self._tried_ns.get(path, now_ns - RETRY_NS) < RETRY_NS:
            return None
        while len(self._tried_ns) >= MAX_SOCKETS:
            oldest = next(iter(self._tried_ns))
            del self._tried_ns[oldest]
            if oldest in self._open:
                self._open.pop(oldest).close()
        self._tried_ns[path] = now_ns
        try:
            self._open[path] = open_group_socket(path)
        except (OSError, ValueError):
            self._counters["group_sockets_refused"] += 1
            return None
        return self._open[path]

    def _doubt(self, path: GroupPath) -> None:
        if path in self._open and time.monotonic_ns() - self._tried_ns[path] >= RETRY_NS:
            self._open.pop(path).close()
