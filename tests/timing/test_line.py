from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.timing.line import NS_PER_S, SAMPLE_RATE_HZ, FrameGrid, ns_to_samples_floor, samples_to_ns

times = st.integers(-(2**62), 2**62)
indexes = st.integers(0, 2**48)
grids = st.builds(
    FrameGrid,
    start_ns=times,
    index0=indexes,
    timestamp0=st.integers(0, 2**32 - 1),
    frame_samples=st.sampled_from([1, 7, 120, 240, 480, 960, 1920, 2880]),
)


def test_known_durations() -> None:
    assert samples_to_ns(SAMPLE_RATE_HZ) == NS_PER_S
    assert [samples_to_ns(n) for n in (-1, 0, 1, 2, 3)] == [-20834, 0, 20833, 41666, 62500]
    assert [ns_to_samples_floor(ns) for ns in (-1, 0, 20832, 20833, 41665, 41666)] == [-1, 0, 0, 1, 1, 2]


@given(st.integers(-(2**62), 2**62))
def test_samples_survive_the_way_through_nanoseconds(samples: int) -> None:
    ns = samples_to_ns(samples)
    assert ns_to_samples_floor(ns) == samples
    assert ns_to_samples_floor(ns - 1) == samples - 1


@given(grids, st.integers(-(2**40), 2**40))
def test_a_frame_is_due_at_its_exact_instant_rounded_down(grid: FrameGrid, ahead: int) -> None:
    exact = grid.start_ns + Fraction(ahead * grid.frame_samples * NS_PER_S, SAMPLE_RATE_HZ)
    assert 0 <= exact - grid.due_ns(grid.index0 + ahead) < 1


@given(grids, indexes)
def test_the_frame_at_an_instant_is_the_last_one_due(grid: FrameGrid, index: int) -> None:
    due_ns = grid.due_ns(index)
    assert grid.index_at(due_ns) == index
    assert grid.index_at(due_ns - 1) == index - 1
    assert grid.index_at(grid.due_ns(index + 1) - 1) == index


@given(grids, indexes, st.integers(-(2**20), 2**20))
def test_a_timestamp_finds_its_index_through_any_wrap(grid: FrameGrid, index: int, away: int) -> None:
    timestamp = grid.timestamp(index)
    assert 0 <= timestamp < 2**32
    assert grid.index_of_timestamp(timestamp, index + away) == index


def test_a_timestamp_within_a_frame_belongs_to_that_frame() -> None:
    grid = FrameGrid(0, 1000, 2**32 - 960, 960)
    assert grid.timestamp(1001) == 0
    assert [grid.index_of_timestamp(ts, 1000) for ts in (2**32 - 961, 2**32 - 960, 2**32 - 1, 0, 959, 960)] == [
        999,
        1000,
        1000,
        1001,
        1001,
        1002,
    ]


@pytest.mark.parametrize("frame_samples", [120, 960, 1024, 2880])
def test_twenty_six_hours_do_not_drift(frame_samples: int) -> None:
    grid = FrameGrid(123_456_789, 17, 4_000_000_000, frame_samples)
    seconds = 26 * 3600
    frames = seconds * SAMPLE_RATE_HZ // frame_samples
    index = 17 + frames
    assert grid.due_ns(index) == 123_456_789 + frames * frame_samples * NS_PER_S // SAMPLE_RATE_HZ
    assert grid.timestamp(index) == (4_000_000_000 + frames * frame_samples) % 2**32
    assert grid.index_of_timestamp(grid.timestamp(index), index - 50) == index
    steps = {grid.due_ns(i + 1) - grid.due_ns(i) for i in range(index - 1000, index)}
    assert max(steps) - min(steps) <= 1


@given(grids, st.integers(-(2**60), 2**60))
def test_the_position_at_an_instant_is_exact(grid: FrameGrid, away_ns: int) -> None:
    position = grid.sample_at(grid.start_ns + away_ns)
    assert position * NS_PER_S == away_ns * SAMPLE_RATE_HZ
    whole = ns_to_samples_floor(away_ns)
    assert grid.ns_of_sample(whole) <= grid.start_ns + away_ns < grid.ns_of_sample(whole + 1)


def test_a_frame_holds_sound() -> None:
    with pytest.raises(ValueError, match="frame"):
        FrameGrid(0, 0, 0, 0)
