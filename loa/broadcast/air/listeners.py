"""Who gets something: channels, of which those with an address stand in an address table.

Changes are noted at once and enter the table in `settle`, which its one user calls between two sendings. So the
table never changes under the thread that is sending to it, and an audience changes at a frame's boundary.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from loa.broadcast.air.address_table import AddressTable
from loa.broadcast.air.media_port import Address

MAX_MEMBERS = 40_000


class Listeners:
    """A set of channels with the table of the addresses that they have now."""

    def __init__(self, channels: Iterable[bytes], family: socket.AddressFamily) -> None:
        self.table = AddressTable(family)
        self._members: set[bytes] = set()
        self._changed: set[bytes] = set()
        self.join(channels)

    def __contains__(self, channel_id: bytes) -> bool:
        return channel_id in self._members

    def __len__(self) -> int:
        return len(self._members)

    def join(self, channels: Iterable[bytes]) -> int:
        """Add channels; how many were refused because there are MAX_MEMBERS."""
        refused = 0
        for channel_id in channels:
            if channel_id in self._members:
                continue
            if len(self._members) >= MAX_MEMBERS:
                refused += 1
                continue
            self._members.add(channel_id)
            self._changed.add(channel_id)
        return refused

    def leave(self, channels: Iterable[bytes]) -> None:
        """Take channels out, if they are in."""
        for channel_id in channels:
            if channel_id in self._members:
                self._members.remove(channel_id)
                self._changed.add(channel_id)

    def touch(self, channel_id: bytes) -> None:
        """A channel's address is another, or none."""
        if channel_id in self._members:
            self._changed.add(channel_id)

    def settle(self, address_of: Callable[[bytes], Address | None]) -> AddressTable:
        """The table, with all changes in it. It stays as it is until the next call."""
        for channel_id in self._changed:
            address = address_of(channel_id) if channel_id in self._members else None
            if address is None:
                self.table.discard(channel_id)
            else:
                self.table.put(channel_id, address)
        self._changed.clear()
        return self.table
