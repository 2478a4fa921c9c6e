"""Datagrams where they come through, the link where they do not: a channel and its door under virtual time."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from loa.codecs.channel_wire import ProbeReply, Type
from loa.edge.speaker.channel import KEEPALIVE_NS, SLOW_RETRY_NS, Channel
from loa.edge.speaker.door_keeper import BLOCKED_NS, HOLD_NS, DoorKeeper
from loa.timing.filter import ClockFilter
from tests.edge.origin import EPOCH, NS_PER_S, ServerChannel

SERVER = ("192.0.2.1", 5004)
SECRET = b"c" * 32
STEP_NS = 10_000_000
LONG_STEP_NS = 50_000_000
"""For hours of virtual time: no time that the keeper or the channel waits is as short."""
OFFSET_NS = 3600 * NS_PER_S


class Credulous(ClockFilter):
    """Takes every exchange and fits no line to them, which costs more than all the rest: a door needs no time."""

    def add(self, t1: int, t2: int, t3: int, t4: int) -> bool:
        return True


class Wall:
    """An endpoint behind something that lets datagrams through, or not; its link is up all the time."""

    def __init__(self, seed: int = 3, step_ns: int = STEP_NS, clock: ClockFilter | None = None) -> None:
        self.step_ns = step_ns
        self.now_ns = 50 * NS_PER_S
        self.rng = random.Random(seed)
        self.open = True
        self.clock = clock or ClockFilter()
        self.keeper = DoorKeeper()
        self.asked: list[tuple[int, bool]] = []
        self.knocks: list[int] = []
        self.link()

    def link(self) -> None:
        """A new link, with a channel of its own."""
        self.channel = Channel(
            channel_id=b"channel1",
            channel_secret=SECRET,
            epoch=EPOCH,
            server=SERVER,
            clock=self.clock,
            rng=self.rng,
        )
        self.server = ServerChannel(b"channel1", SECRET)
        self.keeper.new_channel(self.channel, self.now_ns)

    def run(self, seconds: float, *, sound_missing: bool = False) -> None:
        end_ns = self.now_ns + round(seconds * NS_PER_S)
        while self.now_ns < end_ns:
            if sound_missing:
                self.channel.doubt(self.now_ns)
            waiting = self.channel.datagrams_to_send(self.now_ns)
            while waiting:
                data = waiting.pop(0)
                if data[1] == Type.KEEPALIVE:
                    self.knocks.append(self.now_ns)
                if self.open:
                    for answer in self.server.receive(data, self.now_ns + OFFSET_NS):
                        self.channel.receive(answer, SERVER, self.now_ns)
                        waiting += self.channel.datagrams_to_send(self.now_ns)
            if (asked := self.keeper.take_news(self.channel, self.now_ns)) is not None:
                self.asked.append((self.now_ns, asked))
            if (t1_ns := self.channel.link_probe(self.now_ns)) is not None:
                origin_ns = t1_ns + OFFSET_NS
                self.channel.take_reply(ProbeReply(EPOCH, t1_ns, origin_ns, origin_ns), t1_ns + 2_000_000)
            self.now_ns += self.step_ns


def test_where_datagrams_come_through_nothing_is_asked_for() -> None:
    wall = Wall()
    wall.run(60)
    assert wall.asked == []


def test_where_they_never_do_sound_and_time_come_by_link_and_the_address_is_tried_rarely() -> None:
    wall = Wall()
    wall.open = False
    began_ns = wall.now_ns
    wall.run(5)
    ((asked_ns, by_link),) = wall.asked
    assert by_link
    assert BLOCKED_NS <= asked_ns - began_ns <= BLOCKED_NS + STEP_NS
    assert wall.clock.converged
    wall.knocks.clear()
    wall.run(120)
    waits = [b - a for a, b in zip(wall.knocks, wall.knocks[1:], strict=False)]
    assert 4 <= len(wall.knocks) <= 9
    assert all(SLOW_RETRY_NS[0] <= wait <= SLOW_RETRY_NS[1] + STEP_NS for wait in waits)
    assert len(wall.asked) == 1


def test_when_they_come_through_again_they_are_asked_for() -> None:
    wall = Wall()
    wall.open = False
    wall.run(10)
    wall.open = True
    opened_ns = wall.now_ns
    wall.run(40)
    assert [by_link for _, by_link in wall.asked] == [True, False]
    assert wall.asked[1][0] - opened_ns <= SLOW_RETRY_NS[1] + STEP_NS
    assert wall.channel.bound
    assert wall.clock.converged


def test_one_that_was_bound_finds_out_within_a_keepalive() -> None:
    wall = Wall()
    wall.run(20)
    wall.open = False
    closed_ns = wall.now_ns
    wall.run(30)
    assert wall.asked[0][0] - closed_ns <= KEEPALIVE_NS + BLOCKED_NS + 2 * STEP_NS
    assert not wall.channel.bound


def test_one_whose_sound_stays_away_finds_out_at_once() -> None:
    wall = Wall()
    wall.run(20)
    wall.open = False
    closed_ns = wall.now_ns
    wall.run(5, sound_missing=True)
    assert wall.asked[0][0] - closed_ns <= BLOCKED_NS + 2 * STEP_NS


def test_doubts_cost_one_keepalive_a_second_while_it_is_bound() -> None:
    wall = Wall()
    wall.run(5)
    wall.knocks.clear()
    wall.run(10, sound_missing=True)
    assert 9 <= len(wall.knocks) <= 11
    assert wall.asked == []


def test_on_a_new_link_it_asks_at_once_for_what_it_had() -> None:
    wall = Wall()
    wall.open = False
    wall.run(10)
    wall.link()
    began_ns = wall.now_ns
    wall.run(1)
    assert [(at_ns - began_ns, by_link) for at_ns, by_link in wall.asked[1:]] == [(0, True)]


@given(
    changes=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 900)), max_size=12), seed=st.integers()
)
def test_whatever_happens_a_door_is_kept_and_the_last_word_is_what_is_so(
    changes: list[tuple[bool, bool, int]], seed: int
) -> None:
    wall = Wall(seed, LONG_STEP_NS, Credulous())
    for is_open, relink, tenths in changes:
        wall.open = is_open
        if relink:
            wall.link()
            wall.asked.clear()
        wall.run(tenths / 10)
        for (first_ns, first), (then_ns, then) in zip(wall.asked, wall.asked[1:], strict=False):
            assert then is not first
            assert then_ns - first_ns >= HOLD_NS
        assert wall.channel.by_link is wall.keeper.by_link is (wall.asked[-1][1] if wall.asked else False)
