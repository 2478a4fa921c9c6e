"""Where a request comes from: the other end of its connection, or whom a trusted proxy there names."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import cache

from aiohttp import web

from loa.config import Network, networks
from loa.control_api.services import SERVICES

_FORWARDED = "X-Forwarded-For"
_ADDRESS = web.RequestKey("address", str)


def address(request: web.Request) -> str:
    """The IP address of who asks, empty when there is none."""
    known: str | None = request.get(_ADDRESS)
    if known is None:
        trusted = _trusted(request.app[SERVICES].config.trusted_proxies)
        known = request[_ADDRESS] = named_by(request.remote or "", request.headers.getall(_FORWARDED, ()), trusted)
    return known


def named_by(peer: str, forwarded: Sequence[str], trusted: tuple[Network, ...]) -> str:
    """The address that the proxies name from which it came to `peer`; `forwarded`: lines of X-Forwarded-For.

    They are believed from the right on, as far as trusted proxies have written them: what a caller wrote there
    before that is not.
    """
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    while hops and _is_in(peer, trusted):
        named = hops.pop()
        if not _is_in(named, _EVERYWHERE):
            break
        peer = named
    return peer


def _is_in(text: str, within: tuple[Network, ...]) -> bool:
    """Whether it is an address, and in one of these networks."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in network for network in within)


_EVERYWHERE: tuple[Network, ...] = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
_trusted = cache(networks)
