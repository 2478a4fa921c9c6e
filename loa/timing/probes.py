"""When an endpoint asks the origin for the time: densely at first, then at most once every four seconds."""

import random

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

DENSE_NS = 2 * NS_PER_S
DENSE_INTERVAL_NS = 50 * NS_PER_MS
BRISK_NS = 8 * NS_PER_S
BRISK_INTERVAL_NS = 250 * NS_PER_MS
CALM_FIRST_INTERVAL_NS = 2 * NS_PER_S
CALM_LAST_INTERVAL_NS = 4 * NS_PER_S


class ProbeSchedule:
    """20 probes/s for 2 s, 4/s until 8 s, then one every 2 s growing within minutes to one every 4 to 4.4 s.

    Every interval is drawn from `rng`, so that probes of one endpoint walk over the 20 ms grid of the media
    packets instead of standing behind the same burst, and those of many endpoints do not fall together. Same seed
    and same calls, same instants. All times are the local monotonic clock.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._start_ns: int | None = None
        self._due_ns = 0
        self._calm_interval_ns = CALM_FIRST_INTERVAL_NS

    def next_due_ns(self, now_ns: int) -> int:
        """When the next probe is to be sent (may lie in the past). The first call starts the schedule at once."""
        if self._start_ns is None:
            self.restart(now_ns)
        return self._due_ns

    def take(self, now_ns: int) -> bool:
        """True if a probe is to be sent now, and the next one is planned; a late caller makes up for none."""
        if now_ns < self.next_due_ns(now_ns):
            return False
        self._due_ns = now_ns + self._interval_ns(now_ns)
        return True

    def restart(self, now_ns: int) -> None:
        """Probe densely again from `now_ns`: new epoch, new server, or a filter that doubts its line."""
        self._start_ns = self._due_ns = now_ns
        self._calm_interval_ns = CALM_FIRST_INTERVAL_NS

    def _interval_ns(self, now_ns: int) -> int:
        age_ns = now_ns - (self._start_ns or 0)
        if age_ns < DENSE_NS:
            return DENSE_INTERVAL_NS + self._rng.randint(-15 * NS_PER_MS, 15 * NS_PER_MS)
        if age_ns < BRISK_NS:
            return BRISK_INTERVAL_NS + self._rng.randint(-50 * NS_PER_MS, 50 * NS_PER_MS)
        interval_ns = self._calm_interval_ns
        self._calm_interval_ns = min(CALM_LAST_INTERVAL_NS, interval_ns * 101 // 100)
        return interval_ns + self._rng.randint(0, interval_ns // 10)
