"""A socket that keeps nothing: the kernel drops what comes, and the receiver eats no time of the sender."""

from __future__ import annotations

import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26  # linux/socket.h; the module does not name it
_DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K, 0: keep no byte


def drop_all(bare: socket.socket) -> None:
    """Attach a BPF filter that lets no byte through."""
    code = ctypes.create_string_buffer(_DROP_ALL, len(_DROP_ALL))
    bare.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(code)))
