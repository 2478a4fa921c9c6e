"""Where a packet goes, laid out as `sendmmsg` wants it: one header and one socket address for each receiver.

Header *i* points at name *i* for good, so a change of receivers is one copy of their socket addresses, and all
headers share one `iovec`: aiming a packet at ten thousand receivers writes two words.
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from loa.broadcast.air.media_port import Address
from loa.broadcast.air.sockaddr import pack_address, packed_bytes, unpack_address

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
MMSGHDR = np.dtype([("header", _MSGHDR), ("bytes", np.uint32)], align=True)
"""`struct mmsghdr`; `bytes`: how many the kernel took or gave."""
IOVEC = np.dtype([("base", np.uintp), ("size", np.uintp)], align=True)
"""`struct iovec`."""
HEADER_BYTES: int = MMSGHDR.itemsize
"""Size of one `struct mmsghdr`."""
_FIRST_CAPACITY = 16

Slots = npt.NDArray[np.intp]
Names = npt.NDArray[np.uint8]


class AddressTable:
    """Receivers in memory that `Fanout` hands to the kernel. Must not change while it is sent to."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET6) -> None:
        """`family`: of the socket that will send, AF_INET6 (dual stack) or AF_INET."""
        self.slots: Slots = np.zeros(0, np.intp)
        """Whose addresses these are, in the order of sending: places in the address book, if they come from one."""
        self._family = family
        self._stride = packed_bytes(family)
        self._iovec = (ctypes.c_size_t * 2)()  # where the packet is, and its size
        self._packet = b""
        self._size = 0
        self._allot(_FIRST_CAPACITY)

    @classmethod
    def of(cls, addresses: Iterable[Address], family: socket.AddressFamily = socket.AF_INET6) -> AddressTable:
        """A table of these receivers. ValueError when one is no numeric address."""
        packed = [pack_address(family, address) for address in addresses]
        table = cls(family)
        table._room(len(packed))
        table._names[: len(packed)] = np.frombuffer(b"".join(packed), np.uint8).reshape(-1, table._stride)
        return table

    def __len__(self) -> int:
        return self._size

    @property
    def headers_at(self) -> int:
        """Memory address of the first header; holds until the next change."""
        return self._headers_at

    def fill(self, names: Names, slots: Slots) -> None:
        """Make these the receivers: row `slots[i]` of `names` is the packed address of receiver *i*."""
        self._room(len(slots))
        np.take(names, slots, axis=0, out=self._names[: len(slots)], mode="clip")
        self.slots = slots

    def packed(self) -> list[bytes]:
        """The socket addresses in memory, in the order of sending."""
        return [name.tobytes() for name in self._names[: self._size]]

    def addresses(self) -> list[Address]:
        """The receivers, in the order of sending."""
        return [unpack_address(packed) for packed in self.packed()]

    def aim(self, packet: bytes) -> None:
        """Make all headers send `packet`, and keep it alive until the next one."""
        self._packet = packet
        self._iovec[0] = ctypes.cast(ctypes.c_char_p(packet), ctypes.c_void_p).value or 0
        self._iovec[1] = len(packet)

    def _room(self, size: int) -> None:
        if size > len(self._headers):
            self._allot(1 << (size - 1).bit_length())
        self._size = size

    def _allot(self, capacity: int) -> None:
        self._names: Names = np.zeros((capacity, self._stride), np.uint8)
        self._headers = headers_for(self._names)
        self._headers["header"]["iov"] = ctypes.addressof(self._iovec)
        self._headers_at = self._headers.ctypes.data


def headers_for(names: Names) -> npt.NDArray[np.void]:
    """Headers of which each points at its row of `names`, with one `iovec` that is still to be named."""
    headers: npt.NDArray[np.void] = np.zeros(len(names), MMSGHDR)
    header = headers["header"]
    header["name"] = names.ctypes.data + np.arange(len(names), dtype=np.uintp) * np.uintp(names.shape[1])
    header["name_bytes"] = names.shape[1]
    header["iov_count"] = 1
    return headers
