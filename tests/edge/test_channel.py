"""The endpoint's channel under virtual time."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.codecs.channel_wire import Nack, ProbeReply, Type
from loa.edge.speaker.channel import KEEPALIVE_NS, KEEPALIVE_RETRY_NS, Channel
from loa.timing.filter import ClockFilter
from tests.edge.origin import EPOCH, NS_PER_S, ServerChannel

SERVER = ("192.0.2.1", 5004)
SECRET = b"c" * 32
NS_PER_MS = 1_000_000


class World:
    """A channel and its server, `delay_ns` apart, the origin's clock `offset_ns` ahead."""

    def __init__(self, *, delay_ns: int = 5 * NS_PER_MS, offset_ns: int = 3600 * NS_PER_S) -> None:
        self.now_ns = 50 * NS_PER_S
        self.delay_ns, self.offset_ns = delay_ns, offset_ns
        self.clock = ClockFilter()
        self.channel = Channel(
            channel_id=b"channel1",
            channel_secret=SECRET,
            epoch=EPOCH,
            server=SERVER,
            clock=self.clock,
            rng=random.Random(7),
        )
        self.server = ServerChannel(b"channel1", SECRET)
        self.deaf = False
        self.sent: list[tuple[int, Type]] = []

    def run(self, seconds: float) -> None:
        """Let time pass; each answer arrives a round trip after its question."""
        end_ns = self.now_ns + round(seconds * NS_PER_S)
        while (due_ns := self.channel.next_due_ns(self.now_ns)) <= end_ns:
            self.now_ns = max(self.now_ns, due_ns)
            asked_ns = self.now_ns
            for data in self.channel.datagrams_to_send(asked_ns):
                self.sent.append((asked_ns, Type(data[1])))
                if self.deaf:
                    continue
                answers = self.server.receive(data, asked_ns + self.delay_ns + self.offset_ns)
                self.now_ns = asked_ns + 2 * self.delay_ns + 10_000
                for answer in answers:
                    self.channel.receive(answer, SERVER, self.now_ns)
        self.now_ns = max(self.now_ns, end_ns)

    def times(self, type_: Type) -> list[int]:
        return [at for at, each in self.sent if each is type_]


def test_keepalive_challenge_echo_bound() -> None:
    world = World()
    world.run(0.4)
    assert world.server.kinds[:3] == [Type.KEEPALIVE, Type.ECHO, Type.KEEPALIVE]
    assert world.channel.bound


def test_a_bound_address_is_kept_every_fifteen_seconds() -> None:
    world = World()
    world.run(61)
    beats = world.times(Type.KEEPALIVE)[2:]
    assert len(beats) == 4
    assert all(abs(b - a - KEEPALIVE_NS) < 100 * NS_PER_MS for a, b in pairwise(beats))


def test_until_it_is_heard_it_knocks_every_half_second_and_does_not_probe() -> None:
    world = World()
    world.deaf = True
    world.run(5)
    beats = world.times(Type.KEEPALIVE)
    assert [b - a for a, b in pairwise(beats)] == [KEEPALIVE_RETRY_NS] * (len(beats) - 1)
    assert 10 <= len(beats) <= 11
    assert not world.times(Type.PROBE)


def test_probes_make_the_clock_known() -> None:
    world = World()
    world.run(3)
    assert world.clock.converged
    estimate = world.clock.estimate(world.now_ns)
    assert estimate is not None
    assert abs(estimate.origin_ns - world.now_ns - world.offset_ns) < 100_000
    assert world.channel.round_trip_ns == 2 * world.delay_ns


def test_a_reply_of_another_epoch_is_not_believed() -> None:
    world = World()
    world.server.epoch = b"epoch  2"
    world.run(1)
    assert world.clock.estimate(world.now_ns) is None
    assert world.channel.other_epoch > 0


def test_only_the_server_s_address_is_heard() -> None:
    world = World()
    world.channel.receive(world.server.datagram(Type.BOUND, b"\x00\x2d"), ("192.0.2.9", 5004), 0)
    assert not world.channel.bound
    assert world.channel.dropped == 1


def test_a_datagram_is_taken_once_and_only_with_its_mac() -> None:
    world = World()
    bound = world.server.datagram(Type.BOUND, b"\x00\x2d", counter=5)
    world.channel.receive(bound[:-1] + bytes((bound[-1] ^ 1,)), SERVER, 0)
    assert (world.channel.bound, world.channel.unauthentic) == (False, 1)
    world.channel.receive(bound, SERVER, 0)
    world.channel.receive(bound, SERVER, 0)
    assert (world.channel.bound, world.channel.replayed) == (True, 1)


@pytest.mark.parametrize("type_", [Type.KEEPALIVE, Type.PROBE, Type.NACK])
def test_what_goes_up_is_not_taken_when_it_comes_down(type_: Type) -> None:
    world = World()
    world.channel.receive(world.server.datagram(type_, bytes(32)), SERVER, 0)
    assert world.channel.dropped == 1


def test_a_reply_to_a_question_that_was_not_asked_is_dropped() -> None:
    world = World()
    world.channel.receive(
        world.server.datagram(Type.PROBE_REPLY, ProbeReply(EPOCH, 1, 2, 3).encode()), SERVER, world.now_ns
    )
    assert world.channel.dropped == 1
    assert world.clock.estimate(0) is None


def test_nacks_go_out_when_bound_and_are_bounded() -> None:
    world = World()
    world.channel.nack([Nack(1, (7,))])
    world.run(0.4)
    assert not world.server.nacks
    world.channel.nack(Nack(1, (n,)) for n in range(100))
    world.run(0.1)
    assert len(world.server.nacks) == 64
    assert world.channel.unsent == 36
    assert world.server.nacks[0] == Nack(1, (0,))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=1300))
def test_arbitrary_datagrams_never_raise(data: bytes) -> None:
    world = World()
    world.channel.receive(data, SERVER, 0)
    world.channel.receive(b"\xc1" + data, SERVER, 0)
    assert not world.channel.bound
