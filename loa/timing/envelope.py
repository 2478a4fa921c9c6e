"""The straight strip between the delays of two directions.

A forward sample (origin receive - local send) is the clock difference plus a delay: never below it. A backward
sample (origin send - local receive) is the difference less a delay: never above it. So the true difference, a
line while the drift lasts, runs between the lower hull of the forward and the upper hull of the backward points.

`fit_strip` takes the two states of that line (difference, drift) from the hulls. When queueing delays fall off
exponentially and the drift has a prior, the likelihood of a common slope r of both borders is the concave

    n * upper(r) / m_upper - n * lower(r) / m_lower - r^2 / (2 s^2)

where upper(r), lower(r) are the borders of slope r at the mean time and m_* the mean queueing delays. The result
is the mean over that likelihood, not its peak, which would jump from edge to edge of the hulls.

Here time is in seconds (float, relative to some now), differences in nanoseconds (float), slopes in ns/s = ppb.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import median

Point = tuple[float, float]

MIN_SCALE_NS = 2_000.0  # what remains of a time stamp's own noise where there is no queue
_FEW = 8  # below that many points their spread says little about the delays
_UNLIKELY = 4.5  # log-likelihood below the peak: three sigma
_NODES = 9
_HALVINGS = 26


@dataclass(frozen=True, slots=True)
class Strip:
    """A fitted line at time 0, and what limits it.

    `middle_ns`, `rate_ppb`    the two states
    `gap_ns`                   between the borders at the likeliest slope; negative: no line separates the points
    `sigma_ns`                 likely error of the middle from queueing
    `highest_ns`, `lowest_ns`  no difference at time 0 lies beyond these with a slope that is at all likely
    `rate_slack_ppb`           half the width of the slopes that are at all likely
    """

    middle_ns: float
    rate_ppb: float
    gap_ns: float
    sigma_ns: float
    highest_ns: float
    lowest_ns: float
    rate_slack_ppb: float


def lower_hull(points: list[Point]) -> list[Point]:
    """The vertices of the lower convex hull, by time."""
    hull: list[Point] = []
    for t, v in sorted(points):
        if hull and hull[-1][0] == t:
            continue  # same time: the lower came first
        while len(hull) >= 2:
            (t0, v0), (t1, v1) = hull[-2], hull[-1]
            if (v1 - v0) * (t - t0) < (v - v0) * (t1 - t0):
                break
            hull.pop()
        hull.append((t, v))
    return hull


def fit_strip(
    uppers: list[Point], lowers: list[Point], sigma0_ppb: float, limit_ppb: float, hint_ppb: float
) -> Strip:
    """Fit a line between upper and lower limits (at least one each, times <= 0), slope within ±`limit_ppb`.

    The slope's prior is 0 ± `sigma0_ppb`; near `hint_ppb` it is measured how the queueing delays spread.
    """
    flipped = [(t, -v) for t, v in lowers]
    hull_u, hull_l = lower_hull(uppers), lower_hull(flipped)
    few_ns = (min(v for _, v in uppers) + min(v for _, v in flipped)) / 8 if len(uppers) < _FEW else 0.0
    scale_u = max(_scale_ns(uppers, hint_ppb), few_ns, MIN_SCALE_NS)
    scale_l = max(_scale_ns(flipped, -hint_ppb), few_ns, MIN_SCALE_NS)
    weight_u, weight_l = len(uppers) / scale_u, len(lowers) / scale_l
    mean_u = sum(t for t, _ in uppers) / len(uppers)
    mean_l = sum(t for t, _ in lowers) / len(lowers)

    def upper(rate: float) -> float:
        return min(v - rate * t for t, v in hull_u)

    def lower(rate: float) -> float:
        return -min(v + rate * t for t, v in hull_l)

    def ascends(rate: float) -> bool:
        touch_u = min(hull_u, key=lambda p: p[1] - rate * p[0])[0]
        touch_l = min(hull_l, key=lambda p: p[1] + rate * p[0])[0]
        ascent = weight_u * (mean_u - touch_u) + weight_l * (touch_l - mean_l)
        return ascent > rate / (sigma0_ppb * sigma0_ppb)

    def likelihood(rate: float) -> float:
        borders = weight_u * (upper(rate) + rate * mean_u) - weight_l * (lower(rate) + rate * mean_l)
        return borders - (rate / sigma0_ppb) ** 2 / 2

    peak = _last(ascends, -limit_ppb, limit_ppb)
    best = likelihood(peak)

    def unlikely(rate: float) -> bool:
        return likelihood(rate) < best - _UNLIKELY

    least = _last(unlikely, -limit_ppb, peak)
    most = _last(lambda rate: not unlikely(rate), peak, limit_ppb)
    total = middle = mean = 0.0
    for node in range(_NODES):
        rate = least + (most - least) * node / (_NODES - 1)
        weight = exp(max(-50.0, min(0.0, likelihood(rate) - best)))
        total += weight
        mean += weight * rate
        middle += weight * (upper(rate) + lower(rate)) / 2
    return Strip(
        middle_ns=middle / total,
        rate_ppb=mean / total,
        gap_ns=upper(peak) - lower(peak),
        sigma_ns=sqrt((scale_u / len(uppers)) ** 2 + (scale_l / len(lowers)) ** 2) / 2,
        highest_ns=upper(most),
        lowest_ns=lower(least),
        rate_slack_ppb=(most - least) / 2,
    )


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where `holds` turns false between `low` and `high`."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _scale_ns(points: list[Point], rate_ppb: float) -> float:
    """Mean of an exponential spread above the minimum, from the median: spikes do not count."""
    levels = [v - rate_ppb * t for t, v in points]
    return (median(levels) - min(levels)) / log(2)
