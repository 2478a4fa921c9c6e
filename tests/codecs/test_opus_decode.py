"""Decoding by both libraries, loss, and what a packet's first bytes tell."""

import ctypes
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loa.codecs import libopus
from loa.codecs.opus_decode import OpusDecoder, has_fec, packet_frames, packet_samples
from loa.codecs.opus_encode import OpusEncoder
from loa.errors import MediaError

BUNDLED = libopus.bundled_library() or "no bundled libopus"
LIBRARIES = [BUNDLED, libopus.SYSTEM_LIBRARY]
FRAME = 960

PACKETS = st.one_of(
    st.binary(max_size=80),
    # A code 3 packet with its count byte at the edges, which plain bytes seldom are.
    st.builds(
        lambda toc, count, rest: bytes([toc | 3, count]) + rest,
        st.integers(0, 255),
        st.sampled_from([0x00, 0x01, 0x02, 0x30, 0x31, 0x41, 0x82, 0xC3, 0xFF]),
        st.binary(max_size=80),
    ),
)


@pytest.fixture(params=LIBRARIES, ids=["bundled", "system"])
def library(request: pytest.FixtureRequest) -> libopus.LibOpus:
    return libopus.load(request.param)


@pytest.fixture
def decoder(library: libopus.LibOpus) -> Iterator[OpusDecoder]:
    with OpusDecoder(library=library) as decoder:
        yield decoder


def tone(seconds: float, frequency_hz: float = 440.0) -> NDArray[np.float32]:
    time = np.arange(round(seconds * 48_000)) / 48_000
    return (0.4 * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


def speech_like(seconds: float) -> NDArray[np.float32]:
    """A gliding voice of many harmonics under moving formants, in syllables with onsets and pauses."""
    time = np.arange(round(seconds * 48_000)) / 48_000
    pitch_hz = 140 + 40 * np.sin(2 * np.pi * 0.9 * time) + 15 * np.sin(2 * np.pi * 3.1 * time)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / 48_000
    first_hz = 500 + 250 * np.sin(2 * np.pi * 2.3 * time)
    second_hz = 1500 + 600 * np.sin(2 * np.pi * 1.7 * time + 1)
    voice = np.zeros_like(time)
    for harmonic in range(1, 25):
        frequency_hz = harmonic * pitch_hz
        near_first = 1 / (1 + ((frequency_hz - first_hz) / 120) ** 2)
        near_second = 0.5 / (1 + ((frequency_hz - second_hz) / 180) ** 2)
        voice += (near_first + near_second) * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 4.5 * time) * 3, 0, 1)
    peak = float(np.abs(voice).max())
    sound: NDArray[np.float32] = (0.5 / peak * voice * syllables).astype(np.float32)
    return sound


def encoded(encoder: OpusEncoder, samples: NDArray[np.float32]) -> list[bytes]:
    return [*encoder.encode(samples), *encoder.flush()]


def correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.dot(one, other) / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-12))


def level(sound: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


def test_a_tone_survives_the_round_trip(decoder: OpusDecoder) -> None:
    original = tone(1.0)
    encoder = OpusEncoder()
    decoded = np.concatenate([decoder.decode(packet) for packet in encoded(encoder, original)])
    played = decoded[encoder.pre_skip_samples :][: len(original)]
    assert decoded.dtype == np.float32
    assert len(played) == len(original)
    assert correlation(original, played) > 0.98


def test_stereo_packets_decode_to_two_columns(library: libopus.LibOpus) -> None:
    left, right = tone(0.5, 300), tone(0.5, 700)
    encoder = OpusEncoder(bitrate_bps=128_000, channels=2)
    packets = encoded(encoder, np.stack([left, right], axis=1))
    with OpusDecoder(channels=2, library=library) as decoder:
        decoded = np.concatenate([decoder.decode(packet) for packet in packets])[encoder.pre_skip_samples :]
    assert decoded.shape[1] == 2
    assert correlation(left, decoded[: len(left), 0]) > 0.98
    assert correlation(right, decoded[: len(right), 1]) > 0.98
    assert abs(correlation(left, decoded[: len(left), 1])) < 0.3


def test_another_sample_rate_gives_as_many_samples(library: libopus.LibOpus) -> None:
    packet = encoded(OpusEncoder(), tone(0.02))[0]
    with OpusDecoder(sample_rate_hz=16_000, library=library) as decoder:
        assert decoder.decode(packet).shape == (320,)


def test_a_lost_speech_frame_comes_back_from_the_next_packet(library: libopus.LibOpus) -> None:
    packets = encoded(
        OpusEncoder(bitrate_bps=32_000, application="voip", fec=True, packet_loss_percent=20), speech_like(3.0)
    )
    with OpusDecoder(library=library) as whole:
        truth = [whole.decode(packet) for packet in packets]
    loud = 0.1 * max(float(np.linalg.norm(frame)) for frame in truth)
    recovered, concealed = [], []
    for lost in range(10, len(packets) - 1, 5):
        if not has_fec(packets[lost + 1]) or np.linalg.norm(truth[lost]) < loud:
            continue
        with OpusDecoder(library=library) as with_fec, OpusDecoder(library=library) as without:
            for packet in packets[:lost]:
                with_fec.decode(packet)
                without.decode(packet)
            recovered.append(correlation(truth[lost], with_fec.decode_fec(packets[lost + 1], FRAME)))
            concealed.append(correlation(truth[lost], without.conceal(FRAME)))
            assert len(with_fec.decode(packets[lost + 1])) == FRAME
    assert len(recovered) >= 5
    assert float(np.median(recovered)) > 0.9
    assert float(np.median(recovered)) > float(np.median(concealed)) + 0.1


def test_no_packet_of_a_sender_without_fec_claims_to_have_it() -> None:
    speech = speech_like(1.0)
    assert not any(map(has_fec, encoded(OpusEncoder(32_000, application="voip"), speech)))
    assert not any(map(has_fec, encoded(OpusEncoder(64_000), speech)))


def test_concealment_goes_on_from_a_tone_and_falls_to_faint_noise_but_not_to_silence(
    decoder: OpusDecoder,
) -> None:
    for packet in OpusEncoder().encode(tone(0.5)):
        last = level(decoder.decode(packet))
    concealed = [decoder.conceal(FRAME) for _ in range(200)]
    assert 0.8 * last < level(concealed[0]) < 1.2 * last
    # Single frames of the noise differ by several decibels: its level is that of the whole.
    noise = level(np.concatenate(concealed[20:]))
    assert 0.001 * last < noise < 0.1 * last


def test_reset_makes_a_decoder_like_a_new_one(library: libopus.LibOpus) -> None:
    packets = encoded(OpusEncoder(), tone(0.2))
    with OpusDecoder(library=library) as used, OpusDecoder(library=library) as fresh:
        for packet in packets:
            used.decode(packet)
        used.reset()
        assert np.array_equal(used.decode(packets[3]), fresh.decode(packets[3]))


def test_what_was_handed_out_does_not_change_later(decoder: OpusDecoder) -> None:
    packets = encoded(OpusEncoder(), tone(0.2))
    decoder.decode(packets[0])
    second = decoder.decode(packets[1])
    kept = second.copy()
    decoder.decode(packets[2])
    assert np.array_equal(second, kept)


@pytest.mark.parametrize("samples", [-120, 0, 1, 961, 5880])
def test_lengths_that_opus_does_not_have_are_refused(decoder: OpusDecoder, samples: int) -> None:
    with pytest.raises(MediaError, match=r"multiple of 2\.5 ms"):
        decoder.conceal(samples)
    with pytest.raises(MediaError, match=r"multiple of 2\.5 ms"):
        decoder.decode_fec(b"\x08\x00", samples)


def test_an_empty_packet_is_an_error_and_not_a_concealment(decoder: OpusDecoder) -> None:
    with pytest.raises(MediaError, match="empty"):
        decoder.decode(b"")
    with pytest.raises(MediaError, match="empty"):
        decoder.decode_fec(b"", FRAME)


def test_a_closed_decoder_says_so_and_closes_twice(library: libopus.LibOpus) -> None:
    decoder = OpusDecoder(library=library)
    decoder.close()
    decoder.close()
    for call in (lambda: decoder.decode(b"\x08\x00"), lambda: decoder.conceal(FRAME), decoder.reset):
        with pytest.raises(MediaError, match="closed"):
            call()


class CountingSymbols:
    """The real library, with creations and destructions counted."""

    def __init__(self, real: ctypes.CDLL) -> None:
        self.real = real
        self.alive = 0

    def opus_decoder_create(self, *arguments: object) -> object:
        self.alive += 1
        return self.real.opus_decoder_create(*arguments)

    def opus_decoder_destroy(self, handle: object) -> None:
        self.alive -= 1
        self.real.opus_decoder_destroy(handle)


def test_every_decoder_is_given_back(library: libopus.LibOpus) -> None:
    symbols = CountingSymbols(library.symbols)
    counted = libopus.LibOpus("counted", library.version, symbols)  # type: ignore[arg-type]
    with OpusDecoder(library=counted) as decoder:
        assert symbols.alive == 1
    decoder.close()
    assert symbols.alive == 0
    forgotten = OpusDecoder(library=counted)
    assert symbols.alive == 1
    del forgotten
    assert symbols.alive == 0


@pytest.mark.parametrize(("channels", "sample_rate_hz"), [(0, 48_000), (3, 48_000), (1, 44_100)])
def test_settings_that_opus_does_not_have_are_refused(channels: int, sample_rate_hz: int) -> None:
    with pytest.raises(ValueError, match="Opus decoder"):
        OpusDecoder(channels, sample_rate_hz)


@settings(max_examples=300, deadline=None)
@given(st.lists(PACKETS, min_size=1, max_size=4), st.sampled_from(LIBRARIES))
def test_arbitrary_bytes_give_samples_or_a_media_error(packets: list[bytes], path: str) -> None:
    with OpusDecoder(library=libopus.load(path)) as decoder:
        for packet in packets:
            for recover in (False, True):
                try:
                    pcm = decoder.decode_fec(packet, FRAME) if recover else decoder.decode(packet)
                except MediaError:
                    continue
                assert pcm.dtype == np.float32
                assert len(pcm) == (FRAME if recover else packet_samples(packet))


@settings(max_examples=600, deadline=None)
@given(PACKETS)
@example(b"")
@example(b"\x03")
@example(b"\x02\xfc")
@example(bytes([0xFF, 0x30]) + bytes(48))
@example(bytes([0x00]) + bytes(1276))
@example(b"\xfb\x41\xff\x00" + bytes(20 + 254))  # padding told in two bytes
def test_frames_and_length_are_those_libopus_finds(packet: bytes) -> None:
    symbols = libopus.load(BUNDLED).symbols
    sizes = (ctypes.c_int16 * 48)()
    count = symbols.opus_packet_parse(packet, ctypes.c_int32(len(packet)), None, None, sizes, None)
    if count < 0:
        with pytest.raises(MediaError):
            packet_frames(packet)
        return
    assert [end - start for start, end in packet_frames(packet)] == sizes[:count]
    assert packet_samples(packet) == symbols.opus_packet_get_nb_samples(packet, len(packet), 48_000)


@settings(max_examples=600, deadline=None)
@given(PACKETS)
def test_fec_is_seen_where_libopus_sees_it(packet: bytes) -> None:
    found = libopus.load(BUNDLED).symbols.opus_packet_has_lbrr(packet, ctypes.c_int32(len(packet)))
    assert has_fec(packet) == (found > 0)
