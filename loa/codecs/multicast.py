"""Multicast addresses that may carry sound, and where their sessions are announced. No I/O."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

from loa.errors import WireError

MAX_HOST_CHARS = 39
"""The longest text of an IPv6 address without a scope."""
SAP_PORT = 9875

_ORGANIZATION = IPv4Network("239.192.0.0/14")
_ADMINISTRATIVE = IPv4Network("239.0.0.0/8")
_SOURCE_SPECIFIC = IPv4Network("232.0.0.0/8")
_RESERVED = IPv4Network("232.0.0.0/24")
_SAP_ADDRESSES = frozenset(map(IPv4Address, ("239.255.255.255", "239.195.255.255", "224.2.127.254")))
_SCOPES = frozenset((0x3, 0x4, 0x5, 0x8, 0xE))  # realm, admin, site, organization, global: RFC 7346 §2
_FLAGS = frozenset((0x1, 0x3))  # transient; transient by unicast prefix, which source-specific ones are


def group_host(text: str) -> str:
    """The usual text of a numeric address that may be a group; WireError, saying why, for any other.

    IPv4: administratively scoped (RFC 2365, 239/8) or source-specific (RFC 4607, 232/8 but 232.0.0/24). IPv6:
    transient, ff1x:: or ff3x:: (RFC 4291 §2.7, RFC 3306), beyond one link.
    """
    address = _address(text)
    if not address.is_multicast:
        raise WireError(f"{address} is no multicast address")
    if isinstance(address, IPv4Address):
        if address in _RESERVED or address in _SAP_ADDRESSES:
            raise WireError(f"{address} is reserved")
        if address not in _ADMINISTRATIVE and address not in _SOURCE_SPECIFIC:
            raise WireError(f"{address} is neither in 239.0.0.0/8 nor in 232.0.0.0/8")
    else:
        flags, scope = address.packed[1] >> 4, address.packed[1] & 0xF
        if flags not in _FLAGS or scope not in _SCOPES:
            raise WireError(f"{address} is no ff1x:: or ff3x:: of scope 3, 4, 5, 8 or e")
    return str(address)


def source_host(text: str) -> str:
    """The usual text of a numeric address that may send to a group; WireError for any other."""
    address = _address(text)
    if address.is_multicast or address.is_unspecified or getattr(address, "ipv4_mapped", None) is not None:
        raise WireError(f"{address} is no address of one machine")
    return str(address)


def is_ipv6(host: str) -> bool:
    """Whether a numeric address is IPv6."""
    return ":" in host


def sap_host(group: str) -> str:
    """Where a session on `group` is announced (RFC 2974 §3): the highest address of its scope's range.

    WireError for what `group_host` refuses.
    """
    address = ip_address(group_host(group))
    if isinstance(address, IPv6Address):
        return f"ff0{address.packed[1] & 0xF:x}::2:7ffe"
    if address in _ORGANIZATION:
        return "239.195.255.255"
    # The ranges of 239/8 that RFC 2365 leaves to later scopes are listened for where the local scope is.
    return "239.255.255.255" if address in _ADMINISTRATIVE else "224.2.127.254"


def _address(text: str) -> IPv4Address | IPv6Address:
    if len(text) > MAX_HOST_CHARS or "%" in text:
        raise WireError("a numeric address without a scope is wanted")
    try:
        return ip_address(text)
    except ValueError as error:
        raise WireError(f"{text!r} is no numeric address") from error
