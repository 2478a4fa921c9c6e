import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.errors import ConfigError
from loa.timing.clock import Skew, SkewedClock, SystemClock, VirtualClock, parse_skew

S = 1_000_000_000


def test_the_system_clock_is_the_machines() -> None:
    clock = SystemClock()
    before, now, after = time.monotonic_ns(), clock.monotonic_ns(), time.monotonic_ns()
    assert before <= now <= after
    before, now, after = time.time_ns(), clock.utc_ns(), time.time_ns()
    assert abs(now - before) < 3600 * S
    assert after > 0


def test_a_virtual_clock_moves_only_when_told() -> None:
    clock = VirtualClock(5, utc_offset_ns=100)
    assert (clock.monotonic_ns(), clock.utc_ns()) == (5, 105)
    clock.advance(7)
    clock.set(20)
    assert (clock.monotonic_ns(), clock.utc_ns()) == (20, 120)
    with pytest.raises(ValueError, match="back"):
        clock.set(19)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_a_skewed_clock_gains_its_rate_and_carries_utc_with_it() -> None:
    base = VirtualClock(0, utc_offset_ns=1_700_000_000 * S)
    clock = SkewedClock(base, 3600 * S, 80)
    assert clock.monotonic_ns() == 3600 * S
    base.advance(1_000_000 * S)
    assert clock.monotonic_ns() == 3600 * S + 1_000_080 * S
    assert clock.utc_ns() - base.utc_ns() == 3680 * S


def test_a_skewed_clock_refuses_a_rate_that_is_none() -> None:
    with pytest.raises(ValueError, match="ppm"):
        SkewedClock(VirtualClock(0), 0, -1_000_000)


@given(
    base_ns=st.integers(0, 10**19),
    offset_ns=st.integers(-(10**16), 10**16),
    ppm=st.fractions(-10_000, 10_000, max_denominator=1000),
)
def test_a_skew_is_undone_within_two_nanoseconds(base_ns: int, offset_ns: int, ppm: Fraction) -> None:
    clock = SkewedClock(VirtualClock(base_ns), offset_ns, ppm)
    back_ns = clock.base_from_local(clock.monotonic_ns())
    assert abs(back_ns - base_ns) <= 2
    if ppm >= 0:
        assert back_ns == base_ns


@pytest.mark.parametrize(
    ("text", "skew"),
    [
        ("3600s,+80ppm", Skew(3600 * S, Fraction(80))),
        ("-1.5ms", Skew(-1_500_000, Fraction(0))),
        ("-0.25ppm", Skew(0, Fraction(-1, 4))),
        (" -80ppm , 1h ", Skew(3600 * S, Fraction(-80))),
        ("2min", Skew(120 * S, Fraction(0))),
        ("7 us", Skew(7_000, Fraction(0))),
    ],
)
def test_a_skew_is_read_from_an_option(text: str, skew: Skew) -> None:
    assert parse_skew(text) == skew


@pytest.mark.parametrize(
    "text",
    ["", ",", "5", "5x", "1s,2s", "1ppm,2ppm", "1e9s", "--1s", "٣s", "9999999h", "20000ppm", "1s,", "s" * 5000],
)
def test_what_is_no_skew_is_a_clear_error(text: str) -> None:
    with pytest.raises(ConfigError, match="clock skew"):
        parse_skew(text)


@given(st.text(alphabet="0123456789+-., nuµmshpi", max_size=40))
def test_reading_a_skew_never_fails_otherwise(text: str) -> None:
    try:
        skew = parse_skew(text)
    except ConfigError:
        return
    assert isinstance(skew.offset_ns, int)
