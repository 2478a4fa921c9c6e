"""The multicast groups that there are, as the media process needs them: where they are sent to, and their beats.

Pure. Tables are made anew at each change and never changed, so the sender may use those of its batches for as long
as it has them.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable
from typing import NamedTuple

from loa.broadcast.air.address_table import AddressTable
from loa.broadcast.air.media_port import Address, GroupRoute
from loa.codecs.group_wire import BEAT_NS, encode_beat
from loa.codecs.multicast import group_host, is_ipv6, source_host
from loa.errors import WireError

MAX_GROUPS = 1_024


class GroupPath(NamedTuple):
    """What a socket must be like to send to a group; groups that want the same share one."""

    family: socket.AddressFamily
    ttl: int
    interface: str
    loop: bool
    source: str


GroupWays = tuple[tuple[GroupPath, AddressTable], ...]
"""Groups, by the sockets that send to them."""


def check_route(route: GroupRoute) -> None:
    """ValueError, saying why, for what is no group or no way to one."""
    try:
        group_host(route.host)
        if route.source and is_ipv6(source_host(route.source)) != is_ipv6(route.host):
            raise ValueError("a group and its source are of one family")
    except WireError as error:
        raise ValueError(str(error)) from error
    if not 1 <= route.port <= 0xFFFF or not 1 <= route.ttl <= 255:
        raise ValueError("a port or a time to live out of range")


def ways_to(routes: Iterable[GroupRoute]) -> GroupWays:
    """The ways to these groups."""
    ways: dict[GroupPath, list[Address]] = {}
    for route in routes:
        family = socket.AF_INET6 if is_ipv6(route.host) else socket.AF_INET
        path = GroupPath(family, route.ttl, route.interface, route.loop, route.source)
        ways.setdefault(path, []).append(route.address)
    return tuple((path, AddressTable.of(groups, path.family)) for path, groups in ways.items())


class GroupBook:
    """All groups in use. Each has a beat every BEAT_NS, by which endpoints know that the group reaches them."""

    def __init__(self, epoch: bytes) -> None:
        self._beat = encode_beat(epoch)
        self._routes: dict[Address, GroupRoute] = {}
        self._ways: GroupWays = ()
        self._due_ns: int | None = None

    def __len__(self) -> int:
        return len(self._routes)

    def use(self, routes: Collection[GroupRoute], now_ns: int) -> int:
        """These are all groups from now on; how many of them were refused. Their first beat is due at once."""
        self._routes = {}
        for route in routes:
            try:
                check_route(route)
            except ValueError:
                continue
            if len(self._routes) < MAX_GROUPS:
                self._routes.setdefault(route.address, route)
        self._ways = ways_to(self._routes.values())
        self._due_ns = now_ns if self._routes else None
        return len(routes) - len(self._routes)

    def ways(self, groups: Iterable[Address]) -> GroupWays:
        """The ways to those of `groups` that are in use."""
        return ways_to(self._routes[group] for group in groups if group in self._routes)

    def next_due_ns(self) -> int | None:
        """When the next beat is due; None while there is no group."""
        return self._due_ns

    def due(self, now_ns: int) -> tuple[bytes, GroupWays, int] | None:
        """The beat, where it goes and when it was due, if it is due."""
        due_ns = self._due_ns
        if due_ns is None or due_ns > now_ns:
            return None
        self._due_ns = due_ns + BEAT_NS * ((now_ns - due_ns) // BEAT_NS + 1)
        return self._beat, self._ways, due_ns
