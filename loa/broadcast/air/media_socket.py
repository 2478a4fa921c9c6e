"""The one UDP socket of the media process.

It is a dual-stack IPv6 socket, so that endpoints of both families share one port, one address table and one
`sendmmsg` batch; IPv4 addresses are mapped, which costs nothing that could be measured. A kernel without IPv6 gets
an IPv4 socket.

Datagrams are never fragmented, as QUIC's are not (RFC 9000 §14): what is sent fits 1,280 bytes, and fragments do
not pass every NAT. A datagram that cannot be fragmented needs no identification either, and to find one takes Linux
a fifth of the time of a whole `sendmmsg`.
"""

from __future__ import annotations

import socket

from loa.broadcast.air.air_counters import Values
from loa.broadcast.air.media_port import Address
from loa.errors import ConfigError

BUFFER_BYTES = 4 << 20
DSCP_EF = 46
"""Expedited Forwarding (RFC 3246), what RFC 4594 recommends for speech."""
_MAPPED = "::ffff:"
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33  # linux/socket.h; the module does not name them
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE = 10, 23, 3  # linux/in.h, in6.h


def open_media_socket(host: str, port: int, counters: Values) -> socket.socket:
    """A non-blocking socket bound to a numeric `host` (`::` or empty: all of both families) and `port`.

    What the kernel does not grant (buffers, marking) is told in `counters`. ConfigError when it cannot be bound.
    """
    host = host or "::"
    try:
        try:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        except OSError:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            host = "0.0.0.0" if host == "::" else host
        try:
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                sock.bind((host if ":" in host else _MAPPED + host, port))
            else:
                sock.bind((host, port))
        except BaseException:
            sock.close()
            raise
    except (OSError, OverflowError) as error:
        raise ConfigError(f"the media socket cannot be bound to {host!r} port {port}: {error}") from error
    sock.setblocking(False)
    granted = enlarge(sock)
    counters["receive_buffer_bytes"], counters["send_buffer_bytes"] = granted
    if min(granted) < BUFFER_BYTES:
        counters["buffers_small"] = 1
    _mark(sock, counters)
    _keep_whole(sock)
    return sock


def plain_address(name: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    """What a socket calls an address, as the rest of the program does: no mapping, the scope after a %."""
    host = name[0]
    if host.startswith(_MAPPED):
        return host[len(_MAPPED) :], name[1]
    if len(name) == 4 and name[3] and "%" not in host:
        return f"{host}%{name[3]}", name[1]
    return host, name[1]


def enlarge(sock: socket.socket) -> tuple[int, int]:
    """Ask for buffers of BUFFER_BYTES each way; what the kernel grants for receiving and for sending."""
    granted: list[int] = []
    for usual, forced in ((socket.SO_RCVBUF, _SO_RCVBUFFORCE), (socket.SO_SNDBUF, _SO_SNDBUFFORCE)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, usual, BUFFER_BYTES)
        granted.append(sock.getsockopt(socket.SOL_SOCKET, usual) // 2)  # Linux doubles it for its book-keeping
    return granted[0], granted[1]


def _mark(sock: socket.socket, counters: Values) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, DSCP_EF << 2)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, DSCP_EF << 2)
    except OSError:
        counters["dscp_unset"] = 1


def _keep_whole(sock: socket.socket) -> None:
    """Set Don't Fragment, whatever an ICMP message that anybody can forge says of the path."""
    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
