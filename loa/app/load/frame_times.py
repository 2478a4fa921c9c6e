"""When each frame came to the first and to the last of those who are heard in full. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from loa.app.load.histogram import Histogram

MAX_FRAMES = 400_000
"""Frames that are remembered, two hours of sound; what comes beyond them is only counted."""


class FrameTimes:
    """Arrivals by frame. Times are ns of one clock; a frame is known by its SSRC and extended index."""

    def __init__(self) -> None:
        self._frames: dict[tuple[int, int], list[int]] = {}  # first, last, how many
        self.beyond = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, ssrc: int, index: int, at_ns: int) -> None:
        """One arrival at one endpoint."""
        self._add(ssrc, index, at_ns, at_ns, 1)

    def _add(self, ssrc: int, index: int, first_ns: int, last_ns: int, count: int) -> None:
        held = self._frames.get((ssrc, index))
        if held is None:
            if len(self._frames) >= MAX_FRAMES:
                self.beyond += count
                return
            self._frames[ssrc, index] = [first_ns, last_ns, count]
            return
        held[0] = min(held[0], first_ns)
        held[1] = max(held[1], last_ns)
        held[2] += count

    def merge(self, rows: Iterable[tuple[int, int, int, int, int]]) -> None:
        """Take over what another process has seen (`rows` of it)."""
        for ssrc, index, first_ns, last_ns, count in rows:
            self._add(ssrc, index, first_ns, last_ns, count)

    def rows(self) -> list[tuple[int, int, int, int, int]]:
        """SSRC, index, first, last, how many endpoints, for `merge`."""
        return [(ssrc, index, *_row(held)) for (ssrc, index), held in self._frames.items()]

    def spread_us(self, least: int) -> Histogram:
        """From first to last, in µs, of the frames that came to at least `least` endpoints."""
        return Histogram((last - first) // 1000 for first, last, count in self._frames.values() if count >= least)


def _row(held: list[int]) -> tuple[int, int, int]:
    first_ns, last_ns, count = held
    return first_ns, last_ns, count
