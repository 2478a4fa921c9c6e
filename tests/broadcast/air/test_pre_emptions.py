"""What is noted down of pre-emptions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air.pre_emptions import MAX_PRE_EMPTIONS, noted
from loa.broadcast.records import PreEmption


def test_one_goes_on_until_nobody_is_pre_empted_and_keeps_the_most() -> None:
    so_far = noted((), 3, 1_000)
    assert so_far == (PreEmption(1_000, None, 3),)
    so_far = noted(noted(so_far, 7, 2_000), 2, 3_000)
    assert so_far == (PreEmption(1_000, None, 7),)
    so_far = noted(so_far, 0, 4_000)
    assert so_far == (PreEmption(1_000, 4_000, 7),)
    assert noted(so_far, 0, 5_000) == so_far
    assert noted(so_far, 1, 6_000) == (*so_far, PreEmption(6_000, None, 1))


def test_a_clock_that_was_set_back_makes_no_negative_time() -> None:
    assert noted(noted((), 1, 1_000), 0, 500) == (PreEmption(1_000, 1_000, 1),)


@given(st.lists(st.integers(0, 5), max_size=300))
def test_there_are_never_too_many_and_what_is_pre_empted_now_shows(counts: list[int]) -> None:
    so_far: tuple[PreEmption, ...] = ()
    for now_ms, endpoints in enumerate(counts):
        so_far = noted(so_far, endpoints, now_ms)
        assert bool(endpoints) == bool(so_far and so_far[-1].to_ms is None)
        assert all(each.to_ms is not None for each in so_far[:-1])
        assert len(so_far) <= MAX_PRE_EMPTIONS
    assert [each.from_ms for each in so_far] == sorted(each.from_ms for each in so_far)
    assert max((each.endpoints for each in so_far), default=0) == max(counts, default=0)
