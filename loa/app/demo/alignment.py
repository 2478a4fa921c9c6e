"""Where a recording stands against a reference, measured from the sound itself. Pure numpy.

Times are samples of the reference (float); a positive lag means that the recording is late.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

_TAPS = 64
_PHASES = 8192
_CHUNK = 1 << 12
# A window is trusted when its correlation peaks at least here ...
_LEAST_PEAK = 0.85
# ... and no other lag comes this near to the peak. Periodic sound repeats its peak at every period.
_CLEARANCE = 0.03
# Half the width a peak may have; a wider one (a low hum) says little about where it is.
_WIDEST_PEAK_S = 0.001


def _kernels() -> NDArray[np.float32]:
    """Windowed sinc for each fraction 0..1 of a sample: (_PHASES + 1, _TAPS). Flat up to 0.9 of Nyquist."""
    fraction = np.arange(_PHASES + 1)[:, None] / _PHASES
    x = np.arange(_TAPS)[None, :] - (_TAPS // 2 - 1) - fraction
    inside = np.clip(1.0 - (x / (_TAPS / 2)) ** 2, 0.0, None)
    return (np.sinc(x) * np.i0(9.0 * np.sqrt(inside)) / np.i0(9.0)).astype(np.float32)


_KERNELS = _kernels()


def sample_at(sound: Samples, positions: Samples) -> Samples:
    """The value of band-limited `sound` at fractional sample positions; zero outside of it.

    Exact to 1/16,384 of a sample and to single precision, which is all that 16-bit sound can tell.
    """
    half = _TAPS // 2
    padded = np.pad(sound.astype(np.float32), _TAPS)
    runs = np.lib.stride_tricks.sliding_window_view(padded, _TAPS)
    flat = np.clip(positions, -half - 1.0, len(sound) + half - 1.0).ravel()
    out = np.empty(flat.shape)
    for start in range(0, len(flat), _CHUNK):
        part = flat[start : start + _CHUNK]
        whole = np.floor(part)
        kernels = _KERNELS[np.rint((part - whole) * _PHASES).astype(np.int64)]
        first = whole.astype(np.int64) + (_TAPS - half + 1)
        out[start : start + _CHUNK] = np.einsum("ij,ij->i", runs[first], kernels)
    return out.reshape(positions.shape)


@dataclass(frozen=True, slots=True)
class WindowLag:
    """One window of the reference. `lag` is in samples, None where the sound does not tell it."""

    start: int
    length: int
    peak: float
    lag: float | None


def window_lags(
    reference: Samples, recording: Samples, margin: int, windows: list[tuple[int, int]], rate: int
) -> list[WindowLag]:
    """Measure the lag in each window (start, length) of the reference.

    `recording` begins `margin` samples before the reference and ends as many after it, on the reference's
    time line; lags within ± `margin` are searched. Sub-sample by a parabola through the peak.
    """
    energy = np.concatenate([[0.0], np.cumsum(recording**2)])
    out = []
    for start, length in windows:
        x = reference[start : start + length]
        y = recording[start : start + length + 2 * margin]
        size = 1 << (len(y) + length - 1).bit_length()
        cross = np.fft.irfft(np.fft.rfft(y, size) * np.conj(np.fft.rfft(x, size)), size)[: 2 * margin + 1]
        first = np.arange(start, start + 2 * margin + 1)
        power = np.maximum(energy[first + length] - energy[first], 0.0) * float(x @ x)
        # Below the noise of 16 bits there is nothing to compare; the floor keeps such places at zero.
        correlation = cross / np.sqrt(np.maximum(power, (length * 1e-10) ** 2))
        peak = float(correlation.max())
        out.append(WindowLag(start, length, peak, _unique_peak(correlation, margin, rate)))
    return out


def _unique_peak(correlation: Samples, margin: int, rate: int) -> float | None:
    """Lag of the highest correlation, or None if it is low, at the edge, broad, or has a rival."""
    top = int(np.argmax(correlation))
    peak = correlation[top]
    near = np.flatnonzero(correlation > peak - _CLEARANCE)
    if (
        peak < _LEAST_PEAK
        or near[0] == 0
        or near[-1] == len(correlation) - 1
        or near[-1] - near[0] != len(near) - 1
        or len(near) > 2 * _WIDEST_PEAK_S * rate
    ):
        return None
    return float(peak_offsets(correlation[None, :])[0]) - margin


def peak_offsets(rows: Samples) -> Samples:
    """Place of the highest value of each row, to a fraction of a step by the parabola through it."""
    index = np.arange(len(rows))
    top = np.argmax(rows, axis=1)
    # At an end of the row there is no parabola.
    middle = np.clip(top, 1, rows.shape[1] - 2)
    before, peak, after = rows[index, middle - 1], rows[index, middle], rows[index, middle + 1]
    bend = before - 2 * peak + after
    fits = (middle == top) & (bend < 0)
    found: Samples = top + np.where(fits, 0.5 * (before - after) / np.where(fits, bend, 1.0), 0.0)
    return found


def correlations(x: Samples, y: Samples) -> Samples:
    """Normalised correlation of each row of `x` with the same row of `y`, -1..1; 0 where one is silent."""
    power = np.sum(x * x, axis=1) * np.sum(y * y, axis=1)
    floor = (x.shape[1] * 1e-12) ** 2
    result: Samples = np.where(power > floor, np.sum(x * y, axis=1) / np.sqrt(np.maximum(power, floor)), 0.0)
    return result
