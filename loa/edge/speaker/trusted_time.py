"""Trusted UTC, and the origin's time as far as the link alone tells it (docs/protocol.md, *Time*).

Both come from the newest verified welcome or beacon, carried on by the local monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from loa.codecs.statement_wire import Beacon

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Point:
    local_ns: int
    beacon: Beacon


class TrustedTime:
    """What verified statements say of the time. The device's wall clock is never asked."""

    def __init__(self) -> None:
        self._anchor: _Point | None = None  # the welcome: fresh, it answers a nonce
        self._utc: _Point | None = None

    @property
    def epoch(self) -> bytes:
        """The time line in force; empty before the first welcome."""
        return self._anchor.beacon.epoch if self._anchor else b""

    def welcome(self, beacon: Beacon, local_ns: int) -> None:
        """Take the time that a verified welcome states, which came at `local_ns`."""
        self._anchor = self._utc = _Point(local_ns, beacon)

    def beacon(self, beacon: Beacon) -> bool:
        """Take a verified beacon. False for one of another epoch, and for one older than what is known."""
        if self._anchor is None or self._utc is None or beacon.epoch != self._anchor.beacon.epoch:
            return False
        if beacon.origin_ns <= self._utc.beacon.origin_ns:
            return False
        local_ns = self._anchor.local_ns + beacon.origin_ns - self._anchor.beacon.origin_ns
        self._utc = _Point(local_ns, beacon)
        return True

    def utc_ns(self, local_ns: int) -> int | None:
        """UTC when the local clock shows `local_ns`; None without a link since the start."""
        return None if self._utc is None else self._utc.beacon.utc_ns + local_ns - self._utc.local_ns

    def utc_ms(self, local_ns: int) -> int | None:
        """UTC in milliseconds, rounded down; None without a link since the start."""
        utc_ns = self.utc_ns(local_ns)
        return None if utc_ns is None else utc_ns // NS_PER_MS

    def coarse_origin_ns(self, local_ns: int) -> int | None:
        """Origin time to within the welcome's way here and the clocks' drift since: good for telling a packet's
        index and its lateness in seconds, not for playing. None before the first welcome."""
        return None if self._anchor is None else self._anchor.beacon.origin_ns + local_ns - self._anchor.local_ns
