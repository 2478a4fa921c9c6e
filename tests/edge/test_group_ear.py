"""When an endpoint says that it hears its group, and when that it does not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs.group_wire import GroupMessage, Hearing
from loa.edge.speaker.group_ear import GRACE_NS, HOLD_NS, MAX_HOLD_NS, QUIET_NS, SILENT_NS, GroupEar, Membership

MS, S = 1_000_000, 1_000_000_000
TICK_NS = 10 * MS
HALL = GroupMessage(1, "232.1.0.1", 5004)
SERVER = "192.0.2.1"


@pytest.fixture
def ear() -> GroupEar:
    made = GroupEar()
    made.told(HALL)
    return made


def run(
    ear: GroupEar, from_ns: int, to_ns: int, *, sound_due: bool, beats: bool = True, sound: bool = False
) -> None:
    for now_ns in range(from_ns, to_ns, TICK_NS):
        if beats and now_ns % (2 * S) == 0:
            ear.heard(now_ns)
        if sound:
            ear.heard(now_ns, sound=True)
        ear.tick(now_ns, sound_due=sound_due)


def test_a_group_is_where_the_server_is_unless_it_says_otherwise(ear: GroupEar) -> None:
    assert ear.membership(SERVER) == Membership("232.1.0.1", 5004, SERVER)
    ear.told(GroupMessage(2, "232.1.0.1", 5004, "192.0.2.9"))
    assert ear.membership(SERVER) == Membership("232.1.0.1", 5004, "192.0.2.9")
    ear.told(GroupMessage(3, "ff35::1", 5004))
    assert ear.membership(SERVER) is None  # the server is of the other family, and no source is named
    ear.told(GroupMessage(4))
    assert ear.membership(SERVER) is None


def test_nothing_is_said_of_a_group_before_it_is_heard(ear: GroupEar) -> None:
    run(ear, 0, 60 * S, sound_due=True, beats=False)
    assert (ear.take_news(), ear.hearing) == (None, False)


def test_a_beat_is_enough_to_hear_it_and_three_that_fail_not_to(ear: GroupEar) -> None:
    ear.heard(0)
    assert ear.take_news() == Hearing(1, True)
    assert ear.take_news() is None
    run(ear, 0, SILENT_NS, sound_due=False, beats=False)
    assert (ear.take_news(), ear.hearing) == (None, True)
    ear.tick(SILENT_NS + 1, sound_due=False)
    assert ear.take_news() == Hearing(1, False)
    ear.heard(SILENT_NS + 2)
    assert ear.take_news() == Hearing(1, True)
    assert ear.lost == 1


def test_sound_that_is_due_and_does_not_come_is_asked_for_elsewhere_at_once(ear: GroupEar) -> None:
    run(ear, 0, 4 * S, sound_due=False)
    assert ear.take_news() == Hearing(1, True)
    run(ear, 4 * S, 5 * S, sound_due=True, sound=True)
    run(ear, 5 * S, 5 * S + QUIET_NS - TICK_NS, sound_due=True)
    assert ear.hearing
    run(ear, 5 * S + QUIET_NS - TICK_NS, 5 * S + QUIET_NS + 2 * TICK_NS, sound_due=True)
    assert ear.take_news() == Hearing(1, False)


def test_who_has_just_said_that_it_hears_gives_the_server_time_to_send(ear: GroupEar) -> None:
    run(ear, 0, GRACE_NS, sound_due=True)
    assert ear.hearing
    run(ear, GRACE_NS, GRACE_NS + QUIET_NS + 2 * TICK_NS, sound_due=True)
    assert not ear.hearing


def test_a_group_that_brings_beats_and_no_sound_is_believed_ever_more_seldom(ear: GroupEar) -> None:
    heard_ns = []
    for now_ns in range(0, 1_500 * S, 100 * MS):
        before = ear.hearing
        if now_ns % (2 * S) == 0:
            ear.heard(now_ns)
        ear.tick(now_ns, sound_due=True)
        if ear.hearing and not before:
            heard_ns.append(now_ns)
    waits = [later - earlier for earlier, later in itertools.pairwise(heard_ns)]
    assert waits == sorted(waits)
    assert waits[0] < 2 * HOLD_NS < MAX_HOLD_NS <= waits[-1] < MAX_HOLD_NS + 5 * S
    assert len(heard_ns) < 12


def test_another_group_is_heard_anew_and_a_new_link_forgets_it(ear: GroupEar) -> None:
    ear.heard(0)
    ear.told(GroupMessage(2, "232.1.0.2", 5004))
    assert (ear.hearing, ear.take_news()) == (False, None)
    ear.heard(1)
    assert ear.take_news() == Hearing(2, True)
    ear.new_link()
    assert (ear.hearing, ear.take_news(), ear.membership(SERVER)) == (False, None, None)
    ear.heard(2)
    assert not ear.hearing


def test_who_gets_its_sound_by_link_is_in_no_group_until_it_does_not(ear: GroupEar) -> None:
    ear.heard(0)
    ear.by_link(True)
    assert (ear.membership(SERVER), ear.take_news()) == (None, None)
    ear.heard(1)
    run(ear, 0, 4 * S, sound_due=True)
    assert (ear.hearing, ear.take_news(), ear.lost) == (False, None, 0)
    ear.by_link(False)
    assert ear.membership(SERVER) == Membership("232.1.0.1", 5004, SERVER)
    ear.heard(5 * S)
    assert ear.take_news() == Hearing(1, True)


def test_the_same_group_told_again_is_answered_under_its_new_serial(ear: GroupEar) -> None:
    ear.heard(0)
    assert ear.take_news() == Hearing(1, True)
    ear.told(GroupMessage(2, HALL.host, HALL.port))
    ear.heard(S)
    assert ear.take_news() == Hearing(2, True)


events = st.lists(
    st.tuples(st.integers(1, 3 * S), st.sampled_from(("beat", "sound", "due", "idle", "told", "news"))),
    max_size=200,
)


@given(events)
def test_what_the_server_knows_is_never_long_false(steps: list[tuple[int, str]]) -> None:
    """Whatever comes: while it says that it hears, something was heard within SILENT_NS, and of sound that was due
    some within QUIET_NS and the patience of the beginning; each word is said once."""
    ear = GroupEar()
    now_ns = serial = 0
    last_ns: int | None = None
    said = False
    for step_ns, what in steps:
        now_ns += step_ns
        if what in ("beat", "sound"):
            ear.heard(now_ns, sound=what == "sound")
            last_ns = now_ns
        elif what in ("due", "idle"):
            ear.tick(now_ns, sound_due=what == "due")
            if ear.hearing:
                assert last_ns is not None
                assert now_ns - last_ns <= SILENT_NS
        elif what == "told":
            serial += 1
            ear.told(GroupMessage(serial, f"232.1.0.{serial % 3 + 1}", 5004))
            said = False
        else:
            news = ear.take_news()
            assert ear.take_news() is None
            if news is not None:
                assert news == Hearing(serial, ear.hearing)
                said = news.hearing
            assert said == ear.hearing
