"""Which broadcast each endpoint plays, held against looking at everything each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from loa.arbiter import Arbiter, Move, Precedence, precedence_of


def at(priority: int, start_ns: int = 0, broadcast_id: bytes = b"a") -> Precedence:
    return precedence_of(priority, start_ns, broadcast_id)


@pytest.mark.parametrize(
    ("played", "not_played"),
    [
        (at(101), at(100)),
        (at(255), at(254)),
        (at(1, 9), at(0, 1)),
        (at(100, 1), at(100, 2)),
        (at(254, 1), at(254, 2)),
        (at(255, 2), at(255, 1)),
        (at(100, 1, b"a"), at(100, 1, b"b")),
        (at(255, 1, b"b"), at(255, 1, b"a")),
        (at(100, -2), at(100, -1)),
    ],
)
def test_the_highest_priority_is_played_equals_by_start_and_at_255_the_latest(
    played: Precedence, not_played: Precedence
) -> None:
    arbiter = Arbiter[str, str]()
    assert arbiter.begin("lower", not_played, ["loa"]) == [Move(None, "lower", {"loa"})]
    assert arbiter.begin("upper", played, ["loa"]) == [Move("lower", "upper", {"loa"})]
    assert list(arbiter) == ["upper", "lower"]
    assert arbiter.pre_empted("lower") == 1
    assert arbiter.end("upper") == [Move("upper", "lower", {"loa"})]
    assert arbiter.begin("upper", played) == []


def test_an_emergency_to_one_commune_pre_empts_only_there() -> None:
    arbiter = Arbiter[str, str]()
    arbiter.begin("bulletin", at(64), ["a1", "a2", "b1", "b2"])
    assert arbiter.begin("alert", at(224), ["a1", "a2", "c1"]) == [
        Move("bulletin", "alert", {"a1", "a2"}),
        Move(None, "alert", {"c1"}),
    ]
    assert (arbiter.playing("bulletin"), arbiter.pre_empted("bulletin")) == ({"b1", "b2"}, 2)
    assert arbiter.end("alert") == [Move("alert", "bulletin", {"a1", "a2"}), Move("alert", None, {"c1"})]
    assert arbiter.pre_empted("bulletin") == 0


def test_what_has_not_begun_is_an_error_and_so_is_beginning_twice() -> None:
    arbiter = Arbiter[str, str]()
    arbiter.begin("one", at(1))
    with pytest.raises(ValueError, match="begun already"):
        arbiter.begin("one", at(2))
    changes: list[Callable[[], object]] = [
        lambda: arbiter.end("two"),
        lambda: arbiter.join("two", ["loa"]),
        lambda: arbiter.leave("two", ["loa"]),
        lambda: arbiter.rank("two", at(1)),
        lambda: arbiter.place("loa", ["one", "two"]),
    ]
    for wrong in changes:
        with pytest.raises(KeyError):
            wrong()
    assert arbiter.played_by("loa") is None


@dataclass(frozen=True)
class Known:
    """A broadcast as the oracle has it."""

    number: int
    priority: int
    start_ns: int
    meant: frozenset[int]


ENDPOINTS = st.frozensets(st.integers(0, 11))
# Few of each, so that equals meet often.
PRIORITIES = st.sampled_from([0, 64, 128, 224, 254, 255])
STARTS = st.integers(-3, 3)


class Deciding(RuleBasedStateMachine):
    """Any changes in any order; after each, the moves are just the difference to what was before."""

    on_air = Bundle("on_air")

    @initialize()
    def begin_with_nothing(self) -> None:
        self.arbiter = Arbiter[int, int]()
        self.known: dict[int, Known] = {}
        self.before = self.oracle()
        self.count = 0

    def oracle(self) -> dict[int, int | None]:
        """What every endpoint plays, by looking at every broadcast."""
        plays: dict[int, int | None] = {}
        for endpoint in range(12):
            meant = [known for known in self.known.values() if endpoint in known.meant]
            highest = max((known.priority for known in meant), default=0)
            equals = sorted(
                (known for known in meant if known.priority == highest),
                key=lambda known: (known.start_ns, known.number),
            )
            plays[endpoint] = equals[-1 if highest == 255 else 0].number if equals else None
        return plays

    def check(self, moves: list[Move[int, int]]) -> None:
        now = self.oracle()
        told: dict[int, tuple[int | None, int | None]] = {}
        for move in moves:
            assert move.endpoints
            for endpoint in move.endpoints:
                assert endpoint not in told
                told[endpoint] = (move.before, move.after)
        assert told == {
            endpoint: (self.before[endpoint], now[endpoint])
            for endpoint in now
            if self.before[endpoint] != now[endpoint]
        }
        self.before = now

    @rule(target=on_air, priority=PRIORITIES, start_ns=STARTS, meant=ENDPOINTS)
    def begin(self, priority: int, start_ns: int, meant: frozenset[int]) -> int:
        self.count += 1
        number = self.count
        self.known[number] = Known(number, priority, start_ns, meant)
        self.check(self.arbiter.begin(number, precedence_of(priority, start_ns, bytes((number,))), meant))
        return number

    @rule(number=consumes(on_air))
    def end(self, number: int) -> None:
        del self.known[number]
        self.check(self.arbiter.end(number))

    @rule(number=on_air, priority=PRIORITIES, start_ns=STARTS)
    def change(self, number: int, priority: int, start_ns: int) -> None:
        self.known[number] = replace(self.known[number], priority=priority, start_ns=start_ns)
        self.check(self.arbiter.rank(number, precedence_of(priority, start_ns, bytes((number,)))))

    @rule(number=on_air, endpoints=ENDPOINTS)
    def join(self, number: int, endpoints: frozenset[int]) -> None:
        self.known[number] = replace(self.known[number], meant=self.known[number].meant | endpoints)
        self.check(self.arbiter.join(number, iter(endpoints)))

    @rule(number=on_air, endpoints=ENDPOINTS)
    def leave(self, number: int, endpoints: frozenset[int]) -> None:
        self.known[number] = replace(self.known[number], meant=self.known[number].meant - endpoints)
        self.check(self.arbiter.leave(number, iter(endpoints)))

    @rule(endpoint=st.integers(0, 11), chosen=st.sets(st.integers(1, 60)))
    def place(self, endpoint: int, chosen: set[int]) -> None:
        broadcasts = [number for number in self.known if number in chosen]
        for number, known in self.known.items():
            meant = known.meant | {endpoint} if number in chosen else known.meant - {endpoint}
            self.known[number] = replace(known, meant=meant)
        self.check(self.arbiter.place(endpoint, broadcasts))

    @invariant()
    def it_tells_what_is(self) -> None:
        assert {endpoint: self.arbiter.played_by(endpoint) for endpoint in range(12)} == self.oracle()
        assert set(self.arbiter) == set(self.known)
        assert len(self.arbiter) == len(self.known)
        for number, known in self.known.items():
            playing = {endpoint for endpoint, plays in self.oracle().items() if plays == number}
            assert self.arbiter.meant(number) == known.meant
            assert self.arbiter.playing(number) == playing
            assert self.arbiter.pre_empted(number) == len(known.meant) - len(playing)
            assert number in self.arbiter


TestDeciding = Deciding.TestCase
