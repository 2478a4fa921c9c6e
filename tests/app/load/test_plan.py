"""Plans, shares and the timer wheel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.app.load.plan import HALF_OPEN, LoadPlan, is_loopback, loopback_address, parse_share, shares
from loa.app.load.wheel import TimerWheel
from loa.errors import ConfigError


@given(st.integers(1, 2_000), st.integers(1, 12), st.integers(0, 400))
def test_every_endpoint_has_one_process_and_the_sample_its_own(endpoints: int, processes: int, sample: int) -> None:
    dealt = shares(LoadPlan(endpoints, processes=processes, sample=sample))
    numbers = [number for share in dealt for number in share.numbers]
    assert sorted(numbers) == list(range(endpoints))
    assert sum(len(share.numbers) for share in dealt if share.sampled) == min(sample, endpoints)
    assert len(dealt) <= max(2, processes)
    assert all(share.numbers and share.at_once >= 1 for share in dealt)
    assert sum(share.at_once for share in dealt) <= max(HALF_OPEN, len(dealt)) + len(dealt)


@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_each_endpoint_has_its_own_loopback_address(one: int, other: int) -> None:
    assert (loopback_address(one) == loopback_address(other)) is (one == other)
    parts = [int(part) for part in loopback_address(one).split(".")]
    assert parts[0] == 127
    assert all(0 <= part <= 254 for part in parts)


@pytest.mark.parametrize(
    "given_",
    [
        {"endpoints": 0},
        {"endpoints": 20_001},
        {"endpoints": 1, "processes": 0},
        {"endpoints": 1, "loss": 0.6},
        {"endpoints": 1, "churn": -1},
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(given_: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        LoadPlan(**given_)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "share"), [("1%", 0.01), ("0.5 %", 0.005), ("0.02", 0.02), ("0", 0.0), ("1", 1.0)]
)
def test_a_share_is_read(text: str, share: float) -> None:
    assert parse_share(text, "--loss") == share


@pytest.mark.parametrize("text", ["", "x", "-1%", "101%", "2", "1e-3", "٣%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_share(text, "--loss")


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9", True),
        ("http://localhost:1", True),
        ("http://[::1]:8080", True),
        ("http://10.0.0.1:8080", False),
        ("https://loa.example.vn", False),
        ("http://127.0.0.1.example.vn", False),
    ],
)
def test_only_this_machine_is_loopback(url: str, local: bool) -> None:
    assert is_loopback(url) is local


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 600)), max_size=40),
)
def test_a_timer_goes_off_once_and_not_before_its_time(slot_ns: int, timers: list[tuple[int, int]]) -> None:
    """Timers (set at, due at), in the order of their setting; time goes on in steps of 7."""
    wheel: TimerWheel[int] = TimerWheel(slot_ns)
    waiting = sorted(range(len(timers)), key=lambda at: timers[at][0])
    fired: dict[int, int] = {}
    for now_ns in range(0, 1_400, 7):
        while waiting and timers[waiting[0]][0] <= now_ns:
            number = waiting.pop(0)
            wheel.set(timers[number][1], number)
        for number in wheel.due(now_ns):
            assert number not in fired
            fired[number] = now_ns
    assert len(fired) == len(timers)
    assert len(wheel) == 0
    for number, (set_ns, due_ns) in enumerate(timers):
        assert fired[number] >= due_ns
        assert fired[number] <= max(set_ns, due_ns) + 2 * slot_ns + 14
