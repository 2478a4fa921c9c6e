"""Packets by index until they are played, and which are missing (docs/protocol.md, *Repair*).

Pure: every instant is handed in. Used for the frames of a broadcast and, in the same way, for its blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

NS_PER_MS = 1_000_000
REORDER_NS = 20 * NS_PER_MS
LEAST_INTERVAL_NS = 40 * NS_PER_MS
MAX_INDICES = 4096

T = TypeVar("T")


class Put(Enum):
    """What became of a packet."""

    NEW = "new"
    REPAIRED = "repaired"  # new, and it had been asked for
    DUPLICATE = "duplicate"
    LATE = "late"  # below what is still of use
    BEYOND = "beyond"  # further ahead than the buffer reaches


@dataclass(slots=True)
class _Gap:
    ask_ns: int
    asked: bool = False


class JitterBuffer(Generic[T]):
    """Items by index from `first` on. At most `capacity` indices are tracked; each index is taken once."""

    def __init__(self, first: int, *, end: int | None, capacity: int) -> None:
        """`end`: the first index that never comes, None while unknown. `capacity`: 1 to 4,096 indices."""
        if not 1 <= capacity <= MAX_INDICES:
            raise ValueError(f"a buffer of {capacity} indices")
        self.first = first
        self.end = end
        self._capacity = capacity
        self._items: dict[int, T] = {}
        self._gaps: dict[int, _Gap] = {}
        self._horizon = first  # every index below it is held or a gap

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, index: object) -> bool:
        return index in self._items

    def get(self, index: int) -> T | None:
        """The item, if it is held."""
        return self._items.get(index)

    def put(self, index: int, item: T) -> Put:
        """Hold an item."""
        if index < self.first:
            return Put.LATE
        if index >= self.first + self._capacity or (self.end is not None and index >= self.end):
            return Put.BEYOND
        if index in self._items:
            return Put.DUPLICATE
        self._items[index] = item
        gap = self._gaps.pop(index, None)
        return Put.REPAIRED if gap is not None and gap.asked else Put.NEW

    def reopen(self, index: int, now_ns: int) -> None:
        """Let go of an item that turned out to be false; its index may come again, and is asked for at once."""
        if self._items.pop(index, None) is not None:
            self._gaps[index] = _Gap(now_ns)

    def pass_to(self, first: int) -> None:
        """Everything below `first` is over: played, or too late."""
        if first <= self.first:
            return
        if first - self.first > len(self._items) + len(self._gaps):
            self._items = {index: item for index, item in self._items.items() if index >= first}
            self._gaps = {index: gap for index, gap in self._gaps.items() if index >= first}
        else:
            for index in range(self.first, first):
                self._items.pop(index, None)
                self._gaps.pop(index, None)
        self.first = first
        self._horizon = max(self._horizon, first)

    def expect(self, due: int, now_ns: int) -> None:
        """Everything below `due` should have come by now: what has not is a gap.

        A gap is asked for 20 ms after it was noticed, so that packets which overtake one another cost nothing. What
        has come tells nothing here: a forger could put it far ahead, and all before it would seem missing.
        """
        upto = min(due, self.first + self._capacity)
        if self.end is not None:
            upto = min(upto, self.end)
        for index in range(self._horizon, upto):
            if index not in self._items and index not in self._gaps:
                self._gaps[index] = _Gap(now_ns + REORDER_NS)
        self._horizon = max(self._horizon, upto)

    def forgo(self, first: int) -> None:
        """What is missing below `first` never comes: it is not asked for, but taken where it comes all the same."""
        for index in [index for index in self._gaps if index < first]:
            del self._gaps[index]
        self._horizon = max(self._horizon, first)

    def missing(self) -> list[int]:
        """The gaps, ascending."""
        return sorted(self._gaps)

    def to_ask(self, now_ns: int, round_trip_ns: int, most: int) -> list[int]:
        """At most `most` gaps to ask for now. Each is due again one round trip + 20 ms later, at least 40 ms."""
        interval_ns = max(LEAST_INTERVAL_NS, round_trip_ns + REORDER_NS)
        asked = [index for index, gap in self._gaps.items() if gap.ask_ns <= now_ns]
        asked = sorted(asked)[:most]
        for index in asked:
            self._gaps[index] = _Gap(now_ns + interval_ns, asked=True)
        return asked
