"""A token bucket: so many a second on average, so many at once. Pure, the time is handed in."""

from __future__ import annotations

NS_PER_S = 1_000_000_000


class TokenBucket:
    """Starts full. Time that runs backwards earns nothing."""

    def __init__(self, a_second: float, burst: float) -> None:
        """`burst`: the most it holds, at least 1."""
        self._a_second = a_second
        self._burst = burst
        self._tokens = float(burst)
        self._filled_ns: int | None = None

    def available(self, now_ns: int) -> int:
        """Whole tokens in it now."""
        if self._filled_ns is not None and now_ns > self._filled_ns:
            gained = (now_ns - self._filled_ns) * self._a_second / NS_PER_S
            self._tokens = min(float(self._burst), self._tokens + gained)
        if self._filled_ns is None or now_ns > self._filled_ns:
            self._filled_ns = now_ns
        return int(self._tokens)

    def spend(self, count: int) -> None:
        """Take tokens out; what is not there is owed."""
        self._tokens -= count

    def take(self, now_ns: int) -> bool:
        """Take one token, if there is one."""
        if self.available(now_ns) < 1:
            return False
        self.spend(1)
        return True
