from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loa.edge.speaker.interpolate import SincTable, Span, interpolate, table_for_step
from loa.errors import MediaError

RATE = 48_000
FOLLOWING = Fraction(10_005, 10_000)  # +500 ppm
TO_44100 = Fraction(48_000, 44_100)


def tone(frequency_hz: float, samples: int) -> NDArray[np.float32]:
    angle = 2 * np.pi * frequency_hz / RATE * np.arange(samples, dtype=np.float64)
    return np.asarray(0.5 * np.sin(angle), dtype=np.float32)


def noise_and_level_db(frequency_hz: float, step: Fraction) -> tuple[float, float]:
    """THD+N of a tone read at `step`, and its level against the exact one; a phase error counts as noise."""
    count = 20_000
    heard = interpolate(tone(frequency_hz, 24_000), 0, Span(100, step, count)).astype(np.float64)
    angle = 2 * np.pi * frequency_hz / RATE * (100 + float(step) * np.arange(count))
    exact = 0.5 * np.sin(angle)
    level = float(heard @ exact / (exact @ exact))
    error = heard - level * exact
    return 10 * float(np.log10(np.mean(error**2) / np.mean(heard**2))), 20 * float(np.log10(level))


@pytest.mark.parametrize("step", [FOLLOWING, 2 - FOLLOWING, TO_44100])
@pytest.mark.parametrize(
    ("frequency_hz", "limit_db"), [(50, -90), (997, -95), (5_000, -90), (10_000, -90), (15_000, -85)]
)
def test_a_tone_stays_a_tone(frequency_hz: float, limit_db: float, step: Fraction) -> None:
    noise_db, level_db = noise_and_level_db(frequency_hz, step)
    assert noise_db < limit_db
    assert abs(level_db) < 0.01


def test_a_lower_output_rate_keeps_out_what_it_cannot_carry() -> None:
    heard = interpolate(tone(23_900, 24_000), 0, Span(100, Fraction(3, 1), 7_000))
    assert 20 * np.log10(np.sqrt(np.mean(heard**2)) / np.sqrt(0.125)) < -80


def test_positions_on_the_samples_return_the_samples() -> None:
    pcm = np.random.default_rng(1).uniform(-1, 1, 4_800).astype(np.float32)
    assert np.array_equal(interpolate(pcm, 1_000, Span(1_000, 1, 4_800)), pcm)
    assert np.array_equal(interpolate(pcm, -5, np.array([0.0, 17.0, 3.0])), pcm[[5, 22, 8]])


def test_blocks_join_without_a_seam() -> None:
    pcm = np.random.default_rng(2).uniform(-1, 1, 12_000).astype(np.float32)
    whole = interpolate(pcm, 0, Span(Fraction(100), FOLLOWING, 10_000))
    blocks = [interpolate(pcm, 0, Span(100 + i * FOLLOWING, FOLLOWING, 480)) for i in range(0, 9_600, 480)]
    assert np.max(np.abs(np.concatenate(blocks) - whole[:9_600])) < 1e-6


def test_a_rational_start_is_as_exact_after_years_as_at_first() -> None:
    pcm = np.random.default_rng(3).uniform(-1, 1, 2_000).astype(np.float32)
    years = 10**14
    start = Fraction(1_000_003, 3_001)
    early = interpolate(pcm, 0, Span(start, FOLLOWING, 480))
    late = interpolate(pcm, years, Span(years + start, FOLLOWING, 480))
    assert np.array_equal(early, late)


def test_outside_of_the_sound_is_silence() -> None:
    pcm = np.ones(200, dtype=np.float32)
    heard = interpolate(pcm, 0, np.array([-1e300, -1e9, -17.5, 100.5, 216.5, 1e9, 1e300]))
    assert heard[3] == pytest.approx(1, abs=1e-6)
    assert not np.delete(heard, 3).any()
    assert not interpolate(np.zeros(0, dtype=np.float32), 0, Span(0.5, 1, 10)).any()
    assert len(interpolate(pcm, 0, Span(0, 1, 0))) == 0


def test_a_long_reading_is_the_same_as_short_ones() -> None:
    pcm = np.random.default_rng(4).uniform(-1, 1, 20_000).astype(np.float32)
    positions = np.random.default_rng(5).uniform(-50, 20_050, 9_000)
    whole = interpolate(pcm, 0, positions)
    assert np.array_equal(whole[8_000:], interpolate(pcm, 0, positions[8_000:]))


def test_what_cannot_be_read_is_a_clear_error() -> None:
    pcm = np.zeros(10, dtype=np.float32)
    with pytest.raises(MediaError, match="finite"):
        interpolate(pcm, 0, np.array([0.0, np.nan]))
    with pytest.raises(MediaError, match="start"):
        interpolate(pcm, 0, Span(float("inf"), 1, 5))
    with pytest.raises(MediaError, match="-1 positions"):
        interpolate(pcm, 0, Span(0, 1, -1))
    with pytest.raises(MediaError, match="dimensions"):
        interpolate(pcm.reshape(2, 5), 0, Span(0, 1, 5))
    with pytest.raises(MediaError, match="step"):
        table_for_step(float("nan"))
    with pytest.raises(MediaError, match="cutoff"):
        SincTable(cutoff=0)


@settings(max_examples=60)
@given(
    st.integers(0, 300),
    st.integers(-(2**70), 2**70),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=50),
)
def test_any_position_is_answered_within_the_sounds_loudness(
    length: int, base_index: int, positions: list[float]
) -> None:
    pcm = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    heard = interpolate(pcm, base_index, np.array(positions, dtype=np.float64))
    assert heard.dtype == np.float32
    assert heard.shape == (len(positions),)
    assert np.all(np.abs(heard) < 4)
