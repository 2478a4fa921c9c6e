"""Histograms, frame times, streams and tallies: what they say is what was put in."""

from __future__ import annotations

import json
import math
import random

from hypothesis import given
from hypothesis import strategies as st

from loa.app.load.frame_times import FrameTimes
from loa.app.load.heard_stream import HeardStream
from loa.app.load.histogram import Histogram
from loa.app.load.tally import OrderTimes, Tally

VALUES = st.lists(st.integers(0, 1 << 40), min_size=1, max_size=200)


@given(VALUES, st.floats(0, 1))
def test_a_quantile_is_the_sorted_list_s_to_within_a_64th(values: list[int], share: float) -> None:
    said = Histogram(values).quantile(share)
    assert said is not None
    true = sorted(values)[max(1, math.ceil(int(len(values) * share * 1_000_000) / 1_000_000)) - 1]
    assert true <= said <= true + true // 64


@given(VALUES, VALUES)
def test_two_histograms_added_are_one_of_all_values(some: list[int], others: list[int]) -> None:
    added = Histogram(some)
    added.merge(Histogram(others))
    assert added.to_json() == Histogram(some + others).to_json()
    again = Histogram.from_json(json.loads(json.dumps(added.to_json())))
    assert (again.to_json(), again.count, again.most) == (added.to_json(), len(some + others), max(some + others))


def test_an_empty_histogram_says_nothing() -> None:
    assert Histogram().quantile(0.5) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 10**12)), max_size=60), st.randoms())
def test_frame_times_are_the_same_however_the_arrivals_were_dealt(
    arrivals: list[tuple[int, int, int]], rng: random.Random
) -> None:
    whole, parts = FrameTimes(), [FrameTimes(), FrameTimes()]
    for ssrc, index, at_ns in arrivals:
        whole.add(ssrc, index, at_ns)
        rng.choice(parts).add(ssrc, index, at_ns)
    merged = FrameTimes()
    for part in parts:
        merged.merge(part.rows())
    assert sorted(merged.rows()) == sorted(whole.rows())
    for ssrc, index, first, last, count in whole.rows():
        times = [at for s, i, at in arrivals if (s, i) == (ssrc, index)]
        assert (first, last, count) == (min(times), max(times), len(times))


def test_the_spread_is_of_frames_that_came_to_enough() -> None:
    frames = FrameTimes()
    for at_ns in (5_000, 1_000, 9_000):
        frames.add(1, 7, at_ns)
    frames.add(1, 8, 0)
    spread = frames.spread_us(least=2)
    assert (spread.count, spread.most) == (1, 8)


@given(st.integers(0, 1 << 40), st.sets(st.integers(1, 298)), st.data())
def test_a_stream_misses_what_neither_came_nor_came_again(index0: int, lost: set[int], data: st.DataObject) -> None:
    repaired = data.draw(st.sets(st.sampled_from(sorted(lost)))) if lost else set()
    stream = HeardStream(index0, 20_000_000, index0 + 302, priority=64)
    for number in range(300):
        if number not in lost:
            took = stream.take(index0 + number & 0xFFFF, 1 + number * 20_000_000, silenced=False)
            assert took == (index0 + number, 0 if number else None)
    for number in repaired:
        assert stream.take(index0 + number & 0xFFFF, 10**12, silenced=False) is None
    assert stream.missing == len(lost - repaired)
    assert stream.ended() == len(lost - repaired) + 2


def test_a_stream_of_which_nothing_came_misses_nothing_here() -> None:
    """Whoever never heard it says so by its receipt: there is no telling what was sent to it."""
    assert HeardStream(1000, 20_000_000, 2000, priority=64).ended() == 0


@given(st.integers(0, 1 << 40), st.integers(0, 60_000), st.integers(-(10**9), 10**9))
def test_a_packet_is_late_when_a_card_would_have_asked_for_it_before(
    index0: int, ahead: int, early_ns: int
) -> None:
    heard_ns, frame_ns, lead_ns = 5 * 10**9, 20_000_000, 100_000_000
    stream = HeardStream(index0, frame_ns, None, 64, heard_ns, lead_ns)
    for number in range(0, ahead + 1, 30_000):
        stream.take(index0 + number & 0xFFFF, 1, silenced=True)
    number = ahead // 30_000 * 30_000
    late = stream.is_late(index0 + number & 0xFFFF, heard_ns + number * frame_ns - early_ns)
    assert late is (early_ns < lead_ns)
    assert stream.late == late


def test_what_was_not_sent_while_something_else_was_heard_is_not_missing() -> None:
    stream = HeardStream(1000, 20_000_000, None, priority=64)
    stream.take(1000, 1, silenced=False)
    stream.take(1051, 10**9, silenced=True)
    assert (stream.missing, stream.preempted) == (0, 50)


def _tally(seed: int) -> Tally:
    rng = random.Random(seed)
    made = Tally()
    made.counts["joins"] = rng.randrange(100)
    made.gauges["bound"] = rng.randrange(100)
    made.join_us.add(rng.randrange(10**6))
    made.frames.add(1, rng.randrange(5), rng.randrange(10**9))
    times = made.order("ab", "tune", "cd", 5)
    times.by_door["link"].add(rng.randrange(10**6))
    times.first.add(1)
    times.acknowledged.add(2)
    return made


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_tallies_add_up_also_after_their_way_through_json(one: int, other: int) -> None:
    here, there = _tally(one), _tally(other)
    merged = Tally.from_json(json.loads(json.dumps(here.to_json())))
    merged.merge(Tally.from_json(json.loads(json.dumps(there.to_json()))))
    assert merged.counts["joins"] == here.counts["joins"] + there.counts["joins"]
    assert merged.gauges["bound"] == here.gauges["bound"] + there.gauges["bound"]
    assert merged.join_us.count == 2
    order: OrderTimes = merged.orders["ab"]
    assert (order.by_door["link"].count, order.first.count, order.acknowledged.count) == (2, 2, 2)
