"""Clocks as values that are passed in: the system's, one that runs wrong on purpose, and one moved by hand.

Whoever needs the time takes a `Clock`. Nanoseconds are plain integers; two clocks' readings are never compared
without a `loa.timing.filter.ClockFilter` between them.
"""

import re
import time
from fractions import Fraction
from typing import NamedTuple, Protocol

from loa.errors import ConfigError

PPM = 1_000_000
MAX_SKEW_OFFSET_NS = 366 * 86_400 * 1_000_000_000
MAX_SKEW_PPM = 10_000

_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([+-]?[0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(ns|us|ms|s|min|h|ppm)", re.ASCII)


class Clock(Protocol):
    """What tells the time. `monotonic_ns` never runs backwards; `utc_ns` counts from 1970 UTC and may step."""

    def monotonic_ns(self) -> int: ...

    def utc_ns(self) -> int: ...


class SystemClock:
    """The clocks of this machine."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        return time.time_ns()


class VirtualClock:
    """A clock that stands still until it is moved. UTC is the monotonic time plus a fixed `utc_offset_ns`."""

    def __init__(self, start_ns: int = 0, utc_offset_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._utc_offset_ns = utc_offset_ns

    def monotonic_ns(self) -> int:
        return self._now_ns

    def utc_ns(self) -> int:
        return self._now_ns + self._utc_offset_ns

    def advance(self, ns: int) -> None:
        """Move forward by `ns` (>= 0, else ValueError)."""
        self.set(self._now_ns + ns)

    def set(self, ns: int) -> None:
        """Move to `ns`; ValueError when that is in the past, for the time is monotonic."""
        if ns < self._now_ns:
            raise ValueError(f"a monotonic clock does not go back from {self._now_ns} to {ns}")
        self._now_ns = ns


class SkewedClock:
    """A clock that is wrong by a known offset and rate: local = base + offset + base * rate / 10^6, rounded down.

    The base's zero is the pivot, so that another process on the same machine which knows `offset_ns` and
    `rate_ppm` can undo the skew. The pivot of UTC is the same instant: UTC is wrong by as much as the monotonic
    time is. Rates are limited to ±`MAX_SKEW_PPM` (ValueError).
    """

    def __init__(self, base: Clock, offset_ns: int, rate_ppm: int | Fraction) -> None:
        self._base = base
        self.offset_ns = offset_ns
        self.rate_ppm = Fraction(rate_ppm)
        if abs(self.rate_ppm) > MAX_SKEW_PPM:
            raise ValueError(f"a rate of {rate_ppm} ppm is not within ±{MAX_SKEW_PPM} ppm")
        self._scale = 1 + self.rate_ppm / PPM

    def monotonic_ns(self) -> int:
        return self.local_from_base(self._base.monotonic_ns())

    def utc_ns(self) -> int:
        base_ns = self._base.monotonic_ns()
        return self._base.utc_ns() + self.local_from_base(base_ns) - base_ns

    def local_from_base(self, base_ns: int) -> int:
        """What this clock shows when its base shows `base_ns`."""
        return self.offset_ns + base_ns * self._scale.numerator // self._scale.denominator

    def base_from_local(self, local_ns: int) -> int:
        """What the base shows when this clock shows `local_ns`; off by at most 2 ns (exact for rates >= 0)."""
        return -((self.offset_ns - local_ns) * self._scale.denominator // self._scale.numerator)


class Skew(NamedTuple):
    """How wrong a `SkewedClock` is."""

    offset_ns: int
    rate_ppm: Fraction


def parse_skew(text: str) -> Skew:
    """Read an option such as `3600s,+80ppm`: an offset (ns, us, ms, s, min, h), a rate (ppm), or both.

    Decimals are exact; an offset is rounded to whole nanoseconds. ConfigError on anything else, on a part given
    twice, and beyond a year or `MAX_SKEW_PPM`.
    """
    offset_ns: int | None = None
    rate_ppm: Fraction | None = None
    shown = text if len(text) <= 60 else text[:60] + "…"
    for part in text[:200].split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ConfigError(f"clock skew {shown!r}: {part.strip()[:60]!r} is not like 3600s or +80ppm")
        value, unit = Fraction(match[1]), match[2]
        if unit == "ppm":
            if rate_ppm is not None:
                raise ConfigError(f"clock skew {shown!r}: two rates")
            rate_ppm = value
        else:
            if offset_ns is not None:
                raise ConfigError(f"clock skew {shown!r}: two offsets")
            offset_ns = round(value * _UNIT_NS[unit])
    skew = Skew(offset_ns or 0, rate_ppm or Fraction(0))
    if abs(skew.offset_ns) > MAX_SKEW_OFFSET_NS:
        raise ConfigError(f"clock skew {shown!r}: an offset of more than a year")
    if abs(skew.rate_ppm) > MAX_SKEW_PPM:
        raise ConfigError(f"clock skew {shown!r}: a rate of more than {MAX_SKEW_PPM} ppm")
    return skew
