"""The lock-out: what it makes guessers wait, and whom it never holds up, whatever guessers do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.people.lockout import (
    MAX_WAIT_MS,
    PLACES,
    RULES,
    Attempt,
    Lane,
    LocalGate,
    Lockout,
    Ticket,
    place_of,
)

HOUR_MS = 3_600_000
NOW_MS = 1_790_000_000_000
STRANGER = Attempt("lan", "203.0.113.7")
OWNER = Attempt("lan", "198.51.100.1")
DEVICE = replace(OWNER, device=b"d" * 16)


def fail(lockout: Lockout, attempt: Attempt, now_ms: int) -> bool:
    """One wrong password; whether it was looked at."""
    return isinstance(lockout.begin(attempt, now_ms), Ticket)


def opens(lockout: Lockout, attempt: Attempt, now_ms: int) -> bool:
    """Whether the right password would be looked at now. Nothing is changed."""
    ticket = lockout.begin(attempt, now_ms)
    if isinstance(ticket, int):
        return False
    lockout.undecided(ticket)
    return True


def guess_for(lockout: Lockout, attempt: Attempt, duration_ms: int, now_ms: int = NOW_MS) -> tuple[int, int]:
    """Guess as fast as the lock-out lets one: how many were looked at, and the time at the end."""
    end_ms, looked_at = now_ms + duration_ms, 0
    while now_ms < end_ms:
        said = lockout.begin(attempt, now_ms)
        if isinstance(said, int):
            now_ms += said
        else:
            looked_at += 1
            now_ms += 1
    return looked_at, now_ms


def test_a_guesser_at_one_address_gets_a_few_guesses_and_then_fewer_and_fewer() -> None:
    lockout = Lockout()
    waits = []
    now_ms = NOW_MS
    for _ in range(20):
        assert fail(lockout, STRANGER, now_ms)
        said = lockout.begin(STRANGER, now_ms)
        waits.append(0 if isinstance(said, Ticket) else said)
        if isinstance(said, Ticket):
            lockout.undecided(said)
        now_ms += waits[-1]
    assert waits[:9] == [0, 0, 0, 0, 1_000, 2_000, 4_000, 8_000, 16_000]
    assert min(waits[14:]) >= 256_000


@pytest.mark.parametrize("protected", [False, True])
def test_a_day_of_guessing_from_one_address_is_a_handful_of_guesses(protected: bool) -> None:
    looked_at, _ = guess_for(Lockout(), replace(STRANGER, protected=protected), 24 * HOUR_MS)
    assert looked_at < 200


def test_one_address_that_tries_every_account_is_slowed_too() -> None:
    lockout, now_ms, looked_at = Lockout(), NOW_MS, 0
    for number in range(5_000):
        said = lockout.begin(Attempt(f"user{number}", "203.0.113.7"), now_ms)
        looked_at += isinstance(said, Ticket)
        now_ms += 720
    assert looked_at < 100


def test_a_hundred_at_once_are_a_hundred() -> None:
    lockout = Lockout()
    assert sum(fail(lockout, STRANGER, NOW_MS) for _ in range(100)) == RULES[Lane.PLACE].free


_addresses = st.sampled_from([f"203.0.113.{n}" for n in range(1, PLACES)])
_pauses = st.sampled_from([0, 1, 1_000, 10_000, 60_000, 600_000, HOUR_MS])
_guesses = st.lists(st.tuples(_addresses, _pauses, st.integers(1, 30)), max_size=60)


@given(_guesses, st.booleans())
def test_fewer_than_ten_addresses_never_hold_up_the_owner_at_another(
    guesses: list[tuple[str, int, int]], protected: bool
) -> None:
    lockout, now_ms = Lockout(), NOW_MS
    for address, pause_ms, count in guesses:
        now_ms += pause_ms
        for _ in range(count):
            lockout.begin(Attempt("lan", address, protected=protected), now_ms)
        assert opens(lockout, replace(OWNER, protected=protected), now_ms)


def test_nine_addresses_at_full_zeal_for_a_week_never_hold_up_the_owner_at_another() -> None:
    lockout = Lockout()
    attackers = [(NOW_MS, Attempt("lan", f"203.0.113.{n}")) for n in range(1, PLACES)]
    while attackers[0][0] < NOW_MS + 7 * 24 * HOUR_MS:
        attackers.sort(key=lambda attacker: attacker[0])
        now_ms, attempt = attackers[0]
        said = lockout.begin(attempt, now_ms)
        attackers[0] = (now_ms + (said if isinstance(said, int) else 1), attempt)
        assert opens(lockout, OWNER, now_ms)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), _pauses), max_size=60), st.integers(0, 3 * HOUR_MS))
def test_no_attack_from_anywhere_holds_up_the_emergency_desk(guesses: list[tuple[int, int]], after_ms: int) -> None:
    lockout, now_ms = Lockout(), NOW_MS
    desk = replace(OWNER, protected=True)
    for number, pause_ms in guesses:
        now_ms += pause_ms
        address = ".".join(str(byte) for byte in number.to_bytes(4, "big"))
        if address != desk.address:
            for _ in range(30):
                lockout.begin(replace(desk, address=address), now_ms)
    assert opens(lockout, desk, now_ms)
    assert opens(lockout, desk, now_ms + after_ms)


@pytest.mark.parametrize("protected", [False, True])
def test_guessing_from_everywhere_stops_strangers_of_an_ordinary_account_only(protected: bool) -> None:
    lockout, looked_at = Lockout(), 0
    for number in range(1_000):
        attempt = Attempt("lan", f"203.0.{number // 250}.{number % 250}", protected=protected)
        looked_at += fail(lockout, attempt, NOW_MS + number)
    now_ms = NOW_MS + 1_000
    assert looked_at == (1_000 if protected else RULES[Lane.ACCOUNT].free)
    assert opens(lockout, replace(OWNER, protected=protected), now_ms) == protected
    assert opens(lockout, replace(DEVICE, protected=protected), now_ms)
    assert opens(lockout, replace(OWNER, known_address=True, protected=protected), now_ms)
    assert opens(lockout, Attempt("minh", OWNER.address), now_ms)


_attempts = st.builds(
    Attempt,
    account=st.sampled_from(["lan", "minh"]),
    address=st.sampled_from(["203.0.113.7", "203.0.113.8", OWNER.address, "2001:db8::1"]),
    device=st.sampled_from([None, b"e" * 16]),
    known_address=st.booleans(),
    protected=st.booleans(),
)
_events = st.lists(
    st.tuples(_attempts, st.integers(0, 2 * HOUR_MS), st.sampled_from(["fails", "succeeds", "undecided", "code"]))
)


def play(lockout: Lockout, events: list[tuple[Attempt, int, str]]) -> int:
    """Let all of it happen; the time at the end. No wait is ever longer than the most."""
    now_ms = NOW_MS
    for attempt, pause_ms, ending in events:
        now_ms += pause_ms
        said = (lockout.begin_code if ending == "code" else lockout.begin)(attempt, now_ms)
        if isinstance(said, int):
            assert 0 < said <= MAX_WAIT_MS
        elif ending == "succeeds":
            lockout.succeeded(said)
        elif ending == "undecided":
            lockout.undecided(said)
    return now_ms


@given(_events)
def test_a_browser_that_is_known_has_a_lane_of_its_own(events: list[tuple[Attempt, int, str]]) -> None:
    lockout = Lockout()
    assert opens(lockout, DEVICE, play(lockout, events))


@given(_events)
def test_a_known_address_waits_only_for_what_failed_on_this_account_from_there(
    events: list[tuple[Attempt, int, str]],
) -> None:
    lockout = Lockout()
    elsewhere = [event for event in events if (event[0].account, event[0].address) != ("lan", OWNER.address)]
    assert opens(lockout, replace(OWNER, known_address=True), play(lockout, elsewhere))


@given(_events, st.lists(_attempts, max_size=5))
def test_what_came_to_no_decision_leaves_no_trace(
    events: list[tuple[Attempt, int, str]], asked: list[Attempt]
) -> None:
    one, two = Lockout(), Lockout()
    now_ms = play(one, events)
    play(two, events)
    for attempt in asked:
        ticket = one.begin(attempt, now_ms)
        if isinstance(ticket, Ticket):
            one.undecided(ticket)
    for attempt in asked:
        assert opens(one, attempt, now_ms) == opens(two, attempt, now_ms)


@given(_events)
def test_after_the_longest_wait_the_next_attempt_is_looked_at(events: list[tuple[Attempt, int, str]]) -> None:
    lockout = Lockout()
    now_ms = play(lockout, events)
    for attempt, _, _ in events:
        assert opens(lockout, attempt, now_ms + MAX_WAIT_MS)


@given(_events, st.integers(1, 10 * HOUR_MS))
def test_a_clock_that_was_set_back_locks_nobody_out(events: list[tuple[Attempt, int, str]], back_ms: int) -> None:
    lockout = Lockout()
    now_ms = play(lockout, events) - back_ms
    for attempt, _, _ in events:
        said = lockout.begin(attempt, now_ms)
        assert isinstance(said, Ticket) or said <= MAX_WAIT_MS


def test_a_success_forgets_the_accounts_failures_there_and_not_those_of_the_address() -> None:
    lockout = Lockout()
    for number in range(4):
        for _ in range(4):
            assert fail(lockout, Attempt(f"user{number}", OWNER.address), NOW_MS)
    # A guesser who owns an account signs in to it between guesses: the address is slowed all the same.
    for _ in range(3):
        assert fail(lockout, OWNER, NOW_MS)
    own = lockout.begin(replace(OWNER, account="minh"), NOW_MS)
    assert isinstance(own, Ticket)
    lockout.succeeded(own)
    mine = lockout.begin(OWNER, NOW_MS)
    assert isinstance(mine, Ticket)
    lockout.succeeded(mine)
    assert fail(lockout, OWNER, NOW_MS)
    assert not fail(lockout, OWNER, NOW_MS)


def test_a_pardon_lets_the_account_in_and_what_fails_after_it_counts_again() -> None:
    lockout = Lockout()
    while fail(lockout, STRANGER, NOW_MS):
        pass
    assert not opens(lockout, STRANGER, NOW_MS)
    pardoned = replace(STRANGER, pardoned_ms=NOW_MS)
    assert opens(lockout, pardoned, NOW_MS)
    for _ in range(RULES[Lane.PLACE].free):
        assert fail(lockout, pardoned, NOW_MS + 1)
    assert not fail(lockout, pardoned, NOW_MS + 1)


def test_codes_are_guessed_slowly_from_everywhere_together() -> None:
    lockout = Lockout()
    said = [lockout.begin_code(Attempt("lan", f"203.0.113.{n}", protected=True), NOW_MS + n) for n in range(100)]
    assert sum(isinstance(each, Ticket) for each in said) == RULES[Lane.CODE].free
    assert isinstance(lockout.begin_code(replace(DEVICE, protected=True), NOW_MS + 100), Ticket)
    assert isinstance(lockout.begin_code(replace(OWNER, known_address=True), NOW_MS + 100), Ticket)
    assert isinstance(lockout.begin_code(OWNER, NOW_MS + HOUR_MS), Ticket)


def test_every_kind_of_lane_has_lanes_of_its_own() -> None:
    assert set(RULES) == set(Lane)
    lockout = Lockout()
    for _ in range(RULES[Lane.CODE].free):
        assert isinstance(lockout.begin_code(STRANGER, NOW_MS), Ticket)
    assert {lane: count for lane, count in lockout.sizes().items() if count} == {"code": 1}


def test_memory_is_bounded_and_forgetting_lets_in() -> None:
    lockout = Lockout()
    while fail(lockout, STRANGER, NOW_MS):
        pass
    for number in range(RULES[Lane.PLACE].kept + 5):
        # Each from an address of its own: one address could not fail so often.
        fail(lockout, Attempt(f"u{number}", f"2001:db8:{number // 256:x}:{number % 256:x}00::1"), NOW_MS)
    sizes = lockout.sizes()
    assert all(sizes[lane] <= RULES[lane].kept for lane in Lane)
    assert sizes["place"] == RULES[Lane.PLACE].kept
    assert opens(lockout, STRANGER, NOW_MS)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2ab::9", "2001:db8:1:200::/56"),
        ("2001:db8:1:2cd:1::", "2001:db8:1:200::/56"),
        ("fe80::1%eth0", "fe80::/56"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_an_address_is_a_customers(address: str, place: str) -> None:
    assert place_of(address) == place


async def test_the_gate_of_one_process_is_its_lockout() -> None:
    gate = LocalGate()
    for _ in range(RULES[Lane.PLACE].free - 1):
        assert isinstance(await gate.begin(STRANGER, NOW_MS), Ticket)
    last = await gate.begin(STRANGER, NOW_MS)
    assert isinstance(last, Ticket)
    assert isinstance(await gate.begin(STRANGER, NOW_MS), int)
    await gate.undecided(last)
    code = await gate.begin_code(STRANGER, NOW_MS)
    assert isinstance(code, Ticket)
    again = await gate.begin(STRANGER, NOW_MS)
    assert isinstance(again, Ticket)
    await gate.succeeded(again)
    await gate.succeeded(code)
    assert gate.lockout.sizes()["place"] == gate.lockout.sizes()["code"] == 0
