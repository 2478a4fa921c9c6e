"""What is due when. Pure: the time is handed in, in nanoseconds of a monotonic clock."""

from __future__ import annotations

from collections.abc import Mapping

NS_PER_S = 1_000_000_000
FIRST_S = 600
"""A start has other things to do first; one that ends again soon does none of this."""
RETRY_S = 1_800
"""What failed is tried again so much later, or at its period if that is sooner."""


class Plan:
    """The chores of a core, each with its period. What is due is not due again until it is said to be done."""

    def __init__(self, periods_s: Mapping[str, int], start_ns: int) -> None:
        self._periods_s = dict(periods_s)
        self._due_ns = dict.fromkeys(periods_s, start_ns + FIRST_S * NS_PER_S)

    def due(self, now_ns: int) -> list[str]:
        """What is due now, the longest overdue first, else in the order in which it was given."""
        late = [name for name, due_ns in self._due_ns.items() if due_ns <= now_ns]
        return sorted(late, key=lambda name: self._due_ns[name])

    def wait_s(self, now_ns: int) -> float:
        """How long until something is due; 0 when something is."""
        return max(0, min(self._due_ns.values()) - now_ns) / NS_PER_S

    def done(self, name: str, now_ns: int, *, well: bool) -> None:
        """It was tried. When all went `well` it is due in its period from now, else sooner."""
        period_s = self._periods_s[name]
        self._due_ns[name] = now_ns + (period_s if well else min(RETRY_S, period_s)) * NS_PER_S
