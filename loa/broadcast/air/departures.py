"""What endpoints that have moved have left: they go on with what was on air there, on later links too."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

MAX_AREAS = 64
"""Areas that an endpoint has left which are remembered; then the first are forgotten."""
MAX_ENDPOINTS = 20_000
"""Endpoints that have moved of which that is remembered; then the first are forgotten."""


class Departures:
    """For each endpoint that has moved: the areas it has left, and when (UTC, ms)."""

    def __init__(self) -> None:
        self._left: OrderedDict[bytes, dict[bytes, int]] = OrderedDict()

    def of(self, endpoint_id: bytes) -> dict[bytes, int]:
        """What the endpoint has left."""
        return self._left.get(endpoint_id, {})

    def note(self, endpoint_id: bytes, areas: Iterable[bytes], now_ms: int) -> dict[bytes, int]:
        """It leaves these areas now; what it has left by now."""
        left = self.of(endpoint_id) | dict.fromkeys(areas, now_ms)
        while len(left) > MAX_AREAS:
            del left[next(iter(left))]
        self._left[endpoint_id] = left
        self._left.move_to_end(endpoint_id)
        while len(self._left) > MAX_ENDPOINTS:
            self._left.popitem(last=False)
        return left
