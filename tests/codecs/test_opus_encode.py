"""Encoding: packet lengths, what waits and what a flush brings, and input that cannot be taken."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loa.codecs.opus_decode import OpusDecoder, packet_samples
from loa.codecs.opus_encode import OpusEncoder
from loa.errors import MediaError


def tone(samples: int) -> NDArray[np.float32]:
    return (0.4 * np.sin(np.arange(samples) * 2 * np.pi * 440 / 48_000)).astype(np.float32)


@pytest.mark.parametrize("frame_ms", [5, 10, 20, 40, 60])
def test_every_packet_is_one_frame_long(frame_ms: int) -> None:
    encoder = OpusEncoder(frame_ms=frame_ms)
    packets = [*encoder.encode(tone(48_000)), *encoder.flush()]
    assert {packet_samples(packet) for packet in packets} == {frame_ms * 48}


def test_pre_skip_is_the_look_ahead_of_libopus() -> None:
    assert OpusEncoder().pre_skip_samples == 312


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=6))
def test_the_packets_do_not_depend_on_how_samples_arrive(pieces: list[int]) -> None:
    sound = tone(sum(pieces))
    at_once, in_pieces = OpusEncoder(), OpusEncoder()
    expected = [*at_once.encode(sound), *at_once.flush()]
    packets = []
    for end, piece in zip(np.cumsum(pieces), pieces, strict=True):
        packets += in_pieces.encode(sound[end - piece : end])
    packets += in_pieces.flush()
    assert packets == expected
    assert in_pieces.samples_in == len(sound)
    length = 960 * len(packets)
    if len(sound):
        assert 0 <= length - (len(sound) + in_pieces.pre_skip_samples) < 960
    else:
        assert length == 0


def test_a_flush_brings_the_last_sample_out() -> None:
    sound = np.zeros(9_600, dtype=np.float32)
    sound[-48:] = 0.8
    encoder = OpusEncoder(bitrate_bps=128_000)
    packets = [*encoder.encode(sound), *encoder.flush()]
    with OpusDecoder() as decoder:
        decoded = np.concatenate([decoder.decode(packet) for packet in packets])
    played = decoded[encoder.pre_skip_samples :]
    assert int(np.argmax(np.abs(played))) >= 9_600 - 100
    assert float(np.abs(played).max()) > 0.3


def test_int16_and_float32_make_the_same_packets() -> None:
    as_int = np.round(tone(9_600) * 32_767).astype(np.int16)
    as_float = (as_int / np.float32(32_768)).astype(np.float32)
    assert OpusEncoder().encode(as_int) == OpusEncoder().encode(as_float)


def test_the_bit_rate_is_about_what_was_asked() -> None:
    noise = np.random.default_rng(7).normal(0, 0.1, 96_000).astype(np.float32)
    for bitrate_bps in (16_000, 64_000, 128_000):
        size_bytes = sum(map(len, OpusEncoder(bitrate_bps=bitrate_bps).encode(noise)))
        assert 0.7 < size_bytes * 8 / 2 / bitrate_bps < 1.3


def test_a_flushed_encoder_takes_nothing_more() -> None:
    encoder = OpusEncoder()
    encoder.flush()
    with pytest.raises(MediaError, match="flushed"):
        encoder.encode(tone(960))
    with pytest.raises(MediaError, match="flushed"):
        encoder.flush()


@pytest.mark.parametrize(
    "samples", [np.zeros((960, 2), np.float32), np.zeros(960, np.float64), np.zeros(960, np.uint8)]
)
def test_samples_of_another_shape_or_type_are_refused(samples: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="samples of"):
        OpusEncoder().encode(samples)


def test_samples_that_are_not_finite_are_refused_and_do_no_harm() -> None:
    encoder, other = OpusEncoder(), OpusEncoder()
    poisoned = tone(960)
    poisoned[5] = np.nan
    with pytest.raises(MediaError, match="not finite"):
        encoder.encode(poisoned)
    assert encoder.encode(tone(960)) == other.encode(tone(960))


@pytest.mark.parametrize(
    "arguments",
    [
        {"bitrate_bps": 1},
        {"channels": 3},
        {"frame_ms": 21},
        {"application": "music"},
        {"packet_loss_percent": 101},
    ],
)
def test_settings_that_cannot_be_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Opus|packet loss"):
        OpusEncoder(**arguments)
