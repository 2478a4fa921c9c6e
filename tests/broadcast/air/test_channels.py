"""Binding, probes and the hostile side of the channel, at the media core's door."""

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.broadcast.air.channels import LIFETIME_NS, MAX_CHANNELS
from loa.broadcast.air.media_core import MediaCore
from loa.broadcast.air.media_port import AddChannel, Address, ChannelBound, ChannelUnbound, DropChannel, Event
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Nack, Probe, ProbeReply, Type, padded
from loa.errors import AuthorityError
from loa.timing.clock import VirtualClock

S = 1_000_000_000
EPOCH = b"epoch 01"
CHANNEL = b"channel1"
SECRET = bytes(range(32))
HOME: Address = ("192.0.2.10", 4_000)
ELSEWHERE: Address = ("2001:db8::66", 6_666)


class Bench:
    """A core with one channel, and the endpoint's end of it."""

    def __init__(self) -> None:
        self.clock = VirtualClock(1_000 * S)
        self.core = MediaCore(
            epoch=EPOCH, address=("::", 5_000), clock=self.clock.monotonic_ns, nonce_key=b"n" * 32
        )
        self.core.take_events()
        self.core.handle(AddChannel(CHANNEL, SECRET), self.now_ns)
        self.counter = 0

    @property
    def now_ns(self) -> int:
        return self.clock.monotonic_ns()

    def make(self, type_: Type, payload: bytes, secret: bytes = SECRET) -> bytes:
        self.counter += 1
        return channel_wire.encode(type_, CHANNEL, self.counter, payload, secret)

    def tell(self, data: bytes, address: Address) -> list[tuple[bytes, Address]]:
        replies = self.core.receive(data, address, self.now_ns)
        assert all(to == address for _, to in replies)
        return replies

    def ask(self, type_: Type, payload: bytes, address: Address) -> list[channel_wire.Datagram]:
        data = self.make(type_, payload)
        answers = []
        for reply, _ in self.tell(data, address):
            assert len(reply) <= len(data), "an answer must not be longer than its question"
            answer = channel_wire.parse(reply)
            answer.check(SECRET)
            answers.append(answer)
        return answers

    def challenge(self, address: Address) -> bytes:
        [answer] = self.ask(Type.KEEPALIVE, padded(b""), address)
        assert answer.type is Type.CHALLENGE
        return answer.payload

    def bind(self, address: Address = HOME) -> None:
        assert self.ask(Type.ECHO, self.challenge(address), address) == []
        assert self.bound_to(address)

    def bound_to(self, address: Address) -> bool:
        [answer] = self.ask(Type.KEEPALIVE, padded(b""), address)
        return answer.type is Type.BOUND

    def events(self) -> list[Event]:
        return self.core.take_events()

    def count(self, name: str) -> int:
        return self.core.counters[name]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_address_is_bound_after_it_echoed_the_challenge_and_not_before(bench: Bench) -> None:
    nonce = bench.challenge(HOME)
    assert bench.events() == []
    bench.ask(Type.ECHO, nonce, HOME)
    assert bench.events() == [ChannelBound(CHANNEL, HOME)]
    [answer] = bench.ask(Type.KEEPALIVE, padded(b""), HOME)
    assert (answer.type, answer.payload) == (Type.BOUND, (45).to_bytes(2, "big"))
    assert (bench.count("challenges"), bench.count("bindings")) == (1, 1)


def test_the_nonce_is_good_for_its_address_only(bench: Bench) -> None:
    bench.ask(Type.ECHO, bench.challenge(ELSEWHERE), HOME)
    bench.ask(Type.ECHO, bytes(16), HOME)
    bench.ask(Type.ECHO, b"", HOME)
    assert (bench.events(), bench.count("dropped_nonce")) == ([], 3)


@pytest.mark.parametrize(
    ("begin_s", "wait_s", "good"), [(0, 10, True), (0, 19, True), (9, 10, True), (9, 11, False)]
)
def test_the_nonce_is_good_for_ten_to_twenty_seconds(bench: Bench, begin_s: int, wait_s: int, good: bool) -> None:
    bench.clock.advance(begin_s * S)
    nonce = bench.challenge(HOME)
    bench.clock.advance(wait_s * S)
    bench.ask(Type.ECHO, nonce, HOME)
    assert (bench.events() != []) == good


def test_a_stolen_keep_alive_from_another_address_moves_nothing(bench: Bench) -> None:
    bench.bind()
    bench.events()
    stolen = bench.make(Type.KEEPALIVE, padded(b""))  # kept from the server, so its counter is unused
    [(reply, _)] = bench.tell(stolen, ELSEWHERE)
    assert channel_wire.parse(reply).type is Type.CHALLENGE
    assert len(reply) < len(stolen)
    assert bench.events() == []
    assert bench.bound_to(HOME)
    assert bench.tell(stolen, ELSEWHERE) == []  # and a second time it is a replay
    assert bench.count("dropped_replay") == 1


def test_an_endpoint_that_moved_is_bound_anew_by_a_new_echo(bench: Bench) -> None:
    bench.bind()
    bench.bind(ELSEWHERE)
    assert bench.events() == [ChannelBound(CHANNEL, HOME), ChannelBound(CHANNEL, ELSEWHERE)]
    [answer] = bench.ask(Type.KEEPALIVE, padded(b""), HOME)
    assert answer.type is Type.CHALLENGE


def test_a_binding_ends_forty_five_seconds_after_the_last_keep_alive(bench: Bench) -> None:
    bench.bind()
    bench.events()
    bench.clock.advance(30 * S)
    assert bench.bound_to(HOME)
    ends_ns = bench.now_ns + LIFETIME_NS
    assert bench.core.next_due_ns() == ends_ns
    bench.core.due(ends_ns - 1)
    assert bench.events() == []
    bench.core.due(ends_ns)
    assert bench.events() == [ChannelUnbound(CHANNEL)]
    assert bench.core.next_due_ns() is None
    bench.clock.advance(LIFETIME_NS)
    assert not bench.bound_to(HOME)


def test_a_binding_is_over_in_time_even_when_nobody_has_looked(bench: Bench) -> None:
    bench.bind()
    bench.clock.advance(LIFETIME_NS)
    assert bench.ask(Type.PROBE, Probe(1).encode(), HOME) == []
    assert bench.count("dropped_unbound") == 1


def test_a_probe_is_answered_with_both_instants_and_the_epoch(bench: Bench) -> None:
    bench.bind()
    data = bench.make(Type.PROBE, Probe(-5).encode())
    received_ns = bench.now_ns
    bench.clock.advance(700)
    [(reply, _)] = bench.core.receive(data, HOME, received_ns)
    assert len(reply) <= len(data)
    answer = ProbeReply.decode(channel_wire.parse(reply).payload)
    assert answer == ProbeReply(EPOCH, -5, received_ns, received_ns + 700)


@pytest.mark.parametrize("type_", [Type.PROBE, Type.NACK])
def test_probes_and_nacks_from_an_address_that_is_not_bound_are_dropped(bench: Bench, type_: Type) -> None:
    payload = Probe(1).encode() if type_ is Type.PROBE else Nack(1, (5,)).encode()
    assert bench.ask(type_, payload, HOME) == []
    bench.bind()
    assert bench.ask(type_, payload, ELSEWHERE) == []
    assert bench.count("dropped_unbound") == 2


def test_a_wrong_mac_is_dropped_and_spends_no_counter(bench: Bench) -> None:
    good = bench.make(Type.KEEPALIVE, padded(b""))
    assert bench.tell(good[:-1] + bytes((good[-1] ^ 1,)), HOME) == []
    assert bench.tell(bench.make(Type.KEEPALIVE, padded(b""), b"x" * 32), HOME) == []
    assert bench.count("dropped_mac") == 2
    assert len(bench.tell(good, HOME)) == 1


def test_what_the_server_said_itself_is_not_taken_when_it_comes_back(bench: Bench) -> None:
    [(reply, _)] = bench.tell(bench.make(Type.KEEPALIVE, padded(b"")), HOME)
    assert bench.tell(reply, HOME) == []
    assert bench.count("dropped_malformed") == 1


def test_the_server_counts_its_own_datagrams_up(bench: Bench) -> None:
    answers = [bench.ask(Type.KEEPALIVE, padded(b""), HOME)[0].counter for _ in range(4)]
    assert answers == [0, 1, 2, 3]


def test_a_known_channel_added_again_has_a_new_secret_and_no_address(bench: Bench) -> None:
    bench.bind()
    bench.core.handle(AddChannel(CHANNEL, b"y" * 32), bench.now_ns)
    assert bench.tell(bench.make(Type.KEEPALIVE, padded(b"")), HOME) == []
    [(reply, _)] = bench.tell(bench.make(Type.KEEPALIVE, padded(b""), b"y" * 32), HOME)
    answer = channel_wire.parse(reply)
    answer.check(b"y" * 32)
    assert answer.type is Type.CHALLENGE
    with pytest.raises(AuthorityError):
        answer.check(SECRET)


def test_a_dropped_channel_is_unknown(bench: Bench) -> None:
    bench.bind()
    bench.core.handle(DropChannel(CHANNEL), bench.now_ns)
    assert bench.tell(bench.make(Type.KEEPALIVE, padded(b"")), HOME) == []
    assert (bench.count("dropped_unknown"), bench.count("channels"), bench.count("channels_bound")) == (1, 0, 0)


def test_channels_are_bounded(bench: Bench) -> None:
    for n in range(MAX_CHANNELS + 2):
        bench.core.handle(AddChannel(n.to_bytes(8, "big"), SECRET), 0)
    assert (bench.count("channels"), bench.count("channels_refused")) == (MAX_CHANNELS, 3)


def test_a_flood_of_strangers_is_counted_and_leaves_nothing_behind(bench: Bench) -> None:
    for n in range(2_000):
        data = channel_wire.encode(Type.KEEPALIVE, n.to_bytes(8, "big"), n, padded(b""), SECRET)
        assert bench.tell(data, (f"198.51.100.{n % 250}", n)) == []
    assert (bench.count("dropped_unknown"), bench.count("channels")) == (2_000, 1)


DROPS = ("foreign", "malformed", "unknown", "mac", "replay", "unbound", "nonce")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_datagram_raises_and_each_is_counted(data: st.DataObject) -> None:
    bench = Bench()
    if data.draw(st.booleans()):
        bench.bind()
    before = sum(bench.count("dropped_" + name) for name in DROPS)
    received = bench.count("datagrams_received")
    payload = data.draw(st.binary(max_size=700))
    kind = data.draw(st.integers(0, 3))
    if kind == 0:
        datagram = payload
    elif kind == 1:
        datagram = bytes((0xC1, data.draw(st.integers(0, 255)))) + CHANNEL + payload
    else:  # the secret is known, the content is anything
        type_ = data.draw(st.sampled_from([t for t in Type if t is not Type.ORDER]))
        datagram = channel_wire.encode(type_, CHANNEL, data.draw(st.integers(0, 2**64 - 1)), payload, SECRET)
    replies = bench.core.receive(datagram, HOME, bench.now_ns)
    assert bench.count("datagrams_received") == received + 1
    dropped = sum(bench.count("dropped_" + name) for name in DROPS) - before
    assert dropped + bool(replies) == 1 or bench.count("nacks") == 1
    assert sum(len(reply) for reply, _ in replies) <= len(datagram)


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the core opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.mark.usefixtures("no_sockets")
def test_the_core_does_no_input_or_output() -> None:
    Bench().bind()
