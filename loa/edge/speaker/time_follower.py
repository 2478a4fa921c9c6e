"""The origin's line as an output follows it: without jumps while the error is small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loa.timing.filter import ClockEstimate

NS_PER_S = 1_000_000_000
SLEW_PPM = 500
HARD_STEP_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class LineSpan:
    """What an output block covers.

    `origin_ns`, `origin_end_ns`: origin time at which its first sample, and the next block's first, is heard.
    `start_ns`, `end_ns`: the instants of the presentation line that belong there: trim taken off, corrections
    spread. `error_bound_ns`: of the clock.
    """

    origin_ns: int
    origin_end_ns: int
    start_ns: int
    end_ns: int
    error_bound_ns: int


class TimeFollower:
    """Places output blocks on the origin's line.

    The line moves on with the clock's estimate. What the estimate (or the trim) changed since the last block is
    made up for at 500 ppm at the most; above 20 ms it is a hard step, counted.
    """

    def __init__(self, origin_at: Callable[[int], ClockEstimate | None]) -> None:
        """`origin_at`: the origin's time at a local instant; None while it is not known well enough to play."""
        self._origin_at = origin_at
        self._at: tuple[int, int] | None = None  # local and line time at which the last block ended
        self.trim_ns = 0
        self.hard_steps = 0

    def span(self, local_ns: int, duration_ns: int) -> LineSpan | None:
        """The block that is heard from `local_ns` on, for `duration_ns` of the local clock; None: not known."""
        first, last = self._origin_at(local_ns), self._origin_at(local_ns + duration_ns)
        if first is None or last is None:
            self._at = None
            return None
        off_ns = self._off_ns()
        if abs(off_ns) > HARD_STEP_NS:
            self.hard_steps += 1
            off_ns = 0
        relief_ns = duration_ns * SLEW_PPM // 1_000_000
        off_end_ns = max(0, off_ns - relief_ns) if off_ns > 0 else min(0, off_ns + relief_ns)
        made = LineSpan(
            first.origin_ns,
            last.origin_ns,
            first.origin_ns - self.trim_ns + off_ns,
            last.origin_ns - self.trim_ns + off_end_ns,
            first.error_bound_ns,
        )
        self._at = (local_ns + duration_ns, made.end_ns)
        return made

    def _off_ns(self) -> int:
        """How far the last block's end lies from where it belongs by what is known now."""
        if self._at is None:
            return 0
        local_ns, line_ns = self._at
        estimate = self._origin_at(local_ns)
        return 0 if estimate is None else line_ns - (estimate.origin_ns - self.trim_ns)
