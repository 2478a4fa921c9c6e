"""How much a token bucket grants."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loa.timing.token_bucket import NS_PER_S, TokenBucket


def test_it_grants_the_burst_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(10, 5)
    assert [bucket.take(0) for _ in range(6)] == [True] * 5 + [False]
    assert not bucket.take(NS_PER_S // 10 - 1)
    assert bucket.take(NS_PER_S // 10)
    assert sum(bucket.take(60 * NS_PER_S) for _ in range(100)) == 5


@given(times=st.lists(st.integers(0, 20 * NS_PER_S), max_size=200))
def test_no_span_of_time_grants_more_than_burst_and_rate(times: list[int]) -> None:
    bucket = TokenBucket(10, 5)
    granted = sum(bucket.take(at) for at in times)
    longest_s = max(times, default=0) / NS_PER_S
    assert granted <= 5 + 10 * longest_s + 1e-6


def test_time_that_runs_backwards_earns_nothing() -> None:
    bucket = TokenBucket(1, 1)
    assert bucket.take(10 * NS_PER_S)
    assert not bucket.take(0)
    assert not bucket.take(10 * NS_PER_S)
    assert bucket.take(11 * NS_PER_S)
