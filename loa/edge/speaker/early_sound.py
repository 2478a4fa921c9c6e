"""Sound that comes before its order: kept for a moment, and heard when the order is there.

The order leaves within milliseconds of the first frame, and the network may turn the two round. Nothing is believed
of what is kept: it is judged by the order's keys when it is heard, like all other sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import NamedTuple

MOST = 32
"""Packets that are kept; with one more the oldest goes."""
KEPT_NS = 500_000_000
"""What came longer ago is no use: it should have been heard."""
MAX_BYTES = 2_048
"""No packet of sound is longer."""


class Early(NamedTuple):
    """A packet, its SSRC, and when it came: origin and local time. `dropped`: it was counted as of no use."""

    ssrc: int
    packet: bytes
    origin_ns: int
    now_ns: int
    dropped: bool


class EarlySound:
    """The last packets of sound that no order was there for."""

    def __init__(self) -> None:
        self._kept: deque[Early] = deque(maxlen=MOST)

    def put(self, early: Early) -> None:
        """Keep a packet."""
        if len(early.packet) <= MAX_BYTES:
            self._kept.append(early)

    def take(self, ssrcs: Collection[int], now_ns: int) -> list[Early]:
        """Those of these SSRCs that came within KEPT_NS, in the order they came; they are not kept any more."""
        taken = [each for each in self._kept if each.ssrc in ssrcs]
        self._kept = deque((each for each in self._kept if each.ssrc not in ssrcs), MOST)
        return [each for each in taken if each.now_ns >= now_ns - KEPT_NS]
