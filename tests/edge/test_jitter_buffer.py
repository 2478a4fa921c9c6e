"""Which packets are held, which are missing, and when they are asked for."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.edge.speaker.jitter_buffer import MAX_INDICES, JitterBuffer, Put

MS = 1_000_000


def buffer(first: int = 100, end: int | None = None, capacity: int = 1000) -> JitterBuffer[str]:
    return JitterBuffer(first, end=end, capacity=capacity)


def test_each_index_is_taken_once() -> None:
    b = buffer()
    assert b.put(105, "a") is Put.NEW
    assert b.put(105, "b") is Put.DUPLICATE
    assert b.get(105) == "a"


def test_what_is_over_is_late_and_what_is_out_of_reach_is_beyond() -> None:
    b = buffer(end=1050)
    b.pass_to(110)
    assert b.put(109, "a") is Put.LATE
    assert b.put(110, "a") is Put.NEW
    assert b.put(1050, "a") is Put.BEYOND
    assert buffer().put(1100, "a") is Put.BEYOND


def test_a_gap_is_asked_for_after_20_ms_and_again_after_a_round_trip() -> None:
    b = buffer()
    b.put(100, "a")
    b.put(102, "a")
    b.expect(103, now_ns=0)
    assert b.to_ask(19 * MS, 100 * MS, 10) == []
    assert b.to_ask(20 * MS, 100 * MS, 10) == [101]
    assert b.to_ask(139 * MS, 100 * MS, 10) == []
    assert b.to_ask(140 * MS, 100 * MS, 10) == [101]
    assert b.put(101, "a") is Put.REPAIRED
    assert b.to_ask(9000 * MS, 100 * MS, 10) == []


def test_what_was_not_sent_is_not_asked_for_and_taken_all_the_same() -> None:
    b = buffer()
    b.expect(103, now_ns=0)
    b.forgo(105)
    b.expect(107, now_ns=0)
    assert b.missing() == [105, 106]
    assert b.to_ask(9000 * MS, 100 * MS, 10) == [105, 106]
    assert b.put(102, "a") is Put.NEW
    b.forgo(102)
    assert b.missing() == [105, 106]


def test_an_item_far_ahead_makes_nothing_before_it_missing() -> None:
    b = buffer()
    b.put(150, "forged")
    b.expect(102, now_ns=0)
    assert b.missing() == [100, 101]


def test_what_should_have_come_is_asked_for_though_nothing_came_after_it() -> None:
    b = buffer(end=104)
    b.expect(200, now_ns=0)
    assert b.missing() == [100, 101, 102, 103]
    assert b.to_ask(20 * MS, 0, 3) == [100, 101, 102]
    assert b.to_ask(20 * MS, 0, 3) == [103]
    assert b.to_ask(59 * MS, 0, 9) == []
    assert b.to_ask(60 * MS, 0, 9) == [100, 101, 102, 103]


def test_a_packet_that_only_overtook_is_never_asked_for() -> None:
    b = buffer()
    b.put(101, "a")
    b.expect(100, now_ns=0)
    assert b.put(100, "a") is Put.NEW
    assert b.to_ask(500 * MS, 0, 9) == []


def test_a_false_item_is_asked_for_at_once() -> None:
    b = buffer()
    b.put(100, "forged")
    b.reopen(100, 5 * MS)
    assert b.to_ask(5 * MS, 0, 9) == [100]
    assert b.put(100, "true") is Put.REPAIRED


def test_what_is_over_is_not_missing() -> None:
    b = buffer()
    b.expect(150, 0)
    b.pass_to(149)
    assert b.missing() == [149]
    b.pass_to(100_000)
    assert b.missing() == []
    b.expect(100_001, 0)
    assert b.missing() == [100_000]


def test_the_capacity_has_a_bound() -> None:
    with pytest.raises(ValueError, match="indices"):
        buffer(capacity=MAX_INDICES + 1)


@pytest.mark.parametrize("seed", range(5))
def test_every_packet_comes_in_the_end_under_heavy_loss(seed: int) -> None:
    rng = random.Random(seed)
    b = buffer(first=0, end=200, capacity=400)
    on_the_way: list[tuple[int, int]] = []  # arrival, index
    for now_ms in range(0, 9000, 5):
        if now_ms % 20 == 0 and now_ms < 4000 and rng.random() > 0.3:
            on_the_way.append((now_ms + rng.randrange(30), now_ms // 20))
        for arrival, index in list(on_the_way):
            if arrival <= now_ms:
                on_the_way.remove((arrival, index))
                b.put(index, "a")
        b.expect(now_ms // 20, now_ms * MS)
        on_the_way += [
            (now_ms + 40 + rng.randrange(20), index)
            for index in b.to_ask(now_ms * MS, 40 * MS, 50)
            if rng.random() > 0.3
        ]
    assert len(b) == 200, f"seed {seed}"
    assert b.missing() == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["put", "expect", "pass", "reopen"]), st.integers(90, 400))))
def test_held_and_missing_never_overlap_and_are_bounded(steps: list[tuple[str, int]]) -> None:
    b = buffer(capacity=50, end=380)
    for now_ns, (what, index) in enumerate(steps):
        if what == "put":
            b.put(index, "a")
        elif what == "expect":
            b.expect(index, now_ns)
        elif what == "pass":
            b.pass_to(index)
        else:
            b.reopen(index, now_ns)
        assert not any(index in b for index in b.missing())
        assert all(b.first <= index < 380 for index in b.missing())
        assert len(b) + len(b.missing()) <= 50
