import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs import channel_wire
from loa.codecs.channel_wire import (
    DOWNWARD,
    MAX_NACK_ENTRIES,
    NACK_SPAN,
    OVERHEAD_BYTES,
    UPWARD,
    Nack,
    Probe,
    ProbeReply,
    ReplayWindow,
    Type,
)
from loa.codecs.order_wire import MAX_DATAGRAM_BYTES, MAX_INDEX
from loa.errors import AuthorityError, WireError

SECRET, ID = bytes(range(32)), b"channel."
types = st.sampled_from(sorted(UPWARD | DOWNWARD))
i64 = st.integers(-(2**63), 2**63 - 1)
indices = st.sets(st.integers(0, 5000) | st.integers(0, MAX_INDEX), max_size=300)


@given(types, st.binary(min_size=8, max_size=8), st.integers(0, 2**64 - 1), st.binary(max_size=500))
def test_a_datagram_comes_back_whole(type_: Type, channel_id: bytes, counter: int, payload: bytes) -> None:
    data = channel_wire.encode(type_, channel_id, counter, payload, SECRET)
    datagram = channel_wire.parse(data)
    datagram.check(SECRET)
    assert (datagram.type, datagram.channel_id, datagram.counter, datagram.payload) == (
        type_,
        channel_id,
        counter,
        payload,
    )
    assert channel_wire.is_channel(data)
    assert channel_wire.parse_order(data) is None


@given(types, st.binary(max_size=40), st.data())
def test_any_flipped_bit_is_noticed(type_: Type, payload: bytes, data: st.DataObject) -> None:
    sent = bytearray(channel_wire.encode(type_, ID, 7, payload, SECRET))
    bit = data.draw(st.integers(0, 8 * len(sent) - 1))
    sent[bit // 8] ^= 1 << bit % 8
    with pytest.raises((WireError, AuthorityError)):
        channel_wire.parse(bytes(sent)).check(SECRET)


def test_every_type_that_carries_a_mac_has_one_direction() -> None:
    assert not UPWARD & DOWNWARD
    assert set(Type) - {Type.ORDER, Type.GROUP} == UPWARD | DOWNWARD


def test_what_goes_up_does_not_hold_when_it_is_sent_down() -> None:
    """Even when the type is one of equal payload, and the attacker can only reflect what it saw."""
    sent = channel_wire.encode(Type.ECHO, ID, 0, bytes(16), SECRET)
    with pytest.raises(AuthorityError):
        channel_wire.parse(sent[:1] + bytes((Type.CHALLENGE,)) + sent[2:]).check(SECRET)


@pytest.mark.parametrize("size", [0, 1, 2, OVERHEAD_BYTES - 1, MAX_DATAGRAM_BYTES + 1, 70_000])
def test_datagrams_of_impossible_length_are_malformed(size: int) -> None:
    with pytest.raises(WireError):
        channel_wire.parse(b"\xc1\x01".ljust(size, b"\0")[:size])


def test_order_and_channel_datagrams_are_told_apart() -> None:
    order = channel_wire.encode_order(bytes(100))
    assert channel_wire.parse_order(order) == bytes(100)
    assert channel_wire.is_channel(order)
    with pytest.raises(WireError, match="ORDER"):
        channel_wire.parse(order)
    for other in (b"", b"\xc1", b"\xc1\x10", b"\x80" + order[1:]):
        assert channel_wire.parse_order(other) is None
    assert not channel_wire.is_channel(b"\x80\x6f" + bytes(20))


@given(i64, st.binary(min_size=8, max_size=8), i64, i64)
def test_probes_and_replies_come_back_and_are_equally_long(t1: int, epoch: bytes, t2: int, t3: int) -> None:
    probe, reply = Probe(t1), ProbeReply(epoch, t1, t2, t3)
    assert Probe.decode(probe.encode()) == probe
    assert ProbeReply.decode(reply.encode()) == reply
    assert len(probe.encode()) == len(reply.encode()) == channel_wire.PADDED_BYTES


@given(st.integers(0, 2**32 - 1), indices)
def test_split_nacks_name_every_index_once_and_stay_within_bounds(ssrc: int, wanted: set[int]) -> None:
    nacks = channel_wire.split_nack(ssrc, wanted)
    named: list[int] = []
    for nack in nacks:
        payload = nack.encode()
        assert len(payload) <= 4 + 14 * MAX_NACK_ENTRIES
        assert Nack.decode(payload) == nack
        assert nack.ssrc == ssrc
        named += nack.indices
    assert named == sorted(wanted)


def test_split_nacks_are_no_more_than_needed() -> None:
    far_apart = range(0, 2 * MAX_NACK_ENTRIES * NACK_SPAN, NACK_SPAN)
    assert [len(nack.indices) for nack in channel_wire.split_nack(1, far_apart)] == [32, 32]
    assert len(channel_wire.split_nack(1, range(MAX_NACK_ENTRIES * NACK_SPAN))) == 1
    assert channel_wire.split_nack(1, []) == []


def test_a_nack_that_does_not_fit_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="0 entries"):
        Nack(1, ()).encode()
    with pytest.raises(ValueError, match="33 entries"):
        Nack(1, tuple(range(0, 33 * NACK_SPAN, NACK_SPAN))).encode()


def test_a_nack_that_names_an_index_many_times_asks_for_it_once() -> None:
    entry = (100).to_bytes(6, "big") + (0b11).to_bytes(8, "big")
    shifted = (99).to_bytes(6, "big") + (0b110).to_bytes(8, "big")
    assert Nack.decode(bytes(4) + entry * 16 + shifted * 16).indices == (100, 101)


@given(st.binary(max_size=4 + 14 * 33))
def test_what_a_nack_names_is_ascending_and_has_48_bits(payload: bytes) -> None:
    try:
        nack = Nack.decode(payload)
    except WireError:
        return
    assert list(nack.indices) == sorted(set(nack.indices))
    assert all(0 <= index <= MAX_INDEX for index in nack.indices)


near = st.integers(0, 200)
counters = near | near.map(lambda n: 2**63 + n) | st.sampled_from((2**64 - 1, 2**64 - 64, 2**64 - 65))


@given(st.lists(counters, max_size=200))
def test_the_replay_window_is_a_set_of_the_newest_64(given_counters: list[int]) -> None:
    window, seen = ReplayWindow(), set[int]()
    for counter in given_counters:
        newest = max(seen, default=-1)
        expected = counter not in seen and counter > newest - 64
        assert window.accept(counter) is expected
        if expected:
            seen.add(counter)
