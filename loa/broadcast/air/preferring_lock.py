"""A lock whose urgent user waits for one hold of the others at most.

Who releases an ordinary lock and takes it again at once is mostly faster than who waits for it: a reader with ten
thousand commands could keep the sender waiting until it is through.
"""

from __future__ import annotations

import threading


class _Ordinary:
    def __init__(self, lock: threading.Lock, gate: threading.Lock) -> None:
        self._lock, self._gate = lock, gate

    def __enter__(self) -> None:
        with self._gate:  # closed while the urgent one waits
            pass
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class _Urgent(_Ordinary):
    def __enter__(self) -> None:
        with self._gate:
            self._lock.acquire()


class PreferringLock:
    """One lock, held by `with lock.urgent` (for one thread) or `with lock.ordinary` (for all others)."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        lock = threading.Lock()
        self.ordinary = _Ordinary(lock, self._gate)
        self.urgent = _Urgent(lock, self._gate)

    @property
    def urgent_waits(self) -> bool:
        """Whether the urgent user waits: the next hold is his."""
        return self._gate.locked()
