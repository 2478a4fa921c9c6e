"""Audiences, orders, repair and events of the media core, under virtual time."""

import gc
from dataclasses import replace

import pytest

from loa.broadcast.air import channels, media_core
from loa.broadcast.air.channels import DATAGRAMS_AT_ONCE, MISSES_A_REPAIR, REPAIRS_AT_ONCE
from loa.broadcast.air.media_core import MediaCore
from loa.broadcast.air.media_port import (
    AddChannel,
    Address,
    AirEnded,
    AirProgress,
    AskCounters,
    Audience,
    ChannelLoud,
    Command,
    Counters,
    DropChannel,
    Event,
    Frames,
    Ready,
    SendOrder,
    SettleOrder,
    StartAir,
    StopAir,
    Tap,
    Tapped,
)
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Nack, Probe, Type, padded
from loa.timing.clock import VirtualClock

MS = 1_000_000
S = 1_000 * MS
SECRET = bytes(32)
ONE, TWO, THREE = b"channel1", b"channel2", b"channel3"
HOMES: dict[bytes, Address] = {ONE: ("192.0.2.1", 1), TWO: ("192.0.2.2", 2), THREE: ("2001:db8::3", 3)}
START = StartAir(
    broadcast_id=b"b" * 16,
    generation=1,
    ssrc=11,
    block_ssrc=12,
    index0=0,
    timestamp0=0,
    start_ns=10 * S,
    frame_samples=960,
    master_key=bytes(16),
    master_salt=bytes(12),
    block_seed=b"",
    block_frames=5,
    end_index=None,
)


def on_air(start: StartAir = START, *audience: bytes) -> tuple[StartAir, Audience]:
    """A generation and who gets it: ONE and TWO where nobody is named."""
    return start, Audience(start.broadcast_id, audience or (ONE, TWO))


class Bench:
    """A core, its time, and what has reached each channel's home: (when, datagram)."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.core = MediaCore(epoch=bytes(8), address=("::", 7), clock=self.clock.monotonic_ns, nonce_key=bytes(32))
        self.heard: dict[Address, list[tuple[int, bytes]]] = {home: [] for home in HOMES.values()}
        self.events: list[Event] = self.core.take_events()
        for channel in HOMES:
            self.core.handle(AddChannel(channel, SECRET), 0)
        self.counter = 0

    @property
    def now_ns(self) -> int:
        return self.clock.monotonic_ns()

    def do(self, *commands: Command) -> None:
        for command in commands:
            self.core.handle(command, self.now_ns)
        self.to(self.now_ns)

    def to(self, until_ns: int) -> None:
        while (due_ns := self.core.next_due_ns()) is not None and due_ns <= until_ns:
            self.clock.set(max(due_ns, self.now_ns))
            for batch in self.core.due(self.now_ns):
                assert batch.due_ns <= self.now_ns
                for table in (batch.table, *(table for _, table in batch.groups)):
                    for address in table.addresses():
                        self.heard.setdefault(address, []).append((self.now_ns, batch.packet))
        self.clock.set(max(until_ns, self.now_ns))
        self.events += self.core.take_events()

    def say(self, channel: bytes, type_: Type, payload: bytes) -> list[bytes]:
        self.counter += 1
        data = channel_wire.encode(type_, channel, self.counter, payload, SECRET)
        replies = self.core.receive(data, HOMES[channel], self.now_ns)
        assert all(to == HOMES[channel] for _, to in replies)
        return [reply for reply, _ in replies]

    def bind(self, *channels: bytes) -> None:
        for channel in channels:
            [reply] = self.say(channel, Type.KEEPALIVE, padded(b""))
            self.say(channel, Type.ECHO, channel_wire.parse(reply).payload)

    def times(self, channel: bytes) -> list[int]:
        return [at_ns for at_ns, _ in self.heard[HOMES[channel]]]

    def packets(self, channel: bytes) -> list[bytes]:
        return [packet for _, packet in self.heard[HOMES[channel]]]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def frames(first: int, count: int, broadcast_id: bytes = START.broadcast_id) -> Frames:
    return Frames(broadcast_id, first, tuple(b"opus %d" % n for n in range(first, first + count)))


def due(*indices: int) -> list[int]:
    return [START.start_ns + n * 20 * MS for n in indices]


def test_the_first_event_tells_epoch_and_address(bench: Bench) -> None:
    assert bench.events == [Ready(bytes(8), ("::", 7), 0)]


def test_all_of_an_audience_get_the_same_bytes_at_the_due_instants(bench: Bench) -> None:
    bench.bind(ONE, TWO, THREE)
    bench.do(*on_air(), frames(0, 50))
    bench.to(START.start_ns + 49 * 20 * MS)
    assert bench.times(ONE) == bench.times(TWO) == due(*range(50))
    assert bench.packets(ONE) == bench.packets(TWO)
    assert bench.packets(THREE) == []


def test_who_binds_later_gets_what_its_audiences_get_from_then_on(bench: Bench) -> None:
    bench.bind(ONE)
    bench.do(*on_air(), frames(0, 50))
    bench.to(due(9)[0] + 1)
    bench.bind(TWO)
    bench.to(due(20)[0])
    assert bench.times(TWO) == due(*range(10, 21))
    assert bench.packets(TWO) == bench.packets(ONE)[10:]


def test_an_audience_changes_at_a_frames_boundary(bench: Bench) -> None:
    bench.bind(ONE, TWO, THREE)
    bench.do(*on_air(), frames(0, 50))
    bench.to(due(9)[0] + 1)
    bench.do(Audience(START.broadcast_id, (THREE,), (ONE,)))
    bench.to(due(12)[0])
    assert bench.times(ONE) == due(*range(10))
    assert bench.times(THREE) == due(10, 11, 12)
    assert bench.times(TWO) == due(*range(13))


@pytest.mark.parametrize("joins_at", [0, 3, 4, 5])
def test_who_joins_in_the_middle_of_a_block_gets_that_block_and_nobody_else_gets_it_again(
    bench: Bench, joins_at: int
) -> None:
    bench.bind(ONE, TWO, THREE)
    signed = replace(START, block_seed=bytes(range(32)))
    bench.do(*on_air(signed, ONE), frames(0, 20))
    bench.to(START.start_ns + (joins_at - 1) * 20 * MS)
    bench.do(Audience(START.broadcast_id, (TWO, THREE)), Audience(START.broadcast_id, (), (THREE,)))
    bench.to(START.start_ns + 19 * 20 * MS)
    blocks = [
        at_ns for at_ns, packet in bench.heard[HOMES[ONE]] if packet[8:12] == bytes((0, 0, 0, START.block_ssrc))
    ]
    assert blocks == due(0, 5, 10, 15)
    first = [packet for at_ns, packet in bench.heard[HOMES[TWO]] if at_ns == due(joins_at)[0]]
    both = [packet for packet in bench.packets(ONE) if packet in bench.packets(TWO)]
    assert sorted(first) == sorted(both[:2])
    assert len(bench.packets(TWO)) == len(set(bench.packets(TWO))) == 20 - joins_at + 4 - joins_at // 5
    assert bench.packets(THREE) == []


def test_a_dropped_channel_gets_nothing_more_even_when_it_comes_back(bench: Bench) -> None:
    bench.bind(ONE, TWO)
    bench.do(*on_air(), frames(0, 50))
    bench.to(due(4)[0])
    bench.do(DropChannel(TWO), AddChannel(TWO, SECRET))
    bench.bind(TWO)
    bench.to(due(8)[0])
    assert bench.times(TWO) == due(*range(5))
    bench.do(Audience(START.broadcast_id, (TWO,)))
    bench.to(due(9)[0])
    assert bench.times(TWO)[5:] == due(9)


def test_a_lost_binding_ends_the_sending(bench: Bench) -> None:
    bench.bind(ONE)
    for n in range(30):
        bench.to(n * 2 * S)
        if n == 5:
            bench.do(*on_air())
        if n >= 5:
            bench.do(frames((n - 5) * 100, 100))
    assert max(bench.times(ONE)) == 45 * S - 20 * MS


def test_progress_is_told_at_the_start_and_every_half_second_and_the_end_once(bench: Bench) -> None:
    bench.do(*on_air(replace(START, end_index=60)), frames(0, 60))
    bench.to(20 * S)
    progress = [event for event in bench.events if isinstance(event, AirProgress)]
    assert progress[0] == AirProgress(START.broadcast_id, 1, 0, 0, 0)
    assert progress[1] == AirProgress(START.broadcast_id, 1, 0, 60, 0)
    assert progress[-1] == AirProgress(START.broadcast_id, 1, 51, 9, 51)
    assert len(progress) == 1 + 11 * 2
    assert bench.events[-1] == AirEnded(START.broadcast_id, 1, 60, "end", 60)
    assert bench.core.next_due_ns() is not None  # it is still repaired
    bench.to(40 * S)
    assert bench.core.next_due_ns() is None
    assert [type(event) for event in bench.events].count(AirEnded) == 1


def test_starvation_and_stop_are_told(bench: Bench) -> None:
    bench.do(*on_air(), frames(0, 3))
    bench.to(due(3)[0] + 2 * S)
    assert bench.events[-1] == AirEnded(START.broadcast_id, 1, 103, "starved", 3)
    bench.do(*on_air(replace(START, generation=2, ssrc=21, block_ssrc=22, start_ns=20 * S)), frames(0, 10))
    bench.to(20 * S)
    bench.do(StopAir(START.broadcast_id))
    assert bench.events[-1] == AirEnded(START.broadcast_id, 2, 1, "stopped", 1)


def test_a_generation_replaces_the_earlier_one(bench: Bench) -> None:
    bench.bind(ONE)
    bench.do(*on_air(), frames(0, 50))
    bench.to(due(4)[0])
    bench.do(
        *on_air(replace(START, generation=2, ssrc=21, block_ssrc=22, index0=500, start_ns=due(10)[0])),
        frames(500, 5),
    )
    assert AirEnded(START.broadcast_id, 1, 5, "stopped", 5) in bench.events
    bench.to(due(12)[0])
    assert bench.times(ONE) == due(0, 1, 2, 3, 4, 10, 11, 12)


@pytest.mark.parametrize("gone", [False, True])
def test_no_key_and_ssrc_goes_on_air_twice(bench: Bench, gone: bool) -> None:
    bench.bind(ONE)
    bench.do(*on_air(), frames(0, 5))
    bench.to(due(2)[0])
    if gone:
        bench.do(StopAir(START.broadcast_id))
        bench.to(60 * S)
    bench.do(replace(START, generation=2, block_ssrc=99))
    assert bench.events[-1] == AirEnded(START.broadcast_id, 2, 0, "refused", 0)
    assert bench.core.counters["commands_refused"] == 1
    bench.do(replace(START, generation=3, master_key=b"k" * 16, ssrc=31, block_ssrc=32, start_ns=bench.now_ns))
    assert AirProgress(START.broadcast_id, 3, 0, 0, 0) in bench.events


def test_an_impossible_start_is_refused_and_the_process_lives(bench: Bench) -> None:
    bench.do(replace(START, frame_samples=7), AddChannel(b"short", SECRET), SendOrder(b"", bytes(1_201), (ONE,)))
    assert bench.core.counters["commands_refused"] == 3
    bench.do(frames(0, 5), StopAir(START.broadcast_id), SettleOrder(b"none", (ONE,)), Audience(b"none", (ONE,)))
    assert bench.core.counters["frames_refused"] == 5


def test_a_nack_is_answered_with_the_same_ciphertext(bench: Bench) -> None:
    bench.bind(ONE, TWO)
    bench.do(*on_air(replace(START, block_seed=bytes(32))), frames(0, 50))
    bench.to(due(19)[0])
    sound = [p for p in bench.packets(ONE) if p[11] == START.ssrc]
    blocks = [p for p in bench.packets(ONE) if p[11] == START.block_ssrc]
    assert bench.say(ONE, Type.NACK, Nack(START.ssrc, (3, 7, 19)).encode()) == [sound[3], sound[7], sound[19]]
    assert bench.say(ONE, Type.NACK, Nack(START.block_ssrc, (0, 2)).encode()) == [blocks[0], blocks[2]]
    assert bench.say(ONE, Type.NACK, Nack(START.ssrc, (20, 1 << 40)).encode()) == []
    assert bench.core.counters["repaired_packets"] == 5
    assert bench.core.counters["repair_misses"] == 2


def test_only_who_gets_a_broadcast_has_it_repaired(bench: Bench) -> None:
    bench.bind(ONE, THREE)
    bench.do(*on_air(), frames(0, 5))
    bench.to(due(4)[0])
    assert bench.say(THREE, Type.NACK, Nack(START.ssrc, (1,)).encode()) == []


def test_what_has_ended_is_repaired_for_ten_seconds(bench: Bench) -> None:
    bench.bind(ONE)
    bench.do(*on_air(replace(START, end_index=5)), frames(0, 5))
    bench.to(due(4)[0] + 9 * S)
    assert len(bench.say(ONE, Type.NACK, Nack(START.ssrc, (4,)).encode())) == 1
    bench.to(due(4)[0] + 10 * S)
    assert bench.say(ONE, Type.NACK, Nack(START.ssrc, (4,)).encode()) == []


def test_repair_is_limited_to_two_hundred_packets_a_second_for_one_channel(bench: Bench) -> None:
    bench.bind(ONE, TWO)
    bench.do(*on_air(), frames(0, 400))
    bench.to(due(399)[0])
    everything = Nack(START.ssrc, tuple(range(400))).encode()
    got = 0
    for _ in range(100):  # 1 s of it, while all is in the ring
        got += len(bench.say(ONE, Type.NACK, everything))
        bench.to(bench.now_ns + 10 * MS)
    assert 190 < got <= 200
    assert len(bench.say(TWO, Type.NACK, everything)) == 100
    assert bench.core.counters["nack_limited"] > 0


def test_a_flood_of_nacks_for_nothing_is_limited_too(bench: Bench) -> None:
    bench.bind(ONE)
    for _ in range(1_000):
        assert bench.say(ONE, Type.NACK, Nack(4, tuple(range(10))).encode()) == []
    assert bench.core.counters["nacks"] == DATAGRAMS_AT_ONCE - 2
    assert bench.core.counters["nack_limited"] == DATAGRAMS_AT_ONCE - 2 - REPAIRS_AT_ONCE
    assert bench.core.counters["dropped_limited"] == 1_000 - DATAGRAMS_AT_ONCE + 2


def test_asking_for_very_much_that_is_not_there_costs_more(bench: Bench) -> None:
    bench.bind(ONE)
    for _ in range(50):
        bench.say(ONE, Type.NACK, Nack(4, tuple(range(2_000))).encode())
    assert bench.core.counters["repair_misses"] <= (REPAIRS_AT_ONCE + 2_000 // MISSES_A_REPAIR) * MISSES_A_REPAIR


def test_a_channel_that_says_too_much_is_silenced_alone_and_for_a_while(bench: Bench) -> None:
    bench.bind(ONE, TWO)
    for _ in range(2 * DATAGRAMS_AT_ONCE):
        bench.say(ONE, Type.KEEPALIVE, padded(b""))
    assert bench.core.counters["dropped_limited"] == DATAGRAMS_AT_ONCE + 2
    bench.to(bench.now_ns)
    assert [event for event in bench.events if isinstance(event, ChannelLoud)] == [ChannelLoud(ONE)]
    assert bench.say(ONE, Type.KEEPALIVE, padded(b"")) == []
    assert len(bench.say(TWO, Type.KEEPALIVE, padded(b""))) == 1
    bench.to(bench.now_ns + S)
    assert len(bench.say(ONE, Type.KEEPALIVE, padded(b""))) == 1


def test_who_does_not_know_the_secret_silences_nobody(bench: Bench) -> None:
    bench.bind(ONE)
    for n in range(2 * DATAGRAMS_AT_ONCE):
        forged = channel_wire.encode(Type.KEEPALIVE, ONE, 10_000 + n, padded(b""), b"x" * 32)
        assert bench.core.receive(forged, HOMES[ONE], bench.now_ns) == []
    assert bench.core.counters["dropped_limited"] == 0
    assert len(bench.say(ONE, Type.KEEPALIVE, padded(b""))) == 1


def test_repair_is_limited_for_all_together(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "ALL_REPAIRS_AT_ONCE", 15)
    bench = Bench()
    bench.bind(ONE, TWO)
    bench.do(*on_air(), frames(0, 20))
    bench.to(due(19)[0])
    ten = Nack(START.ssrc, tuple(range(10))).encode()
    assert len(bench.say(ONE, Type.NACK, ten)) == 10
    assert len(bench.say(TWO, Type.NACK, ten)) == 5
    assert bench.core.counters["nack_limited_all"] == 5


def test_ten_thousand_endpoints_change_hands_at_one_boundary() -> None:
    core = MediaCore(epoch=bytes(8), address=("::", 7), clock=VirtualClock().monotonic_ns, nonce_key=bytes(32))
    every = [n.to_bytes(8, "big") for n in range(10_000)]
    for n, channel in enumerate(every):
        core.handle(AddChannel(channel, SECRET), 0)
        say(core, channel, n, 0)
    low = replace(START, start_ns=S)
    high = replace(low, broadcast_id=b"h" * 16, ssrc=21, block_ssrc=22)
    for command in (*on_air(low, *every), high, frames(0, 20), frames(0, 20, high.broadcast_id)):
        core.handle(command, 0)
    assert [len(batch.table) for batch in core.due(S)] == [10_000]
    core.handle(Audience(low.broadcast_id, (), tuple(every)), S)
    core.handle(Audience(high.broadcast_id, tuple(every)), S)
    [batch] = core.due(S + 20 * MS)
    assert len(batch.table) == 10_000
    assert batch.packet[11] == high.ssrc
    core.handle(Audience(low.broadcast_id, tuple(every[:10])), S)
    core.handle(Audience(high.broadcast_id, (), tuple(every[:10])), S)
    assert [(batch.packet[11], len(batch.table)) for batch in core.due(S + 40 * MS)] == [(11, 10), (21, 9_990)]


def test_an_address_that_the_kernel_refuses_rests_for_a_second_from_sound_but_not_from_orders(bench: Bench) -> None:
    bench.bind(ONE, TWO)
    bench.do(*on_air(), frames(0, 200))
    bench.clock.set(due(0)[0])
    [batch] = bench.core.due(bench.now_ns)
    bench.core.refused(batch.table, [batch.table.addresses().index(HOMES[ONE])], bench.now_ns)
    bench.do(SendOrder(b"order", b"datagram", (ONE, TWO)))
    bench.to(due(100)[0])
    assert b"datagram" in bench.packets(ONE)
    sound = [at_ns for at_ns, packet in bench.heard[HOMES[ONE]] if packet != b"datagram"]
    assert sound == due(*range(50, 101))
    assert [at_ns for at_ns, packet in bench.heard[HOMES[TWO]] if packet != b"datagram"] == due(*range(1, 101))
    assert bench.core.counters["addresses_rested"] == 1


def test_a_refused_address_that_moved_rests_no_longer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.bind(ONE)
    bench.do(*on_air(), frames(0, 200))
    bench.clock.set(due(0)[0])
    [batch] = bench.core.due(bench.now_ns)
    bench.core.refused(batch.table, [0], bench.now_ns)
    bench.to(due(10)[0])
    assert bench.times(ONE) == []
    monkeypatch.setitem(HOMES, ONE, HOMES[THREE])
    bench.bind(ONE)
    bench.to(due(11)[0])
    assert bench.times(ONE) == due(11)


def test_nothing_that_it_does_leaves_cycles_behind() -> None:
    """The process runs without the collector of cycles."""
    bench = Bench()
    gc.collect()
    gc.disable()
    try:
        bench.bind(ONE, TWO)
        bench.do(
            *on_air(replace(START, block_seed=bytes(32), end_index=60)),
            frames(0, 60),
            SendOrder(b"o", b"datagram", (ONE,)),
        )
        bench.to(due(30)[0])
        bench.say(ONE, Type.NACK, Nack(START.ssrc, (3, 7, 19)).encode())
        for junk in (b"", b"junk", bytes((0xC1, 7)) + ONE + bytes(40), bytes((0xC1, 99)) + bytes(40)):
            bench.core.receive(junk, HOMES[ONE], bench.now_ns)
        bench.do(DropChannel(TWO), Audience(START.broadcast_id, (ONE, TWO), (THREE,)), AskCounters())
        bench.do(replace(START, generation=2, ssrc=START.ssrc), StopAir(START.broadcast_id))
        bench.to(100 * S)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_thousand_that_are_gone_without_goodbye_are_sent_to_until_their_binding_ends() -> None:
    clock = VirtualClock()
    core = MediaCore(epoch=bytes(8), address=("::", 7), clock=clock.monotonic_ns, nonce_key=bytes(32))
    every = [n.to_bytes(8, "big") for n in range(1_010)]
    for n, channel in enumerate(every):
        core.handle(AddChannel(channel, SECRET), 0)
        say(core, channel, n, 0)
    for command in (*on_air(replace(START, start_ns=40 * S), *every), frames(0, 500)):
        core.handle(command, 40 * S)
    for n in range(10):  # these still speak
        say(core, every[n], n, 40 * S)
    assert [len(batch.table) for batch in core.due(40 * S)] == [1_010]
    assert [len(batch.table) for batch in core.due(45 * S)] == [10]
    assert core.counters["bindings_expired"] == 1_000
    assert (core.counters["channels"], core.counters["channels_bound"]) == (1_010, 10)


def say(core: MediaCore, channel: bytes, n: int, now_ns: int) -> None:
    """A keep-alive, and the echo of the challenge where there is one."""
    home = (f"10.2.{n // 250}.{n % 250}", 9)
    counter = now_ns // S
    [(reply, _)] = core.receive(
        channel_wire.encode(Type.KEEPALIVE, channel, counter, padded(b""), SECRET), home, now_ns
    )
    answer = channel_wire.parse(reply)
    if answer.type is Type.CHALLENGE:
        core.receive(channel_wire.encode(Type.ECHO, channel, counter + 1, answer.payload, SECRET), home, now_ns)


def test_an_audience_of_unknown_channels_is_counted(bench: Bench) -> None:
    bench.bind(ONE)
    bench.do(*on_air(START, ONE, b"nobody01", b"nobody02"))
    assert bench.core.counters["commands_refused"] == 2


def test_an_order_is_repeated_to_those_who_have_not_answered(bench: Bench) -> None:
    bench.bind(ONE, TWO)
    began_ns = bench.now_ns
    bench.do(SendOrder(b"order", b"datagram", (ONE, TWO, THREE)))
    bench.to(began_ns + 60 * MS)
    bench.do(SettleOrder(b"order", (ONE,)))
    bench.to(began_ns + 200 * MS)
    bench.bind(THREE)
    bench.to(began_ns + 5 * S)
    assert bench.times(ONE) == [began_ns + ms * MS for ms in (0, 50)]
    assert bench.times(TWO) == [began_ns + ms * MS for ms in (0, 50, 150, 400, 1_000)]
    assert bench.times(THREE) == [began_ns + ms * MS for ms in (400, 1_000)]
    assert set(bench.packets(TWO)) == {b"datagram"}
    assert bench.core.counters["orders_sent"] == 9


def test_an_order_that_all_have_answered_is_forgotten(bench: Bench) -> None:
    bench.bind(ONE)
    bench.do(SendOrder(b"order", b"datagram", (ONE,)), SettleOrder(b"order", (ONE,)))
    assert bench.core.next_due_ns() == bench.now_ns + 45 * S  # nothing but the binding
    assert len(bench.packets(ONE)) == 0


def test_orders_on_their_way_are_bounded(bench: Bench) -> None:
    for n in range(1_005):
        bench.core.handle(SendOrder(b"%d" % n, b"datagram", (ONE,)), 0)
    assert bench.core.counters["commands_refused"] == 5


def test_counters_are_told_when_asked(bench: Bench) -> None:
    bench.bind(ONE)
    bench.do(*on_air(), frames(0, 5), AskCounters())
    counters = bench.events[-1]
    assert isinstance(counters, Counters)
    assert (counters.values["bindings"], counters.values["channels_bound"]) == (1, 1)
    bench.to(due(3)[0])
    assert counters.values["frames_sent"] == 0  # a copy, not the live ones
    assert bench.core.counters["frames_sent"] == 4


def tapped(bench: Bench) -> list[bytes]:
    return [packet for event in bench.events if isinstance(event, Tapped) for packet in event.packets]


def test_what_is_tapped_is_what_is_sent_and_only_while_it_is_tapped(bench: Bench) -> None:
    bench.bind(ONE)
    bench.do(*on_air(replace(START, block_seed=bytes(32))), frames(0, 20))
    bench.to(START.start_ns + 30 * MS)
    before = len(bench.packets(ONE))
    bench.do(Tap(START.broadcast_id, True))
    bench.to(START.start_ns + 210 * MS)
    bench.do(Tap(START.broadcast_id, False))
    after = len(bench.packets(ONE))
    bench.to(START.start_ns + 300 * MS)
    assert tapped(bench) == bench.packets(ONE)[before:after]
    assert before < after < len(bench.packets(ONE))


def test_what_nobody_is_sent_is_tapped_too_to_its_last_block(bench: Bench) -> None:
    bench.do(replace(START, block_seed=bytes(32)), Tap(START.broadcast_id, True), frames(0, 7))
    bench.to(START.start_ns + 130 * MS)
    bench.do(StopAir(START.broadcast_id))
    bench.to(START.start_ns + 500 * MS)
    ssrcs = [int.from_bytes(packet[8:12], "big") for packet in tapped(bench)]
    assert (ssrcs.count(START.ssrc), ssrcs.count(START.block_ssrc)) == (7, 2)
    assert ssrcs[-1] == START.block_ssrc


def test_a_tap_outlives_a_generation_and_means_nothing_for_what_is_not_on_air(bench: Bench) -> None:
    bench.do(Tap(START.broadcast_id, True), *on_air(), frames(0, 5))
    bench.to(START.start_ns + 50 * MS)
    assert tapped(bench) == []
    bench.do(Tap(START.broadcast_id, True))
    bench.do(replace(START, generation=2, ssrc=21, block_ssrc=22, master_key=bytes(15) + b"2"), frames(0, 5))
    bench.to(START.start_ns + 150 * MS)
    assert {packet[8:12] for packet in tapped(bench)} == {(21).to_bytes(4, "big")}


def test_what_has_ended_makes_room_for_what_begins(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_core, "MAX_AIRS", 3)
    bench.bind(ONE)
    starts = [
        replace(
            START, broadcast_id=bytes([n]) * 16, ssrc=2 * n + 100, block_ssrc=2 * n + 101, start_ns=bench.now_ns
        )
        for n in range(6)
    ]
    for start in starts[:3]:
        bench.do(*on_air(start), Frames(start.broadcast_id, 0, (b"sound",)))
        bench.to(bench.now_ns + 20 * MS)
    bench.do(StopAir(starts[0].broadcast_id), StopAir(starts[1].broadcast_id))
    for start in starts[3:5]:
        bench.do(start)
    assert [event for event in bench.events if isinstance(event, AirEnded) and event.reason == "refused"] == []
    # The first to end is the first that is not repaired any more; what is on air never makes room.
    assert bench.say(ONE, Type.NACK, Nack(starts[0].ssrc, (0,)).encode()) == []
    bench.do(starts[5])
    assert isinstance(bench.events[-1], AirEnded)
    assert (bench.events[-1].broadcast_id, bench.events[-1].reason) == (starts[5].broadcast_id, "refused")
    assert bench.say(ONE, Type.NACK, Nack(starts[2].ssrc, (0,)).encode()) != []


def test_a_run_that_has_ended_holds_no_addresses(bench: Bench) -> None:
    bench.bind(ONE, TWO)
    bench.do(*on_air(), Frames(START.broadcast_id, 0, (b"sound",) * 2))
    bench.clock.set(START.start_ns)
    [batch] = bench.core.due(bench.now_ns)
    bench.core.handle(StopAir(START.broadcast_id), bench.now_ns)
    bench.core.due(bench.now_ns)
    assert len(batch.table) == 2  # as long as somebody still sends to it
    assert all(len(each.listeners.table) == 0 for each in bench.core._by_ssrc.values())
    assert bench.say(ONE, Type.NACK, Nack(START.ssrc, (0,)).encode()) != []


def test_a_channel_that_goes_on_saying_too_much_is_told_of_again(bench: Bench) -> None:
    bench.bind(ONE)
    for minute in range(3):
        bench.to(minute * 60 * S + S)
        for _ in range(2 * DATAGRAMS_AT_ONCE):
            bench.say(ONE, Type.PROBE, Probe(0).encode())
    bench.to(bench.now_ns)
    assert [event for event in bench.events if isinstance(event, ChannelLoud)] == [ChannelLoud(ONE)] * 3
