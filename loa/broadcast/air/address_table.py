"""Where a packet goes, laid out as `sendmmsg` wants it: one header and one socket address for each receiver.

Header *i* points at name *i* for good, so adding, replacing and removing touch one socket address each, and all
headers share one `iovec`: aiming a packet at ten thousand receivers writes two words.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from loa.broadcast.air.media_port import Address

_MSGHDR = np.dtype(
    [
        ("name", np.uintp),
        ("name_bytes", np.uint32),
        ("iov", np.uintp),
        ("iov_count", np.uintp),
        ("control", np.uintp),
        ("control_bytes", np.uintp),
        ("flags", np.int32),
    ],
    align=True,
)
_MMSGHDR = np.dtype([("header", _MSGHDR), ("sent_bytes", np.uint32)], align=True)
_IOVEC = np.dtype([("base", np.uintp), ("size", np.uintp)], align=True)
_FIRST_CAPACITY = 16

HEADER_BYTES: int = _MMSGHDR.itemsize
"""Size of one `struct mmsghdr`."""


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


class AddressTable:
    """Receivers by key, in memory that `Fanout` hands to the kernel. Must not change while it is sent to."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET6) -> None:
        """`family`: of the socket that will send, AF_INET6 (dual stack) or AF_INET."""
        self._family = family
        self._stride = 28 if family == socket.AF_INET6 else 16
        self._slots: dict[bytes, int] = {}
        self._keys: list[bytes] = []
        self._addresses: list[Address] = []
        self._iovec: npt.NDArray[np.void] = np.zeros(1, _IOVEC)
        self._packet = b""
        self._names, self._view, self._headers = self._allot(_FIRST_CAPACITY)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: bytes) -> bool:
        return key in self._slots

    @property
    def capacity(self) -> int:
        """How many receivers fit before the memory grows."""
        return len(self._headers)

    @property
    def headers_at(self) -> int:
        """Memory address of the first header; holds until the next `put`."""
        return self._headers.ctypes.data

    def put(self, key: bytes, address: Address) -> None:
        """Add a receiver, or give a known one another address. ValueError when it is no numeric address."""
        packed = pack_address(self._family, address)
        slot = self._slots.get(key)
        if slot is None:
            slot = len(self._keys)
            if slot == self.capacity:
                self._grow()
            self._slots[key] = slot
            self._keys.append(key)
            self._addresses.append(address)
        else:
            self._addresses[slot] = address
        self._view[slot * self._stride : (slot + 1) * self._stride] = packed

    def discard(self, key: bytes) -> None:
        """Remove a receiver, if it is there: the last one takes its place."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        last_key, last_address = self._keys.pop(), self._addresses.pop()
        if last_key != key:
            last = len(self._keys)
            self._slots[last_key] = slot
            self._keys[slot], self._addresses[slot] = last_key, last_address
            self._view[slot * self._stride : (slot + 1) * self._stride] = self._view[
                last * self._stride : (last + 1) * self._stride
            ]

    def receivers(self) -> Iterable[tuple[bytes, Address]]:
        """Keys and addresses in the order of sending."""
        return zip(self._keys, self._addresses, strict=True)

    def packed(self) -> list[bytes]:
        """The socket addresses in memory, in the order of sending."""
        return [bytes(self._view[at * self._stride : (at + 1) * self._stride]) for at in range(len(self))]

    def aim(self, packet: bytes) -> None:
        """Make all headers send `packet`, and keep it alive until the next one."""
        self._packet = packet
        self._iovec["base"][0] = ctypes.cast(ctypes.c_char_p(packet), ctypes.c_void_p).value or 0
        self._iovec["size"][0] = len(packet)

    def _grow(self) -> None:
        names, view, headers = self._allot(2 * self.capacity)
        view[: len(self._view)] = self._view
        self._names, self._view, self._headers = names, view, headers

    def _allot(self, capacity: int) -> tuple[npt.NDArray[np.uint8], memoryview, npt.NDArray[np.void]]:
        names = np.zeros(capacity * self._stride, np.uint8)
        headers: npt.NDArray[np.void] = np.zeros(capacity, _MMSGHDR)
        header = headers["header"]
        header["name"] = names.ctypes.data + np.arange(capacity, dtype=np.uintp) * np.uintp(self._stride)
        header["name_bytes"] = self._stride
        header["iov"] = self._iovec.ctypes.data
        header["iov_count"] = 1
        return names, names.data, headers
