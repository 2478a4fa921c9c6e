"""When what is due: many timers at the price of a list each, for one caller that comes round. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")


class TimerWheel(Generic[Key]):
    """Timers in slots of `slot_ns`: none goes off before its time, and each once, with the slot it falls into."""

    def __init__(self, slot_ns: int) -> None:
        self._slot_ns = slot_ns
        self._slots: dict[int, list[Key]] = {}
        self._done: int | None = None

    def __len__(self) -> int:
        return sum(len(keys) for keys in self._slots.values())

    def set(self, due_ns: int, key: Key) -> None:
        """`due` gives `key` once `due_ns` has passed; what is past already comes with the next slot."""
        slot = -(-due_ns // self._slot_ns)
        if self._done is not None and slot <= self._done:
            slot = self._done + 1
        self._slots.setdefault(slot, []).append(key)

    def due(self, now_ns: int) -> Iterator[Key]:
        """What has become due, slot by slot. Timers set meanwhile come with a later call."""
        now = now_ns // self._slot_ns
        if self._done is not None and now <= self._done:
            return
        # A caller that was held up may have missed more slots than there are timers.
        passed = sorted(slot for slot in self._slots if slot <= now)
        self._done = now
        for slot in passed:
            yield from self._slots.pop(slot)
