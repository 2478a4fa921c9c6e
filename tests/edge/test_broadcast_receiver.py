"""What a receiver believes, repairs and decodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.codecs.order_wire import Tune
from loa.edge.speaker.broadcast_receiver import BroadcastReceiver, How
from tests.edge.origin import START_NS, Sound, ToneDecoder, key, tune

MS = 1_000_000
BLOCK_KEY = key("block")


class Listener:
    """A receiver with its sound."""

    def __init__(self, of: Tune, *, fec: bool = False) -> None:
        self.decoder = ToneDecoder()
        self.sound = Sound(of, BLOCK_KEY, fec=fec)
        self.receiver = BroadcastReceiver(of, lambda: self.decoder)
        self.receiver.set_key(self.sound.media_key)

    def take(self, packet: bytes, at_ms: int = 100) -> None:
        self.receiver.receive(packet, START_NS + at_ms * MS, at_ms * MS)

    def decode(self, frames: int) -> list[How]:
        return [self.receiver.decode_next()[0] for _ in range(frames)]


def signed_tune() -> Tune:
    return tune(block_key=BLOCK_KEY.public_key)


def test_frames_are_decoded_in_order_over_the_turn_of_the_sequence_number() -> None:
    on = Listener(tune())
    for number in reversed(range(60)):
        on.take(on.sound.frame(number), at_ms=number * 20)
    assert on.decode(60) == [How.PLAYED] * 60
    assert on.decoder.decoded == list(range(60))
    assert on.receiver.counters.played == 60


def test_a_missing_frame_is_concealed_and_named() -> None:
    on = Listener(tune())
    for number in (0, 1, 3):
        on.take(on.sound.frame(number))
    assert on.decode(4) == [How.PLAYED, How.PLAYED, How.CONCEALED, How.PLAYED]
    assert on.receiver.concealed_frames == [2]
    assert on.receiver.counters.concealed == 1


def test_a_long_loss_fades_to_silence_and_the_sound_comes_back_whole() -> None:
    on = Listener(tune())
    on.decoder.conceal = lambda samples: np.ones(samples, dtype=np.float32)  # type: ignore[method-assign]
    for number in (0, 30, 31):
        on.take(on.sound.frame(number))
    heard = [on.receiver.decode_next()[1] for _ in range(32)]
    lost = np.concatenate(heard[1:30])
    assert np.all(lost[:4_800] == 1)
    assert np.all(np.diff(lost) <= 0)
    assert np.max(np.abs(np.diff(lost))) < 0.001, "no step that could be heard"
    assert np.all(lost[14_400:] == 0)
    assert np.max(np.abs(heard[31])) > 0.1


def test_a_missing_frame_is_recovered_from_the_next_where_that_carries_it() -> None:
    on = Listener(tune(), fec=True)
    for number in (0, 2):
        on.take(on.sound.frame(number))
    assert on.decode(3) == [How.PLAYED, How.RECOVERED, How.PLAYED]
    assert on.receiver.counters.recovered == 1
    assert on.receiver.concealed_frames == []


def test_a_frame_that_no_block_covers_is_never_decoded() -> None:
    on = Listener(signed_tune())
    on.take(on.sound.frame(0))
    assert on.decode(1) == [How.CONCEALED]
    assert on.decoder.decoded == []
    assert (on.receiver.counters.unsigned, on.receiver.counters.concealed) == (1, 1)


@pytest.mark.parametrize("block_first", [True, False])
def test_a_block_covers_frames_that_came_before_it_and_after_it(block_first: bool) -> None:
    on = Listener(signed_tune())
    if block_first:
        on.take(on.sound.block(0))
    for number in range(8):
        on.take(on.sound.frame(number))
    if not block_first:
        on.take(on.sound.block(0))
    assert on.decode(8) == [How.PLAYED] * 8


@pytest.mark.parametrize("block_first", [True, False])
def test_a_forgery_under_the_true_group_key_is_dropped_and_the_true_frame_may_still_come(block_first: bool) -> None:
    on = Listener(signed_tune())
    if block_first:
        on.take(on.sound.block(0))
    for number in range(8):
        on.take(on.sound.frame(number, mark=1 if number == 3 else 0))
    if not block_first:
        on.take(on.sound.block(0))
    assert on.receiver.counters.forged == 1
    assert not on.receiver.has(on.sound.tune.index0 + 3)
    if not block_first:
        nacks = on.receiver.nacks(START_NS + 150 * MS, 150 * MS, 10 * MS)
        assert on.sound.tune.index0 + 3 in {index for nack in nacks for index in nack.indices}
    on.take(on.sound.frame(3))
    assert on.decode(8) == [How.PLAYED] * 8


def test_a_forgery_that_is_not_replaced_counts_as_unsigned() -> None:
    on = Listener(signed_tune())
    on.take(on.sound.block(0))
    on.take(on.sound.frame(0, mark=1))
    assert on.decode(1) == [How.CONCEALED]
    assert on.receiver.counters.unsigned == 1


@pytest.mark.parametrize("wrong", ["signer", "frames"])
def test_a_block_of_another_key_or_for_other_frames_covers_nothing(wrong: str) -> None:
    on = Listener(signed_tune())
    on.take(on.sound.frame(0))
    on.take(on.sound.block(0, signer=key("stranger")) if wrong == "signer" else on.sound.block(0, shift=8))
    assert on.decode(1) == [How.CONCEALED]
    on.take(on.sound.frame(1))
    on.take(on.sound.block(0))
    assert on.decode(1) == [How.PLAYED]


def test_a_replayed_packet_is_counted_and_changes_nothing() -> None:
    on = Listener(tune())
    on.take(on.sound.frame(0))
    on.take(on.sound.frame(0))
    assert on.receiver.counters.replayed == 1
    on.decode(1)
    on.take(on.sound.frame(0))
    assert on.receiver.counters.late == 1


def test_another_ssrc_under_the_true_key_is_dropped() -> None:
    on = Listener(tune())
    on.take(on.sound.frame(0, ssrc=0x9999))
    assert on.receiver.counters.outside == 1


@pytest.mark.parametrize("data", [b"", bytes(70_000), b"\x80" * 12, b"\x90" + bytes(100)])
def test_what_is_no_packet_is_counted(data: bytes) -> None:
    on = Listener(tune())
    on.take(data)
    assert on.receiver.counters.malformed == 1


def test_a_packet_under_another_key_is_unauthentic() -> None:
    on = Listener(tune())
    on.take(Sound(replace(tune(), generation=2)).frame(0))
    assert on.receiver.counters.unauthentic == 1


def test_a_packet_more_than_20_s_from_its_time_is_dropped() -> None:
    on = Listener(tune(end_index=None))
    on.take(on.sound.frame(1001), at_ms=0)
    assert on.receiver.counters.outside == 1
    on.take(on.sound.frame(1000), at_ms=0)
    assert on.receiver.counters.outside == 1
    assert on.receiver.counters.dropped == 1


def test_before_the_key_packets_are_only_counted() -> None:
    of = tune()
    receiver = BroadcastReceiver(of, ToneDecoder)
    receiver.receive(Sound(of).frame(0), START_NS, 0)
    assert receiver.counters.no_key == 1


def test_missing_frames_and_blocks_are_asked_for_each_under_its_ssrc() -> None:
    on = Listener(signed_tune())
    for number in range(20):
        if number != 5:
            on.take(on.sound.frame(number), at_ms=number * 20)
    on.take(on.sound.block(1), at_ms=400)
    assert on.receiver.nacks(START_NS + 400 * MS, 400 * MS, 20 * MS) == []
    nacks = on.receiver.nacks(START_NS + 420 * MS, 420 * MS, 20 * MS)
    index0 = on.sound.tune.index0
    assert [(nack.ssrc, nack.indices) for nack in nacks if nack.ssrc == 0x2222] == [(0x2222, (0,))]
    assert next(nack.indices for nack in nacks if nack.ssrc == 0x1111)[0] == index0 + 5


def test_a_repaired_frame_counts_as_played_and_repaired() -> None:
    on = Listener(tune())
    on.take(on.sound.frame(1), at_ms=20)
    on.receiver.nacks(START_NS + 20 * MS, 20 * MS, 20 * MS)
    assert on.receiver.nacks(START_NS + 45 * MS, 45 * MS, 20 * MS) != []
    on.take(on.sound.frame(0), at_ms=60)
    on.decode(2)
    assert (on.receiver.counters.played, on.receiver.counters.repaired) == (2, 1)


def test_the_last_block_may_be_shorter() -> None:
    of = replace(signed_tune(), end_index=65_500 + 11)
    on = Listener(of)
    for number in range(11):
        on.take(on.sound.frame(number), at_ms=number * 20)
    on.take(on.sound.block(0), at_ms=200)
    on.take(on.sound.block(1), at_ms=220)
    assert on.decode(11) == [How.PLAYED] * 11


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(-(10**15), 10**15))
def test_arbitrary_packets_never_raise(data: bytes, origin_ns: int) -> None:
    on = Listener(signed_tune())
    on.receiver.receive(data, origin_ns, 0)
    on.receiver.receive(b"\x80\x6f\xff\xdc\xff\xff\xf0\x00\x00\x00\x11\x11" + data, START_NS, 0)
    on.receiver.receive(b"\x80\x70\x00\x00\xff\xff\xf0\x00\x00\x00\x22\x22" + data, START_NS, 0)
    assert on.decode(2) == [How.CONCEALED] * 2
    assert on.decoder.decoded == []
