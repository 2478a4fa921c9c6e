"""Who asks too fast waits, and costs nobody else anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from loa.broadcast.live import redis_line
from loa.broadcast.live.redis_address import parse
from loa.broadcast.live.redis_line import RedisLine
from loa.control_api import rate_limits
from loa.control_api.rate_limits import LocalRateLimits
from loa.control_api.shared_rate_limits import SharedRateLimits
from loa.timing.clock import VirtualClock
from tests.valkey import valkey_server


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


async def test_processes_count_together_and_without_redis_each_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_line, "RETRY_S", 3600)
    with valkey_server(tmp_path) as server:
        line = RedisLine(parse(server.url))
        one, two = (
            SharedRateLimits(line, LocalRateLimits(VirtualClock(), 0.01, 2), a_second=0.01, burst=5) for _ in "12"
        )
        waits = [await (one, two)[number % 2].take("a") for number in range(8)]
        assert waits[:5] == [0] * 5
        assert all(90 < wait <= 100 for wait in waits[5:])  # refusals cost nothing more
        assert await one.take("b") == 0
        assert int(server.ask(b"PTTL loa:rate:a")[1:]) <= 500_001
        server.kill()
        assert [await one.take("a") for _ in range(3)] == [0, 0, 100]
        assert [await two.take("a") for _ in range(3)] == [0, 0, 100]
        await line.close()


async def test_a_caller_who_waited_may_ask_again(tmp_path: Path) -> None:
    with valkey_server(tmp_path) as server:
        line = RedisLine(parse(server.url))
        limits = SharedRateLimits(line, LocalRateLimits(VirtualClock(), 1, 1), a_second=50, burst=1)
        assert await limits.take("a") == 0
        while await limits.take("a"):
            pass  # not for ever
        await line.close()
