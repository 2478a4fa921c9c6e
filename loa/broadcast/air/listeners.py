"""Who gets something: channels, of which those with an address stand in an address table.

Changes are noted at once and enter the table in `settle`, which its one user calls between two sendings. So the
table never changes under the threads that send to it, and an audience changes at a frame's boundary. The table is
made anew as a whole, by one gather: that ten thousand leave at once costs no more than that one joins.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from loa.broadcast.air.address_book import AddressBook, Serials
from loa.broadcast.air.address_table import AddressTable, Slots

_ROOM = 256


class Listeners:
    """A set of channels of one address book, with the table of the addresses that they have now."""

    def __init__(self, channels: Iterable[bytes], book: AddressBook) -> None:
        """Of `channels` those that the book knows."""
        self.table = AddressTable(book.family)
        self._book = book
        self._members: Serials = np.zeros(0, np.uint32)  # by slot; 0: no member
        self._stale = True
        self.unknown = self.join(channels)
        """How many of the first channels the book does not know."""

    def __contains__(self, channel_id: bytes) -> bool:
        slot = self._book.slot(channel_id)
        return slot is not None and slot < len(self._members) and self._members[slot] == self._book.serials[slot]

    def __len__(self) -> int:
        """How many there are, those included whose channel is gone."""
        return int(np.count_nonzero(self._members))

    def join(self, channels: Iterable[bytes]) -> int:
        """Add channels; how many were refused because the book does not know them."""
        slots, unknown = self._book.slots(channels)
        if self._book.used > len(self._members):
            more = self._book.used + _ROOM - len(self._members)
            self._members = np.concatenate((self._members, np.zeros(more, np.uint32)))
        self._members[slots] = self._book.serials[slots]
        self._stale = True
        return unknown

    def leave(self, channels: Iterable[bytes]) -> None:
        """Take channels out, if they are in."""
        slots, _ = self._book.slots(channels)
        self._members[slots[slots < len(self._members)]] = 0
        self._stale = True

    def touch(self, changed: Slots) -> None:
        """The addresses of these slots have changed."""
        if not self._stale:
            self._stale = bool(self._members[changed[changed < len(self._members)]].any())

    def settle(self, now_ns: int | None) -> AddressTable:
        """The table, with all changes in it: it stays as it is until the next call.

        `now_ns`: without the addresses that rest; None: with them, and however little has changed.
        """
        if self._stale or now_ns is None:
            self.table.fill(self._book.names, self._book.reachable(self._members, now_ns))
            self._stale = False
        return self.table

    def part(self, first: int, most: int) -> AddressTable:
        """The table with those at the slots from `first` on alone, at most so many, the ones that rest included. It
        stays as it is until the next call."""
        slots = self._book.reachable(self._members, None)
        self.table.fill(self._book.names, slots[np.searchsorted(slots, first) :][:most])
        self._stale = True
        return self.table

    def empty_table(self) -> None:
        """Nothing more is sent to them, and a table has 100 bytes for each. Who holds it may go on using it."""
        self.table = AddressTable(self._book.family)
        self._stale = True
