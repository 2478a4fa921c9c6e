"""Where each channel is: one slot a channel, all socket addresses in one piece of memory.

An audience is a set of slots, so its address table is one gather from here, whoever joined, left or moved. A slot
that is free again has another serial, so nobody has to be told that a channel is gone.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from loa.broadcast.air.address_table import Names, Slots
from loa.broadcast.air.sockaddr import packed_bytes

REST_NS = 1_000_000_000
"""For how long an address that the kernel refused is left out of sound."""

Serials = npt.NDArray[np.uint32]
_NONE: Slots = np.zeros(0, np.intp)


class AddressBook:
    """The addresses of at most `capacity` channels. For one thread at a time."""

    def __init__(self, capacity: int, family: socket.AddressFamily = socket.AF_INET6) -> None:
        """`family`: of the socket that will send."""
        stride = packed_bytes(family)
        self.family = family
        self.names: Names = np.zeros((capacity, stride), np.uint8)
        """Row *s*: the packed address of slot *s*, if it has one."""
        self.serials: Serials = np.ones(capacity, np.uint32)
        """By slot; never 0, another one whenever the slot is given to another channel."""
        self.used = 0
        """All slots that were ever given are below."""
        self._bytes = self.names.reshape(-1).data
        self._stride = stride
        self._has: npt.NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        self._rests_until_ns: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        self._slots: dict[bytes, int] = {}
        self._free: list[int] = []
        self._changed: set[int] = set()
        self._rests: deque[tuple[int, Slots]] = deque()

    def __len__(self) -> int:
        return len(self._slots)

    def slot(self, channel_id: bytes) -> int | None:
        """The channel's slot, if it has one."""
        return self._slots.get(channel_id)

    def slots(self, channels: Iterable[bytes]) -> tuple[Slots, int]:
        """The slots of those channels that have one, and how many have none."""
        found = [self._slots.get(channel_id, -1) for channel_id in channels]
        slots = np.array(found, np.intp)
        known = slots[slots >= 0]
        return known, len(slots) - len(known)

    def add(self, channel_id: bytes) -> int | None:
        """Give the channel a slot without an address; it keeps the one it has. None: all are taken."""
        slot = self._slots.get(channel_id)
        if slot is not None:
            self.unbind(slot)
            return slot
        if self._free:
            slot = self._free.pop()
        elif self.used < len(self.names):
            slot = self.used
            self.used += 1
        else:
            return None
        self._slots[channel_id] = slot
        return slot

    def drop(self, channel_id: bytes) -> None:
        """Take the channel's slot away, if it has one: it is in no audience any more."""
        slot = self._slots.pop(channel_id, None)
        if slot is not None:
            self.unbind(slot)
            self.serials[slot] = max(1, (int(self.serials[slot]) + 1) & 0xFFFF_FFFF)
            self._free.append(slot)

    def bind(self, slot: int, packed: bytes) -> None:
        """From now on the slot has this address, packed for the family."""
        self._bytes[slot * self._stride : (slot + 1) * self._stride] = packed
        self._has[slot] = True
        self._rests_until_ns[slot] = 0
        self._changed.add(slot)

    def unbind(self, slot: int) -> None:
        """From now on the slot has no address."""
        if self._has[slot]:
            self._has[slot] = False
            self._changed.add(slot)

    def rest(self, slots: Slots, now_ns: int) -> None:
        """Leave these slots out of sound for REST_NS."""
        self._rests_until_ns[slots] = now_ns + REST_NS
        self._rests.append((now_ns + REST_NS, slots))
        self._changed.update(slots.tolist())

    def take_changed(self, now_ns: int) -> Slots:
        """The slots whose address came, went, or may be used again since the last call."""
        while self._rests and self._rests[0][0] <= now_ns:
            self._changed.update(self._rests.popleft()[1].tolist())
        if not self._changed:
            return _NONE
        changed = np.fromiter(self._changed, np.intp, len(self._changed))
        self._changed.clear()
        return changed

    def reachable(self, members: Serials, now_ns: int | None) -> Slots:
        """Those members that have an address, in ascending order.

        `members`: serials by slot, 0 where there is none. `now_ns`: leave out those that rest; None: take them too.
        """
        slots: Slots = np.flatnonzero(members)
        good = (members[slots] == self.serials[slots]) & self._has[slots]
        if now_ns is not None:
            good &= self._rests_until_ns[slots] <= now_ns
        reached: Slots = slots[good]
        return reached
