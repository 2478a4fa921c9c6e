"""Who asks too fast waits, and costs nobody else anything."""

from __future__ import annotations

from loa.control_api import rate_limits
from loa.control_api.rate_limits import LocalRateLimits
from loa.timing.clock import VirtualClock


async def test_a_caller_has_its_burst_and_then_its_rate() -> None:
    clock = VirtualClock()
    limits = LocalRateLimits(clock, a_second=2, burst=5)
    assert [await limits.take("a") for _ in range(6)] == [0, 0, 0, 0, 0, 0.5]
    assert await limits.take("b") == 0
    clock.advance(500_000_000)
    assert [await limits.take("a") for _ in range(2)] == [0, 0.5]


async def test_callers_that_are_remembered_are_bounded() -> None:
    limits = LocalRateLimits(VirtualClock(), a_second=1, burst=1)
    for number in range(rate_limits.MAX_CALLERS + 10):
        await limits.take(str(number))
    assert len(limits._buckets) == rate_limits.MAX_CALLERS
