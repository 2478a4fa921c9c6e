"""What may be spent: earned as time goes by, saved up to a bound. The one limiter of the media process."""

from __future__ import annotations

_NS_PER_S = 1_000_000_000


class Credit:
    """Pieces of something (datagrams, packets, nanoseconds of work) that may be had at a rate. Begins full."""

    __slots__ = ("_at_ns", "_earned_ns", "_full_ns", "_piece_ns")

    def __init__(self, a_second: int, at_most: int) -> None:
        """`a_second`: pieces earned, above 0. `at_most`: pieces saved up, so no second has more than their sum."""
        self._piece_ns = _NS_PER_S / a_second
        self._full_ns = self._piece_ns * at_most
        self._earned_ns = self._full_ns
        self._at_ns = 0

    def wait_ns(self, now_ns: int, pieces: int = 1) -> int:
        """How long it takes until `pieces` are there; 0 when they are. A clock that goes back earns nothing."""
        self._earned_ns = min(self._full_ns, self._earned_ns + max(0, now_ns - self._at_ns))
        self._at_ns = max(self._at_ns, now_ns)
        return max(0, round(pieces * self._piece_ns - self._earned_ns))

    def has(self, now_ns: int, pieces: int = 1) -> bool:
        """Whether `pieces` may be had now."""
        return self.wait_ns(now_ns, pieces) == 0

    def spend(self, pieces: int = 1) -> None:
        """Have `pieces`, whether they are there or not: what is missing is earned first."""
        self._earned_ns -= pieces * self._piece_ns
