"""Audiences over an address book behave like a set beside a dict, whoever comes, goes, moves, rests or returns."""

import socket

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from loa.broadcast.air.address_book import REST_NS, AddressBook
from loa.broadcast.air.listeners import Listeners
from loa.broadcast.air.sockaddr import pack_address, unpack_address

CAPACITY = 4
channels = st.integers(0, 5).map(lambda n: n.to_bytes(8, "big"))
several = st.lists(channels, max_size=5)
which = st.integers(0, 1)


def address(channel: bytes, turn: int) -> tuple[str, int]:
    return (f"10.0.{channel[-1]}.{turn % 250}", 1 + turn)


class LikeASet(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.book = AddressBook(CAPACITY)
        self.audiences = [Listeners([], self.book) for _ in range(2)]
        self.known: dict[bytes, tuple[str, int] | None] = {}
        self.members: list[set[bytes]] = [set(), set()]
        self.resting: dict[bytes, int] = {}
        self.now_ns = 0
        self.turn = 0

    @rule(channel=channels)
    def add(self, channel: bytes) -> None:
        room = channel in self.known or len(self.known) < CAPACITY
        assert (self.book.add(channel) is not None) == room
        if room:
            self.known[channel] = None

    @rule(channel=channels)
    def drop(self, channel: bytes) -> None:
        self.book.drop(channel)
        self.known.pop(channel, None)
        self.resting.pop(channel, None)
        for members in self.members:
            members.discard(channel)

    @rule(channel=channels)
    def bind(self, channel: bytes) -> None:
        slot = self.book.slot(channel)
        assert (slot is None) == (channel not in self.known)
        if slot is not None:
            self.turn += 1
            self.known[channel] = address(channel, self.turn)
            self.book.bind(slot, pack_address(socket.AF_INET6, address(channel, self.turn)))
            self.resting.pop(channel, None)

    @rule(channel=channels)
    def unbind(self, channel: bytes) -> None:
        slot = self.book.slot(channel)
        if slot is not None:
            self.book.unbind(slot)
            self.known[channel] = None

    @rule(n=which, these=several)
    def join(self, n: int, these: list[bytes]) -> None:
        unknown = self.audiences[n].join(these)
        assert unknown == sum(channel not in self.known for channel in these)
        self.members[n] |= {channel for channel in these if channel in self.known}

    @rule(n=which, these=several)
    def leave(self, n: int, these: list[bytes]) -> None:
        self.audiences[n].leave(these)
        self.members[n] -= set(these)

    @rule(n=which, position=st.integers(0, 3))
    def refuse(self, n: int, position: int) -> None:
        table = self.settled()[n].table
        if position < len(table):
            at = table.addresses()[position]
            (channel,) = [channel for channel, where in self.known.items() if where == at]
            self.book.rest(table.slots[[position]], self.now_ns)
            self.resting[channel] = self.now_ns + REST_NS

    @rule(ns=st.sampled_from([1, REST_NS // 2, REST_NS]))
    def wait(self, ns: int) -> None:
        self.now_ns += ns

    def settled(self) -> list[Listeners]:
        changed = self.book.take_changed(self.now_ns)
        for audience in self.audiences:
            audience.touch(changed)
            audience.settle(self.now_ns)
        return self.audiences

    @invariant()
    def the_tables_hold_the_members_that_can_be_reached(self) -> None:
        for members, audience in zip(self.members, self.settled(), strict=True):
            homes = {channel: self.known[channel] for channel in members if self.known[channel] is not None}
            awake = {c: home for c, home in homes.items() if self.resting.get(c, 0) <= self.now_ns}
            assert sorted(audience.table.addresses()) == sorted(filter(None, awake.values()))
            assert {channel for channel in self.known if channel in audience} == members

    @invariant()
    def orders_reach_those_that_rest_too(self) -> None:
        for members in self.members:
            table = Listeners(members, self.book).settle(None)
            homes = [home for channel in members if (home := self.known[channel]) is not None]
            assert sorted(unpack_address(packed) for packed in table.packed()) == sorted(homes)


def test_a_slot_that_another_channel_has_now_is_in_no_audience_of_the_first() -> None:
    book = AddressBook(1)
    assert book.add(b"channel1") == 0
    audience = Listeners([b"channel1"], book)
    book.drop(b"channel1")
    assert book.add(b"channel2") == 0
    book.bind(0, pack_address(socket.AF_INET6, ("192.0.2.2", 2)))
    audience.touch(book.take_changed(0))
    assert len(audience.settle(0)) == 0
    assert b"channel2" not in audience
    assert Listeners([b"channel2"], book).settle(0).addresses() == [("192.0.2.2", 2)]


TestLikeASet = LikeASet.TestCase
TestLikeASet.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
