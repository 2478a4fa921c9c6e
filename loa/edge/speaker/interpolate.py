"""Sound at any instant between its samples: exact playout at a rate that follows a clock.

A resampler that is told a ratio drifts by every rounding of that ratio. Here the clock says *which source
position is heard at each output sample*, and the value there is computed: there is no state, so no error can
accumulate, and a block may be computed in any order or twice.

The kernel is a Kaiser-windowed sinc, tabulated at 512 phases and interpolated linearly between them.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from math import ceil, isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loa.errors import MediaError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

TAPS = 32
PHASES = 512
KAISER_BETA = 9.0
_FOLLOWING = 1.01  # a step up to this follows a clock; beyond, the output rate is another and is filtered for
_CHUNK = 4096  # output samples computed at once, which bounds the scratch memory


class Span(NamedTuple):
    """`length` positions `start, start + step, …` in source samples. A rational `start` keeps its full precision
    however long the sound has been running; as a float it has 2^-13 of a sample left after half a year."""

    start: Fraction | float
    step: Fraction | float
    length: int


class SincTable:
    """A tabulated kernel. `cutoff` is the band that passes as a share of the source's (0 < cutoff <= 1).

    With cutoff 1 it passes through the source samples: positions on a sample give that sample. A lower cutoff has
    more taps, for the same steepness in the output's band. Immutable; share it.
    """

    def __init__(self, cutoff: float = 1.0, taps: int = TAPS, phases: int = PHASES) -> None:
        if not 0.05 <= cutoff <= 1 or taps < 4 or phases < 2:
            raise MediaError(f"no kernel of cutoff {cutoff}, {taps} taps, {phases} phases")
        self.half = ceil(taps / 2 / cutoff)
        self.taps = 2 * self.half
        self.phases = phases
        # Row p, column k: the weight of sample floor(x) - half + 1 + k for a position x of fraction p / phases.
        distance = np.arange(phases + 1)[:, None] / phases + self.half - 1 - np.arange(self.taps, dtype=np.float64)
        inside = np.clip(1 - (distance / self.half) ** 2, 0, None)
        rows = np.sinc(distance * cutoff) * np.i0(KAISER_BETA * np.sqrt(inside)) * (inside > 0)
        if cutoff == 1.0:
            rows[0] = np.arange(self.taps) == self.half - 1
            rows[-1] = np.arange(self.taps) == self.half
        rows /= rows.sum(axis=1, keepdims=True)  # level (DC) is kept at every phase
        self.weights: Float32 = rows[:-1].astype(np.float32)
        self.slopes: Float32 = np.diff(rows, axis=0).astype(np.float32)


@lru_cache(maxsize=8)
def _table(cutoff_256ths: int) -> SincTable:
    return SincTable(cutoff_256ths / 256)


def table_for_step(step: float) -> SincTable:
    """The kernel for advancing `step` source samples per output sample: 1.0 while following a clock at the same
    rate, 48000/44100 for a card at 44.1 kHz. Cached. MediaError for a step outside 0..16."""
    if not 0 < step <= 16:
        raise MediaError(f"a step of {step} samples")
    return _table(256 if step <= _FOLLOWING else int(256 / step))


def interpolate(
    pcm: Float32, base_index: int, positions: Float64 | Span, table: SincTable | None = None
) -> Float32:
    """The sound of `pcm` at fractional source positions, as float32 of the same length as `positions`.

    `pcm`          float32, 1-D; its first sample is source sample `base_index`
    `positions`    source positions, absolute (in the numbering of `base_index`), in any order; or a `Span`
    `table`        the kernel; by default that of the span's step, or the full band for an array

    Outside of `pcm` the source is silent: to be exact, a position needs `table.half` samples on both sides.
    MediaError for positions that are not finite, and for pcm of another shape.
    """
    if pcm.ndim != 1:
        raise MediaError(f"sound of {pcm.ndim} dimensions where one channel is needed")
    if isinstance(positions, Span):
        table = table or table_for_step(float(positions.step))
        relative = _span_positions(positions, base_index)
    else:
        table = table or table_for_step(1.0)
        relative = np.asarray(positions, dtype=np.float64) - base_index
        if relative.ndim != 1:
            raise MediaError(f"positions of {relative.ndim} dimensions")
    if not np.isfinite(relative).all():
        raise MediaError("a position that is not finite")
    heard = np.empty(len(relative), dtype=np.float32)
    for chunk in _chunks(len(relative)):
        heard[chunk] = _heard(pcm, relative[chunk], table)
    return heard


def _span_positions(span: Span, base_index: int) -> Float64:
    try:
        first, step = float(Fraction(span.start) - base_index), float(span.step)
    except (OverflowError, ValueError) as error:
        raise MediaError(f"positions that start at {span.start!r}") from error
    if span.length < 0 or not isfinite(step):
        raise MediaError(f"{span.length} positions {step} apart")
    return first + step * np.arange(span.length, dtype=np.float64)


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, _CHUNK):
        yield slice(start, start + _CHUNK)


def _heard(pcm: Float32, relative: Float64, table: SincTable) -> Float32:
    # Positions out of reach of the sound are moved to the nearest one where only silence is heard.
    relative = np.clip(relative, -table.half - 1, len(pcm) + table.half)
    whole = np.floor(relative)
    phase = (relative - whole) * table.phases
    row = np.minimum(phase.astype(np.intp), table.phases - 1)
    between = (phase - row).astype(np.float32)
    left = whole.astype(np.intp) - (table.half - 1)

    first, end = int(left.min()), int(left.max()) + table.taps
    source = np.zeros(end - first, dtype=np.float32)
    low, high = max(first, 0), min(end, len(pcm))
    if low < high:
        source[low - first : high - first] = pcm[low:high]
    windows = np.lib.stride_tricks.sliding_window_view(source, table.taps)[left - first]
    weights = table.slopes[row]
    weights *= between[:, None]
    weights += table.weights[row]
    heard: Float32 = np.einsum("ij,ij->i", windows, weights)
    return heard
