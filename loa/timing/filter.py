"""The origin's time, as seen from an endpoint's own monotonic clock.

Four time stamps of an exchange give an upper and a lower limit of the difference origin - local. From a bounded
window of them `loa.timing.envelope` takes two states, difference and drift, and what limits them. What is read out
follows those by slewing, so that sound placed by it does not jump. A lasting asymmetry of the two ways cannot be
seen by anybody: the estimate is then wrong by half of it, and the error bound covers that.
"""

from collections import deque
from dataclasses import dataclass

from loa.timing.envelope import Strip, fit_strip
from loa.timing.probes import ProbeSchedule

__all__ = ["ClockEstimate", "ClockFilter", "Exchange", "ProbeSchedule"]

NS_PER_S = 1_000_000_000
PPT = 1_000_000_000_000  # drift is kept in parts per 10^12

WINDOW_NS = 600 * NS_PER_S
WINDOW_EXCHANGES = 256
MAX_STAMP_NS = 1 << 63
MAX_ROUND_TRIP_NS = 5 * NS_PER_S
STAMP_NOISE_NS = 10_000

DRIFT_LIMIT_PPB = 500_000.0
DRIFT_PRIOR_PPB = 80_000.0  # one sigma; crystals are mostly within ±100 ppm
DRIFT_WANDER_PPB = 100  # what temperature may change it by within the window

CONTRADICTION_NS = 200_000
CONTRADICTIONS_TO_RESTART = 4
CONTRADICTIONS_WITHIN_NS = 30 * NS_PER_S

CONVERGED_EXCHANGES = 16
CONVERGED_SIGMA_NS = 500_000.0
CONVERGED_ANYWAY_EXCHANGES = 48

STEP_NS = 50_000_000
SLEW_TIME_S = 3
MIN_SLEW_PPB = 20_000
MAX_SLEW_PPB = 500_000


@dataclass(frozen=True, slots=True)
class ClockEstimate:
    """The origin's time at a local instant.

    `error_bound_ns`  the true origin time is within ± this, if delays are not negative and the clocks' drift is
                      what it was lately; mostly half the shortest round trip
    `drift_ppb`       how much faster the origin's clock runs than the local one
    `samples`         exchanges in the window
    """

    origin_ns: int
    error_bound_ns: int
    drift_ppb: int
    samples: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """Limits of origin - local: at most `upper_ns` when `sent_ns`, at least `lower_ns` when `got_ns`."""

    sent_ns: int
    got_ns: int
    upper_ns: int
    lower_ns: int


class _Line:
    """origin - local as read out: a line plus a remainder that shrinks at a bounded rate. Integers only."""

    def __init__(self, at_ns: int, difference_ns: int, drift_ppb: float, remainder_ns: int = 0) -> None:
        self.at_ns = at_ns
        self._difference_ns = difference_ns
        self._drift_ppt = round(drift_ppb * 1000)
        self._remainder_ns = remainder_ns
        self._slew_ppb = max(MIN_SLEW_PPB, min(MAX_SLEW_PPB, abs(remainder_ns) // SLEW_TIME_S))

    @property
    def drift_ppb(self) -> int:
        return self._drift_ppt // 1000

    def remainder_at(self, local_ns: int) -> int:
        gone_ns = max(0, local_ns - self.at_ns) * self._slew_ppb // NS_PER_S
        left_ns = max(0, abs(self._remainder_ns) - gone_ns)
        return left_ns if self._remainder_ns > 0 else -left_ns

    def difference_at(self, local_ns: int) -> int:
        steady_ns = self._difference_ns + (local_ns - self.at_ns) * self._drift_ppt // PPT
        return steady_ns + self.remainder_at(local_ns)

    def local_at(self, origin_ns: int) -> int:
        local_ns = origin_ns - self._difference_ns
        for _ in range(64):  # each round leaves a thousandth of the error
            better_ns = origin_ns - self.difference_at(local_ns)
            if better_ns == local_ns:
                break
            local_ns = better_ns
        return local_ns


class ClockFilter:
    """Exchanges in, the origin's time out. Pure: it reads no clock.

    Until `converged` was first true the estimate follows the newest evidence freely. From then on it is
    continuous: corrections are slewed at no more than 500 ppm, and only an error above 50 ms is a step, counted in
    `steps`. An exchange that contradicts the line is set aside; four in a row that agree with one another mean
    that a clock was set, and the window starts anew from them.
    """

    def __init__(self) -> None:
        self.steps = 0  # counted over the life of the filter, reset() keeps it
        self._clear()

    def _clear(self) -> None:
        self._window: deque[Exchange] = deque(maxlen=WINDOW_EXCHANGES)
        self._doubts: deque[Exchange] = deque(maxlen=CONTRADICTIONS_TO_RESTART)
        self._reference_ns = 0
        self._line: _Line | None = None
        self._in_use = False
        self._converged = False
        # limits of the difference at _line.at_ns, and how fast they loosen from there
        self._highest_ns = self._lowest_ns = 0
        self._loosening_ppb = 0

    def reset(self) -> None:
        """Forget everything: the origin began a new epoch, or another origin answers."""
        self._clear()

    @property
    def converged(self) -> bool:
        """Whether the window holds enough for playout: 16 exchanges that fix its middle to about 0.5 ms, or 48."""
        return self._converged

    @property
    def doubts(self) -> int:
        """How many exchanges in a row contradicted the line; a reason to `ProbeSchedule.restart`."""
        return len(self._doubts)

    def add(self, t1: int, t2: int, t3: int, t4: int) -> bool:
        """Take an exchange: local send, origin receive, origin send, local receive (ns, each on its own clock).

        Returns whether it was used. Refused are: stamps beyond 64 bits, a receive before its send, a round trip
        above 5 s or shorter than the origin's own share, what is older than the window, and contradictions.
        """
        if not _usable(t1, t2, t3, t4):
            return False
        exchange = Exchange(sent_ns=t1, got_ns=t4, upper_ns=t2 - t1, lower_ns=t3 - t4)
        if self._line is None:
            self._reference_ns = exchange.upper_ns
        elif t4 <= self._line.at_ns - WINDOW_NS:
            return False
        elif self._contradicts(exchange):
            return self._doubt(exchange)
        self._doubts.clear()
        self._window.append(exchange)
        self._refit()
        return True

    def estimate(self, local_ns: int) -> ClockEstimate | None:
        """The origin's time when the local clock shows `local_ns`; None before the first usable exchange."""
        line = self._line
        if line is None:
            return None
        difference_ns = line.difference_at(local_ns)
        moved_ns = (local_ns - line.at_ns) * line.drift_ppb // NS_PER_S
        loose_ns = abs(local_ns - line.at_ns) * self._loosening_ppb // NS_PER_S
        above_ns = self._highest_ns + moved_ns - difference_ns
        below_ns = difference_ns - self._lowest_ns - moved_ns
        return ClockEstimate(
            origin_ns=local_ns + difference_ns,
            error_bound_ns=max(above_ns, below_ns, 0) + loose_ns,
            drift_ppb=line.drift_ppb,
            samples=len(self._window),
        )

    def local_at(self, origin_ns: int) -> int:
        """What the local clock shows at `origin_ns`: undoes `estimate` within 1 ns. ValueError before the first
        usable exchange."""
        if self._line is None:
            raise ValueError("no exchange yet: the origin's time is unknown")
        return self._line.local_at(origin_ns)

    def _contradicts(self, exchange: Exchange) -> bool:
        assert self._line is not None
        line = self._line

        def limit(at_ns: int, border_ns: int, sign: int) -> int:
            away_ns = at_ns - line.at_ns
            loose_ns = CONTRADICTION_NS + abs(away_ns) * self._loosening_ppb // NS_PER_S
            return border_ns + away_ns * line.drift_ppb // NS_PER_S + sign * loose_ns

        return exchange.upper_ns < limit(exchange.sent_ns, self._lowest_ns, -1) or exchange.lower_ns > limit(
            exchange.got_ns, self._highest_ns, +1
        )

    def _doubt(self, exchange: Exchange) -> bool:
        agreeing = [
            other
            for other in self._doubts
            if abs(exchange.got_ns - other.got_ns) <= CONTRADICTIONS_WITHIN_NS and _agree(exchange, other)
        ]
        agreeing.append(exchange)
        self._doubts = deque(agreeing, maxlen=CONTRADICTIONS_TO_RESTART)
        if len(agreeing) < CONTRADICTIONS_TO_RESTART:
            return False
        self._window.clear()
        self._window.extend(agreeing)
        self._doubts.clear()
        self._reference_ns = exchange.upper_ns
        self._refit()
        return True

    def _refit(self) -> None:
        """Fit the window, and lead the read-out line on from where it is."""
        window = self._window
        now_ns = max(exchange.got_ns for exchange in window)
        if self._line is not None:
            now_ns = max(now_ns, self._line.at_ns)
        while window[0].got_ns <= now_ns - WINDOW_NS:
            window.popleft()
        strip = self._fit(now_ns)
        while strip.gap_ns < -STAMP_NOISE_NS and len(window) > CONTRADICTIONS_TO_RESTART:
            # Small contradictions: the drift changed within the window. What is older is no longer on the line.
            for _ in range(len(window) // 2):
                window.popleft()
            strip = self._fit(now_ns)
        self._highest_ns = self._reference_ns + round(max(strip.highest_ns, strip.middle_ns))
        self._lowest_ns = self._reference_ns + round(min(strip.lowest_ns, strip.middle_ns))
        self._loosening_ppb = round(strip.rate_slack_ppb) + DRIFT_WANDER_PPB
        self._lead(now_ns, self._reference_ns + round(strip.middle_ns), strip.rate_ppb)
        self._converged = len(window) >= CONVERGED_ANYWAY_EXCHANGES or (
            len(window) >= CONVERGED_EXCHANGES and strip.sigma_ns <= CONVERGED_SIGMA_NS
        )
        self._in_use = self._in_use or self._converged

    def _fit(self, now_ns: int) -> Strip:
        uppers: list[tuple[float, float]] = []
        lowers: list[tuple[float, float]] = []
        for exchange in self._window:
            sent_s, got_s = (exchange.sent_ns - now_ns) / NS_PER_S, (exchange.got_ns - now_ns) / NS_PER_S
            # A limit that was true then is less strict now, by what the drift may have changed since.
            uppers.append((sent_s, exchange.upper_ns - self._reference_ns - sent_s * DRIFT_WANDER_PPB))
            lowers.append((got_s, exchange.lower_ns - self._reference_ns + got_s * DRIFT_WANDER_PPB))
        hint_ppb = self._line.drift_ppb if self._line is not None else 0
        return fit_strip(uppers, lowers, DRIFT_PRIOR_PPB, DRIFT_LIMIT_PPB, hint_ppb)

    def _lead(self, now_ns: int, target_ns: int, drift_ppb: float) -> None:
        remainder_ns = 0
        if self._line is not None and self._in_use:
            remainder_ns = self._line.difference_at(now_ns) - target_ns
            if abs(remainder_ns) > STEP_NS:
                self.steps += 1
                remainder_ns = 0
        self._line = _Line(now_ns, target_ns, drift_ppb, remainder_ns)


def _usable(t1: int, t2: int, t3: int, t4: int) -> bool:
    if max(t1, t2, t3, t4) >= MAX_STAMP_NS or min(t1, t2, t3, t4) < -MAX_STAMP_NS:
        return False
    round_trip_ns, held_ns = t4 - t1, t3 - t2
    if round_trip_ns < 0 or held_ns < 0 or round_trip_ns > MAX_ROUND_TRIP_NS:
        return False
    return held_ns <= round_trip_ns + STAMP_NOISE_NS


def _agree(one: Exchange, other: Exchange) -> bool:
    """Whether one clock difference, drifting within the limit, can lie within both."""
    apart_ns = abs(one.got_ns - other.got_ns) + MAX_ROUND_TRIP_NS
    loose_ns = STAMP_NOISE_NS + apart_ns * int(DRIFT_LIMIT_PPB) // NS_PER_S
    return max(one.lower_ns, other.lower_ns) <= min(one.upper_ns, other.upper_ns) + loose_ns
