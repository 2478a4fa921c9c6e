"""Failed sign-ins in the audit log: each is counted in an entry, and no number of them fills it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.people.failure_tally import BURST, EACH_MS, EVERY_S, KEPT, OTHERS, FailureTally

NOW_MS = 1_790_000_000_000


def test_the_first_failure_is_told_at_once_and_the_next_with_it_a_minute_later() -> None:
    tally = FailureTally()
    assert tally.failed("user:1", NOW_MS) == 1
    assert [tally.failed("user:1", NOW_MS + 1) for _ in range(5)] == [0] * 5
    assert tally.failed("user:2", NOW_MS + 1) == 1
    assert tally.failed("user:1", NOW_MS + EACH_MS) == 6


def test_a_success_tells_what_was_still_to_be_told() -> None:
    tally = FailureTally()
    for _ in range(4):
        tally.failed("user:1", NOW_MS)
    assert tally.untold("user:1") == 3
    tally.forget("user:1")
    assert tally.untold("user:1") == 0
    assert tally.due(NOW_MS + EACH_MS) == []


def test_what_is_left_is_told_when_it_is_due_and_then_forgotten() -> None:
    tally = FailureTally()
    for _ in range(4):
        tally.failed("user:1", NOW_MS)
    assert tally.due(NOW_MS + EACH_MS - 1) == []
    assert tally.due(NOW_MS + EACH_MS) == [("user:1", 3)]
    assert tally.due(NOW_MS + 2 * EACH_MS) == []
    assert tally.failed("user:1", NOW_MS + 2 * EACH_MS) == 1


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20_000), st.sampled_from(["fail", "win", "due"]))))
def test_every_failure_is_told_once_and_the_entries_are_bounded(events: list[tuple[int, int, str]]) -> None:
    tally, now_ms, failed, told, entries = FailureTally(), NOW_MS, 0, 0, 0
    for number, pause_ms, kind in events:
        now_ms += pause_ms
        if kind == "fail":
            failed += 1
            count = tally.failed(f"user:{number}", now_ms)
            told, entries = told + count, entries + (count > 0)
        elif kind == "win":
            told += tally.untold(f"user:{number}")
            tally.forget(f"user:{number}")
        else:
            due = tally.due(now_ms)
            told, entries = told + sum(count for _, count in due), entries + len(due)
    assert entries <= BURST + (now_ms - NOW_MS) / (EVERY_S * 1000)
    for _ in range(60):
        now_ms += EACH_MS
        told += sum(count for _, count in tally.due(now_ms))
    assert told == failed


def test_more_subjects_than_are_kept_are_counted_together() -> None:
    tally = FailureTally()
    told = sum(tally.failed(f"user:{number}", NOW_MS) for number in range(KEPT + 100))
    now_ms = NOW_MS
    seen: dict[str, int] = {}
    while told + sum(seen.values()) < KEPT + 100:
        now_ms += BURST * EVERY_S * 1000
        for subject, count in tally.due(now_ms):
            seen[subject] = seen.get(subject, 0) + count
    assert seen[OTHERS] > 1


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    tally = FailureTally()
    assert tally.failed("user:1", NOW_MS) == 1
    assert tally.failed("user:1", NOW_MS - 10 * EACH_MS) == 1
