"""The checker outside the speakers: a good recording passes, and every way to play badly is seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import loa
from loa.app.demo.alignment import sample_at
from loa.app.demo.check import (
    FRAME,
    RATE,
    Skew,
    SpeakerCheck,
    check_speaker,
    largest_difference_ns,
    summarise,
)
from loa.errors import MediaError

Samples = NDArray[np.float64]
START_NS = 7_123_456_789_012
HOUR_NS = 3_600_000_000_000
OVERSAMPLING = 8
TRUE = Skew()


def speech(seconds: float, seed: int = 1) -> Samples:
    """Syllables of gliding harmonics and hiss, with a pause of pure silence every 1.6 s."""
    dice = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    steps = dice.uniform(95, 210, len(t) // 9600 + 2)
    pitch = np.interp(t, np.arange(len(steps)) * 0.2, steps)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(dice.uniform(0.2, 1) / k * np.sin(k * phase + dice.uniform(0, 6)) for k in range(1, 24))
    hiss = np.convolve(dice.standard_normal(len(t)), np.hanning(9), "same")
    syllables = np.sin(np.pi * 4.1 * t) ** 2
    sound = 0.08 * syllables * voice + 0.012 * np.sin(np.pi * 2.7 * t + 1) ** 2 * hiss
    return np.where(t % 1.6 > 1.3, 0.0, sound)


def siren(seconds: float) -> Samples:
    """A glide between 500 and 1,000 Hz and back every 1.2 s."""
    t = np.arange(round(seconds * RATE)) / RATE
    return 0.15 * np.sin(2 * np.pi * np.cumsum(500 * 2 ** (0.5 - 0.5 * np.cos(2 * np.pi * t / 1.2))) / RATE)


PROGRAMME = np.concatenate([siren(1.5), np.zeros(9600), speech(4.3)])
FRAMES = len(PROGRAMME) // FRAME


def card(
    played: Samples, skew: Skew = TRUE, *, late_ns: int = 0, drift_ppm: float = 0.0, volume: float = 0.5
) -> tuple[NDArray[np.int16], int]:
    """What a virtual card records, by its own clock, of `played` heard from START_NS on; and when it begins.

    Resampled by another way than the checker's: eight times the rate by spectrum, then straight lines.
    """
    length = -(-len(played) // 4800) * 4800  # a length the transform is quick at
    wide = np.fft.irfft(np.fft.rfft(played, length), length * OVERSAMPLING) * OVERSAMPLING
    first_local_ns = round(skew.to_local(START_NS - 40_000_000))
    count = len(played) + round(0.1 * RATE)
    # Base time of each sample since START_NS: small numbers, so floats are exact enough.
    begin_ns = float(skew.to_base(first_local_ns) - START_NS)
    heard_ns = begin_ns + np.arange(count) * 1e9 / RATE / float(skew.rate) - late_ns
    position = heard_ns * RATE / 1e9 * (1 + drift_ppm / 1e6)
    sound = np.interp(position, np.arange(len(wide)) / OVERSAMPLING, wide, left=0.0, right=0.0)
    return np.rint(np.clip(sound * volume, -1, 1) * 32767).astype(np.int16), first_local_ns


def check(
    played: Samples,
    skew: Skew = TRUE,
    *,
    reference: Samples = PROGRAMME,
    concealed: tuple[int, ...] = (),
    recovery_frames: int = 0,
    error_limit_ns: int | None = 4_000_000,
    late_ns: int = 0,
    drift_ppm: float = 0.0,
    volume: float = 0.5,
) -> SpeakerCheck:
    recording, first_local_ns = card(played, skew, late_ns=late_ns, drift_ppm=drift_ppm, volume=volume)
    return check_speaker(
        recording,
        reference.astype(np.float32),
        name="speaker-1",
        wav_local_ns=first_local_ns,
        skew=skew,
        start_ns=START_NS,
        concealed=concealed,
        recovery_frames=recovery_frames,
        error_limit_ns=error_limit_ns,
    )


def changed(change: Callable[[Samples], None]) -> Samples:
    played = PROGRAMME.copy()
    change(played)
    return played


def frame(number: int) -> slice:
    return slice(number * FRAME, (number + 1) * FRAME)


def loud(number: int) -> bool:
    return bool(np.sqrt(np.mean(PROGRAMME[frame(number)] ** 2)) >= 1e-3)


@pytest.mark.parametrize("skew", [Skew(), Skew(HOUR_NS, 80.0), Skew(-HOUR_NS, -80.0)])
@pytest.mark.parametrize("volume", [1.0, 0.15])
def test_a_good_recording_passes_whatever_its_clock_and_volume(skew: Skew, volume: float) -> None:
    result = check(PROGRAMME, skew, volume=volume)
    assert result.passed, result.faults
    assert len(result.frames) == FRAMES
    assert result.usable_fraction > 0.8
    assert result.checked_fraction == 1.0
    assert result.max_error_ns is not None
    assert result.max_error_ns < 20_000
    assert result.drift_ppm == pytest.approx(0, abs=5)
    assert any(f.silent for f in result.frames)
    assert min(f.correlation for f in result.frames if not f.silent) > 0.99


@pytest.mark.parametrize("late_ns", [5_000_000, -5_000_000, 1_234_567, 20_833])
def test_lateness_is_measured_and_leaves_the_frames_good(late_ns: int) -> None:
    result = check(PROGRAMME, Skew(HOUR_NS, -80.0), late_ns=late_ns)
    assert result.failed == []
    errors = [w.error_ns for w in result.windows if w.error_ns is not None]
    assert all(abs(error - late_ns) < 20_000 for error in errors)
    assert result.passed == (abs(late_ns) < 4_000_000)
    if not result.passed:
        assert "not at their time" in result.faults[0]
    assert check(PROGRAMME, late_ns=late_ns, error_limit_ns=None).passed


def test_the_largest_difference_is_between_speakers_in_the_same_window() -> None:
    skews = [Skew(HOUR_NS, 80.0), Skew(5, -80.0), Skew()]
    checks = [
        check(PROGRAMME, skew, late_ns=late_ns)
        for skew, late_ns in zip(skews, [1_000_000, 1_200_000, -300_000], strict=True)
    ]
    assert largest_difference_ns(checks) == pytest.approx(1_500_000, abs=20_000)
    assert largest_difference_ns(checks[:1]) == 0
    summary = summarise(checks)
    assert (summary.speakers, summary.passed, summary.failed_frames) == (3, 3, 0)
    assert summary.frames == 3 * FRAMES
    assert summary.largest_difference_ns == largest_difference_ns(checks)


def test_a_difference_nobody_could_measure_is_not_zero() -> None:
    checks = [check(np.zeros_like(PROGRAMME)), check(np.zeros_like(PROGRAMME))]
    with pytest.raises(MediaError):
        largest_difference_ns(checks)
    assert summarise(checks).largest_difference_ns is None
    assert summarise(checks).passed == 0


def test_an_uncorrected_drift_shows_as_growing_error() -> None:
    result = check(PROGRAMME, drift_ppm=-80.0)
    assert result.drift_ppm == pytest.approx(80, abs=5)
    assert result.max_error_ns == pytest.approx(80e-6 * 5.9e9, abs=30_000)
    late = [w.error_ns for w in result.windows if w.error_ns is not None]
    assert late[-1] > late[len(late) // 2] > late[0]


def test_a_player_that_bends_its_rate_to_follow_the_clock_passes() -> None:
    n = np.arange(len(PROGRAMME), dtype=np.float64)
    bend_s = 100e-6 * np.sin(2 * np.pi * 0.5 * n / RATE)  # ±314 ppm
    result = check(sample_at(PROGRAMME, n + RATE * bend_s), Skew(HOUR_NS, 80.0))
    assert result.passed, result.faults
    assert result.max_error_ns == pytest.approx(100_000, abs=20_000)


@pytest.mark.parametrize("number", [20, 60, 100, 135, 200, 260])
def test_one_missing_frame_is_found_and_only_it(number: int) -> None:
    assert loud(number)

    def mute(sound: Samples) -> None:
        sound[frame(number)] = 0

    result = check(changed(mute), Skew(HOUR_NS, 80.0))
    assert result.failed == [number]
    assert not result.passed
    assert check(changed(mute), concealed=(number,)).passed
    assert not check(changed(mute), concealed=(number + 1,)).passed


def test_a_reported_frame_excuses_no_other_unless_recovery_is_granted() -> None:
    def mute(sound: Samples) -> None:
        sound[frame(100)] = 0
        sound[frame(101)] = 0

    assert check(changed(mute), concealed=(100,)).failed == [101]
    assert check(changed(mute), concealed=(100,), recovery_frames=1).passed


def test_half_a_second_of_silence_is_found() -> None:
    def mute(sound: Samples) -> None:
        sound[100 * FRAME : 125 * FRAME] = 0

    assert check(changed(mute)).failed == [n for n in range(100, 125) if loud(n)]


def test_a_repeated_frame_is_found() -> None:
    for number in (20, 100, 200):

        def repeat(sound: Samples, number: int = number) -> None:
            sound[frame(number)] = sound[frame(number - 1)]

        assert check(changed(repeat)).failed == [number]


def test_swapped_frames_are_found() -> None:
    def swap(sound: Samples) -> None:
        sound[frame(120)], sound[frame(121)] = sound[frame(121)].copy(), sound[frame(120)].copy()

    assert check(changed(swap)).failed == [120, 121]


def test_an_inserted_frame_makes_the_rest_late() -> None:
    played = np.insert(PROGRAMME, 130 * FRAME, PROGRAMME[frame(129)])[: len(PROGRAMME)]
    result = check(played)
    assert not result.passed
    assert result.max_error_ns == pytest.approx(20_000_000, abs=20_000)
    assert {n for n in range(140, 200) if loud(n)} <= set(result.misplaced)
    assert not set(range(125)) & set(result.misplaced)


def test_a_frame_cut_out_is_found_and_makes_the_rest_early() -> None:
    played = np.concatenate([np.delete(PROGRAMME, np.arange(150 * FRAME, 151 * FRAME)), np.zeros(FRAME)])
    result = check(played)
    assert 150 in result.failed
    assert min(w.error_ns for w in result.windows if w.error_ns is not None) == pytest.approx(-20e6, abs=2e4)


def test_an_echo_of_five_milliseconds_is_found() -> None:
    played = PROGRAMME + 0.6 * np.concatenate([np.zeros(240), PROGRAMME[:-240]])
    assert len(check(played).failed) > FRAMES / 3


def test_another_programme_is_found() -> None:
    other = np.concatenate([speech(1.5, seed=8), siren(1.3)[::-1], speech(3.2, seed=9)])
    result = check(other)
    assert not result.passed
    assert len(result.failed) > 0.8 * sum(loud(n) for n in range(FRAMES))
    assert any("timing measurable" in fault for fault in result.faults)


def test_sound_where_the_programme_is_silent_is_found() -> None:
    quiet = [n for n in range(FRAMES) if not PROGRAMME[frame(n)].any()]
    number = quiet[len(quiet) // 2]

    def whistle(sound: Samples) -> None:
        sound[frame(number)] = 0.02 * np.sin(np.arange(FRAME) * 0.2)

    assert check(changed(whistle), volume=0.3).failed == [number]


def test_a_truncated_end_is_found() -> None:
    def cut(sound: Samples) -> None:
        sound[250 * FRAME :] = 0

    recording, first_local_ns = card(PROGRAMME)
    short = recording[: 1920 + 250 * FRAME]
    result = check_speaker(
        short,
        PROGRAMME.astype(np.float32),
        name="short",
        wav_local_ns=first_local_ns,
        skew=Skew(),
        start_ns=START_NS,
    )
    assert result.failed == check(changed(cut)).failed == [n for n in range(250, FRAMES) if loud(n)]


def test_noise_and_emptiness_are_found() -> None:
    dice = np.random.default_rng(3)
    hiss = 0.1 * dice.standard_normal(len(PROGRAMME))
    for played in (hiss, np.zeros_like(PROGRAMME)):
        result = check(played)
        assert not result.passed
        assert result.usable_fraction == 0
        assert result.median_error_ns is None
    assert not check(PROGRAMME + 0.3 * hiss).passed
    assert check(PROGRAMME + 0.0005 * hiss).passed
    empty = check_speaker(
        np.zeros(0, np.int16),
        PROGRAMME.astype(np.float32),
        name="empty",
        wav_local_ns=0,
        skew=Skew(),
        start_ns=START_NS,
    )
    assert empty.failed == [n for n in range(FRAMES) if loud(n)]


def test_reporting_everything_as_concealed_does_not_pass() -> None:
    assert not check(PROGRAMME, concealed=tuple(range(FRAMES))).passed


def test_a_steady_tone_tells_no_time() -> None:
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    result = check(tone, reference=tone)
    assert result.usable_fraction == 0
    assert not result.passed


def test_a_last_short_frame_is_compared_as_one() -> None:
    part = PROGRAMME[: 60 * FRAME + 500]
    assert check(part, reference=part).passed
    missing = part.copy()
    missing[60 * FRAME :] = 0
    assert check(missing, reference=part).failed == [60]


def test_wrong_arrays_are_refused() -> None:
    good = np.zeros(FRAME, np.float32)
    wrong: list[tuple[NDArray[Any], NDArray[Any]]] = [
        (np.zeros((2, 9), np.int16), good),
        (np.zeros(9, np.float32), good),
        (np.zeros(9, np.int16), np.zeros(0, np.float32)),
        (np.zeros(9, np.int16), np.full(9, np.nan, np.float32)),
    ]
    for recording, reference in wrong:
        with pytest.raises(MediaError):
            check_speaker(recording, reference, name="x", wav_local_ns=0, skew=Skew(), start_ns=0)


@given(offset_ns=st.integers(-HOUR_NS, HOUR_NS), ppm=st.floats(-500, 500), base_ns=st.integers(0, 10**18))
def test_skew_is_undone_exactly(offset_ns: int, ppm: float, base_ns: int) -> None:
    skew = Skew(offset_ns, ppm)
    assert skew.to_base(skew.to_local(base_ns)) == base_ns


@settings(max_examples=30, deadline=None)
@given(frequency=st.floats(20, 20_000), shift=st.floats(-50, 50), rate=st.floats(0.999, 1.001))
def test_interpolation_is_true_up_to_the_edge_of_hearing(frequency: float, shift: float, rate: float) -> None:
    omega = 2 * np.pi * frequency / RATE
    positions = 500 + shift + rate * np.arange(1000, dtype=np.float64)
    found = sample_at(np.sin(omega * np.arange(2000)), positions)
    assert np.abs(found - np.sin(omega * positions)).max() < 2e-3


def decoded(path: Path) -> Samples:
    with av.open(str(path)) as file:
        return np.concatenate([f.to_ndarray().ravel() for f in file.decode(audio=0)]).astype(np.float64)


def test_the_shipped_bulletin_is_sound_and_can_be_checked() -> None:
    path = Path(loa.__file__).parent / "assets" / "bulletin.ogg"
    assert path.stat().st_size < 400_000
    sound = decoded(path)
    assert 13 * RATE <= len(sound) <= 15 * RATE
    assert np.abs(sound).max() < 0.95
    for begin_s, end_s in [(0.2, 2.8), (3.15, 4.2), (4.8, 13.7)]:
        part = sound[round(begin_s * RATE) : round(end_s * RATE)]
        assert -23 < 10 * np.log10(np.mean(part**2)) < -17

    result = check(sound, Skew(HOUR_NS, 80.0), reference=sound, late_ns=700_000)
    assert result.passed, result.faults
    assert result.usable_fraction > 0.6
    assert result.median_error_ns == pytest.approx(700_000, abs=20_000)
    assert result.max_error_ns == pytest.approx(700_000, abs=50_000)

    broken = sound.copy()
    broken[frame(400)] = 0
    assert check(broken, reference=sound).failed == [400]
