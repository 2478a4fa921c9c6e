"""Files of all kinds become programmes of one loudness, and what is no whole sound is refused."""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.broadcast.content import file_lengths
from loa.broadcast.content import ingest as ingest_module
from loa.broadcast.content.audio_file import Samples, decode_mono
from loa.broadcast.content.ingest import Ingested, Recipe, ingest
from loa.broadcast.content.loudness import amplified, measure
from loa.codecs.ogg_opus import read_ogg_opus
from loa.errors import MediaError, NotAudio
from tests.broadcast.content.sound_files import KINDS, RATE, Sound, png, silent_film, write
from tests.sounds import siren, tone

TARGET_LUFS, PEAK_DBTP = -16.0, -1.5


def speech(seconds: float, level: float = 0.1) -> Sound:
    """Syllables of coloured noise with pauses: peaks stand high above the mean, as in speech."""
    random = np.random.default_rng(7)
    count = round(seconds * RATE)
    noise = np.cumsum(random.standard_normal(count)) if count else np.zeros(0)
    noise -= np.convolve(noise, np.ones(200) / 200, mode="same")
    t = np.arange(count) / RATE
    envelope = np.clip(np.sin(2 * np.pi * 3 * t), 0, 1) ** 2 * (np.sin(2 * np.pi * 0.4 * t) > -0.6)
    sound = np.tanh(noise / (noise.std() + 1e-9)) * envelope
    return np.asarray(level * sound / np.abs(sound).max(), dtype=np.float32)


def clicks(seconds: float) -> Sound:
    """Quiet noise with loud clicks: it cannot be made loud without limiting."""
    sound = 0.03 * np.random.default_rng(3).standard_normal(round(seconds * RATE))
    sound[:: RATE // 5] = 0.95
    return sound.astype(np.float32)


def _ingested(path: Path) -> tuple[Ingested, Path]:
    out = path.with_suffix(".out.ogg")
    return ingest(path, out), out


@pytest.mark.parametrize(
    "sound", [tone(4.0, 1000, 0.02), siren(4.0, 0.9), speech(6.0, 0.2), speech(6.0, 0.9), clicks(5.0)]
)
def test_sound_comes_out_at_the_target_with_its_peaks_held(tmp_path: Path, sound: Sound) -> None:
    made, out = _ingested(write(tmp_path / "in.wav", sound))
    heard = measure(decode_mono(out))
    assert heard.integrated_lufs == pytest.approx(TARGET_LUFS, abs=1.0)
    assert heard.true_peak_dbtp <= -1.0
    assert made.loudness_lufs / 100 == pytest.approx(heard.integrated_lufs, abs=0.5)
    assert made.true_peak_dbtp <= PEAK_DBTP


def test_what_is_told_is_what_is_in_the_file(tmp_path: Path) -> None:
    made, out = _ingested(write(tmp_path / "in.wav", siren(2.345)))
    data = out.read_bytes()
    ogg = read_ogg_opus(data)
    assert ogg.channels == 1
    assert made.samples == ogg.samples == round(2.345 * RATE)
    assert (made.frames, made.frame_samples) == (len(ogg.packets), 960)
    assert made.duration_ms == 2345
    assert made.size_bytes == len(data)


def test_the_same_sound_makes_the_same_file(tmp_path: Path) -> None:
    path = write(tmp_path / "in.wav", siren(1.0))
    first = ingest(path, tmp_path / "one.ogg")
    assert ingest(path, tmp_path / "two.ogg") == first
    assert (tmp_path / "one.ogg").read_bytes() == (tmp_path / "two.ogg").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_files_are_read(tmp_path: Path, kind: str) -> None:
    made, out = _ingested(write(tmp_path / f"in.{kind}", siren(3.0), kind))
    assert made.samples / RATE == pytest.approx(3.0, abs=0.1)
    heard = np.concatenate(list(decode_mono(out)))
    assert np.sqrt(np.mean(heard[RATE : 2 * RATE] ** 2)) > 0.05


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 96_000])
def test_other_rates_and_stereo_keep_their_length(tmp_path: Path, rate: int) -> None:
    sound = (0.2 * np.sin(2 * np.pi * 400 * np.arange(2 * rate) / rate)).astype(np.float32)
    made, _ = _ingested(write(tmp_path / "in.wav", sound, rate=rate, channels=2))
    assert made.samples == pytest.approx(2 * RATE, abs=RATE // 100)


def test_a_cover_picture_is_no_hindrance(tmp_path: Path) -> None:
    made, _ = _ingested(write(tmp_path / "in.mp3", siren(2.0), "mp3", cover=True))
    assert made.duration_ms == pytest.approx(2000, abs=100)


def test_silence_is_taken_and_stays_silence(tmp_path: Path) -> None:
    made, out = _ingested(write(tmp_path / "in.wav", np.zeros(2 * RATE, dtype=np.float32)))
    assert (made.loudness_lufs, made.gain_db, made.limited) == (-7000, 0.0, False)
    assert np.abs(np.concatenate(list(decode_mono(out)))).max() < 1e-3


def test_very_quiet_sound_is_not_blown_up(tmp_path: Path) -> None:
    made, _ = _ingested(write(tmp_path / "in.flac", tone(3.0, 500, 0.002), "flac"))
    assert made.gain_db == 20.0
    assert made.loudness_lufs < -3000


def test_sound_shorter_than_a_measuring_block_is_taken(tmp_path: Path) -> None:
    made, _ = _ingested(write(tmp_path / "in.wav", tone(0.1)))
    assert made.samples == RATE // 10
    assert made.true_peak_dbtp <= PEAK_DBTP


def test_limiting_changes_neither_the_length_nor_the_time_of_sound() -> None:
    sound = clicks(2.0)
    pieces = [sound[at : at + 1000] for at in range(0, len(sound), 1000)]
    limited = np.concatenate(list(amplified(pieces, 6.0, PEAK_DBTP)))
    assert len(limited) == len(sound)
    lag = int(np.argmax(np.correlate(limited, sound[2000:-2000], mode="valid"))) - 2000
    assert abs(lag) <= 1


def test_a_reference_tone_measures_as_the_standard_says() -> None:
    # EBU Tech 3341, case 1, for one channel of the two: 3.01 LU less.
    heard = measure([tone(20.0, 1000, 10 ** (-23 / 20))])
    assert heard.integrated_lufs == pytest.approx(-26.01, abs=0.1)
    assert heard.true_peak_dbtp == pytest.approx(-23.0, abs=0.2)


def _bad(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "in"
    if name == "empty":
        path.write_bytes(b"")
    elif name == "text":
        path.write_text("Kính thưa bà con, hôm nay trời nắng. " * 200, encoding="utf-8")
    elif name == "zeros":
        path.write_bytes(bytes(50_000))
    elif name == "noise":
        path.write_bytes(np.random.default_rng(5).bytes(50_000))
    elif name == "picture":
        png(tmp_path / "in.png").rename(path)
    elif name == "film without sound":
        silent_film(path)
    elif name == "header only":
        path.write_bytes(write(tmp_path / "x.wav", tone(1.0)).read_bytes()[:44])
    return path


@pytest.mark.parametrize("name", ["empty", "text", "zeros", "picture", "film without sound", "header only"])
def test_what_is_not_sound_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    path, out = _bad(tmp_path, name), tmp_path / "out.ogg"
    expected = MediaError if name == "header only" else NotAudio
    with pytest.raises(expected):
        ingest(path, out)
    assert not out.exists()


def test_noise_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        ingest(_bad(tmp_path, "noise"), tmp_path / "out.ogg")


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "m4a", "aac", "mka", "aiff"])
@pytest.mark.parametrize("share", [0.9, 0.5])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    path = write(tmp_path / f"in.{kind}", siren(6.0), kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share) | 1])
    with pytest.raises(MediaError):
        ingest(path, tmp_path / "out.ogg")
    assert not (tmp_path / "out.ogg").exists()


def test_a_cut_that_ogg_does_not_tell_is_taken_for_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ogg", siren(6.0), "ogg")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    made, _ = _ingested(path)
    assert 1000 < made.duration_ms < 5000


def test_a_recording_whose_header_was_never_finished_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "in.wav", siren(2.0))
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    made, _ = _ingested(path)
    assert made.duration_ms == pytest.approx(2000, abs=50)


def test_a_file_that_is_too_long_is_refused_before_and_while_it_is_read(tmp_path: Path) -> None:
    told = write(tmp_path / "in.wav", tone(3.0))
    untold = write(tmp_path / "in.aac", tone(3.0), "aac")
    for path in (told, untold):
        with pytest.raises(MediaError, match="too long"):
            ingest(path, tmp_path / "out.ogg", Recipe(max_duration_s=2))
        assert not (tmp_path / "out.ogg").exists()


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{path}'\n",
        "[playlist]\nFile1={path}\nNumberOfEntries=1\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    ],
)
def test_a_playlist_does_not_make_the_core_open_other_files(tmp_path: Path, playlist: str) -> None:
    secret = write(tmp_path / "secret.aac", siren(2.0), "aac")
    path = tmp_path / "in.aac"
    path.write_text(playlist.format(path=secret))
    with pytest.raises(NotAudio):
        ingest(path, tmp_path / "out.ogg")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_samples_that_are_no_sound_do_no_harm(tmp_path: Path, value: float) -> None:
    pcm = np.concatenate((tone(1.0), np.full(10, value, dtype=np.float32), tone(1.0))).astype("<f4").tobytes()
    header = (
        b"RIFF"
        + struct.pack("<I", 36 + len(pcm))
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 3, 1, RATE, RATE * 4, 4, 32)
    )
    path = tmp_path / "in.wav"
    path.write_bytes(header + b"data" + struct.pack("<I", len(pcm)) + pcm)
    if np.isfinite(np.float32(value)):
        made, _ = _ingested(path)
        assert made.true_peak_dbtp <= PEAK_DBTP
    else:
        with pytest.raises(MediaError):
            ingest(path, tmp_path / "out.ogg")


def test_an_output_that_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path / "in.wav", tone(1.0))
    (tmp_path / "out.ogg").write_bytes(b"precious")
    with pytest.raises(MediaError):
        ingest(path, tmp_path / "out.ogg")
    assert (tmp_path / "out.ogg").read_bytes() == b"precious"


def test_long_sound_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0

    def watched(path: Path, max_duration_s: int) -> Iterator[Samples]:
        nonlocal largest
        for piece in decode_mono(path, max_duration_s):
            largest = max(largest, len(piece))
            yield piece

    monkeypatch.setattr(ingest_module, "decode_mono", watched)
    ingest(write(tmp_path / "in.flac", siren(20.0), "flac"), tmp_path / "out.ogg")
    assert 0 < largest < RATE


@given(
    data=st.binary(max_size=2000),
    magic=st.sampled_from(
        [
            b"RIFF\0\0\0\0WAVEfmt ",
            b"fLaC",
            b"OggS\0\2",
            b"ID3\4",
            b"\xff\xfb\x90\0",
            b"\0\0\0\x18ftypM4A ",
            b"FORM\0\0\0\0AIFF",
            b"\x1aE\xdf\xa3",
            b"",
        ]
    ),
)
@settings(max_examples=120, deadline=None)
def test_any_bytes_are_sound_or_a_media_error(data: bytes, magic: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in"
        path.write_bytes(magic + data)
        with contextlib.suppress(MediaError):
            assert sum(len(piece) for piece in decode_mono(path)) > 0


@given(
    data=st.binary(max_size=300), magic=st.sampled_from([b"RIFF\0\0\0\0WAVE", b"\x1aE\xdf\xa3", b"ID3\4\0\0", b""])
)
def test_the_readers_of_lengths_end_on_any_bytes(data: bytes, magic: bytes) -> None:
    whole = magic + data
    file_lengths.wav_is_cut(io.BytesIO(whole), len(whole))
    file_lengths.matroska_is_cut(io.BytesIO(whole), len(whole))
    file_lengths.mp3_tells_frames(io.BytesIO(whole))


def test_a_wav_file_of_nothing_but_empty_chunks_is_read_to_a_bound() -> None:
    data = b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 100_000
    file = io.BytesIO(data)
    assert not file_lengths.wav_is_cut(file, len(data))
    assert file.tell() < 1000
