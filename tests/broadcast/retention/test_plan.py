"""What is due when: everything in its period, what failed sooner, and nothing right after the start."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.retention.plan import FIRST_S, NS_PER_S, RETRY_S, Plan

HOUR_S, DAY_S = 3_600, 86_400
START_NS = 7 * NS_PER_S


def at(seconds: float) -> int:
    return START_NS + round(seconds * NS_PER_S)


def test_a_start_is_left_in_peace() -> None:
    plan = Plan({"events": DAY_S, "sounds": HOUR_S}, START_NS)
    assert plan.due(at(FIRST_S - 1)) == []
    assert plan.wait_s(at(0)) == FIRST_S
    assert plan.due(at(FIRST_S)) == ["events", "sounds"]
    assert plan.wait_s(at(FIRST_S + 5)) == 0


def test_what_is_done_is_due_in_its_period_and_what_failed_sooner() -> None:
    plan = Plan({"events": DAY_S, "sounds": HOUR_S, "often": 60}, START_NS)
    now_s = FIRST_S + 100
    plan.done("events", at(now_s), well=False)
    plan.done("sounds", at(now_s), well=True)
    plan.done("often", at(now_s), well=False)
    assert plan.wait_s(at(now_s)) == 60
    assert plan.due(at(now_s + 60)) == ["often"]
    assert plan.due(at(now_s + RETRY_S)) == ["often", "events"]
    assert plan.due(at(now_s + HOUR_S)) == ["often", "events", "sounds"]


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(60, 3 * DAY_S), min_size=1),
    st.lists(st.tuples(st.integers(0, 2 * DAY_S), st.booleans()), max_size=30),
)
def test_whatever_happens_everything_comes_to_its_turn(
    periods: dict[str, int], steps: list[tuple[int, bool]]
) -> None:
    plan, now_s = Plan(periods, START_NS), 0
    last: dict[str, tuple[int, bool]] = {}
    for later_s, well in steps:
        now_s += later_s
        due = plan.due(at(now_s))
        assert bool(due) == (plan.wait_s(at(now_s)) == 0)
        for name, period_s in periods.items():
            done_s, was_well = last.get(name, (FIRST_S - period_s, True))
            pause_s = period_s if was_well else min(RETRY_S, period_s)
            assert (name in due) == (now_s >= done_s + pause_s)
        for name in due:
            plan.done(name, at(now_s), well=well)
            last[name] = (now_s, well)
        assert plan.due(at(now_s)) == []
