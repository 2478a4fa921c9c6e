"""How fast one caller may ask: a token bucket each, by who they are, or by address where that is not known.

A caller who asks too fast is told when to come back, and costs nothing more. What may save lives (stops, starts) is
counted apart, so that nothing else that a caller does can hold it up.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from aiohttp import web

from loa.control_api.handed_over import HANDED_OVER
from loa.control_api.operation import OPERATION
from loa.control_api.problems import Problem
from loa.timing.clock import Clock
from loa.timing.token_bucket import TokenBucket

MAX_CALLERS = 20_000
"""Callers that are remembered; who asked least recently is forgotten first, and starts with a full bucket."""


class RateLimits(Protocol):
    """Counts what callers ask for."""

    async def take(self, caller: str) -> float:
        """Count one request of a caller: 0 when it may go on, else the seconds after which it may come again."""


class LocalRateLimits:
    """Counts within this process."""

    def __init__(self, clock: Clock, a_second: float, burst: int) -> None:
        self._clock = clock
        self._a_second = a_second
        self._burst = burst
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    async def take(self, caller: str) -> float:
        """See RateLimits."""
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = TokenBucket(self._a_second, self._burst)
            if len(self._buckets) > MAX_CALLERS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(caller)
        return 0.0 if bucket.take(self._clock.monotonic_ns()) else 1 / self._a_second


LIMITS = web.AppKey("limits", RateLimits)
_OPEN = ("/healthz", "/readyz", "/link")
"""Health is asked by balancers, and links have limits of their own (control_api/link_socket.py)."""


async def pass_or_wait(request: web.Request, caller: str) -> None:
    """Problem 429 `too-fast` when the caller has asked too often. What was handed over has been counted before."""
    operation = request.get(OPERATION)
    if (operation is not None and operation.path in _OPEN) or HANDED_OVER in request:
        return
    urgent = operation is not None and operation.urgent
    wait_s = await request.app[LIMITS].take(f"urgent {caller}" if urgent else caller)
    if wait_s > 0:
        headers = {"Retry-After": str(max(1, round(wait_s)))}
        raise Problem(429, "too-fast", "too many requests; try again", headers=headers)
