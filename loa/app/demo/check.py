"""The checker outside the speakers: did each one play the programme, all of it, at its time?

A speaker's own word is not asked. What its virtual sound card recorded is put on the host's time line and
compared with the programme as the reference decoder gives it. Where the recording stands is measured from
the sound itself, in windows of 200 ms; then each 20 ms frame is shifted by the lag measured around it and
must correlate with the reference. Volume does not matter, timing is reported apart from the sound: a
speaker that plays everything well and 5 ms late has perfect frames and a presentation error of 5 ms.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from loa.app.demo.alignment import Samples, WindowLag, correlations, peak_offsets, sample_at, window_lags
from loa.errors import MediaError

RATE = 48_000
FRAME = 960
LEAST_CORRELATION = 0.98
LEAST_USABLE_WINDOWS = 0.3
LEAST_CHECKED_FRAMES = 0.5

_WINDOW = RATE // 5
_HOP = RATE // 10
_SEARCH = 30 * RATE // 1000
_SILENT_RMS = 1e-3  # -60 dBFS, in the reference
_HEARD_RMS = 10 ** (-50 / 20)  # in the recording at the programme's level; above this it is not silent
# Lags of two windows that differ by less are one slow drift; by more, a step.
_DRIFT_SAMPLES = 8.0
# How far (83 µs) a frame may lie beside the line through the windows around it.
_BEND_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Skew:
    """A speaker's clock: local = base * (1 + rate_ppm / 1e6) + offset_ns, all in nanoseconds."""

    offset_ns: int = 0
    rate_ppm: float = 0.0

    @property
    def rate(self) -> Fraction:
        """Local nanoseconds in one nanosecond of the base clock."""
        return 1 + Fraction(self.rate_ppm) / 1_000_000

    def to_local(self, base_ns: int | Fraction) -> Fraction:
        """Local time of an instant of the base clock."""
        return base_ns * self.rate + self.offset_ns

    def to_base(self, local_ns: int | Fraction) -> Fraction:
        """The inverse of `to_local`."""
        return (local_ns - self.offset_ns) / self.rate


@dataclass(frozen=True, slots=True)
class FrameCheck:
    """One 20 ms frame of the programme.

    `silent` is said of the reference. `exempt` frames were reported concealed, or lie within the recovery
    after one. `error_ns` is the presentation error, positive = late, None where the sound does not tell.
    """

    number: int
    correlation: float
    silent: bool
    exempt: bool
    good: bool
    error_ns: int | None


@dataclass(frozen=True, slots=True)
class WindowError:
    """Presentation error over 200 ms of the programme from `start_ns` of it; None: not measurable."""

    start_ns: int
    error_ns: int | None


@dataclass(frozen=True, slots=True)
class SpeakerCheck:
    """What one recording shows. `windows` holds only those where the reference is not silent."""

    name: str
    frames: tuple[FrameCheck, ...]
    windows: tuple[WindowError, ...]
    error_limit_ns: int | None

    @property
    def failed(self) -> list[int]:
        """Frames that do not sound as they must, and were not reported concealed."""
        return [frame.number for frame in self.frames if not (frame.good or frame.exempt)]

    @property
    def misplaced(self) -> list[int]:
        """Frames whose presentation error passes the limit."""
        limit = self.error_limit_ns
        if limit is None:
            return []
        return [f.number for f in self.frames if f.error_ns is not None and abs(f.error_ns) > limit]

    @property
    def exempt(self) -> list[int]:
        """Frames that were not held to anything."""
        return [frame.number for frame in self.frames if frame.exempt]

    @property
    def checked_fraction(self) -> float:
        """Share of the frames that were compared, 0..1."""
        return 1.0 - len(self.exempt) / len(self.frames)

    @property
    def usable_fraction(self) -> float:
        """Share of the windows with sound that told a lag, 0..1; 1 when the whole programme is silent."""
        if not self.windows:
            return 1.0
        return sum(window.error_ns is not None for window in self.windows) / len(self.windows)

    @property
    def median_error_ns(self) -> int | None:
        """Median |presentation error| over the windows; None where no window told one."""
        errors = sorted(abs(w.error_ns) for w in self.windows if w.error_ns is not None)
        return errors[len(errors) // 2] if errors else None

    @property
    def max_error_ns(self) -> int | None:
        """Largest |presentation error| over the windows; None where no window told one."""
        return max((abs(w.error_ns) for w in self.windows if w.error_ns is not None), default=None)

    @property
    def drift_ppm(self) -> float | None:
        """Growth of the presentation error, least squares; None with fewer than three windows."""
        told = [(w.start_ns, w.error_ns) for w in self.windows if w.error_ns is not None]
        if len(told) < 3:
            return None
        when, error = np.array(told, float).T
        return float(np.polyfit(when - when.mean(), error, 1)[0] * 1e6)

    @property
    def faults(self) -> list[str]:
        """Why the check fails, in words; empty when it passes."""
        faults = []
        if self.failed:
            faults.append(f"{len(self.failed)} of {len(self.frames)} frames differ: {_ranges(self.failed)}")
        if self.misplaced:
            faults.append(f"{len(self.misplaced)} frames not at their time: {_ranges(self.misplaced)}")
        if self.usable_fraction < LEAST_USABLE_WINDOWS:
            faults.append(f"timing measurable in {self.usable_fraction:.0%} of the windows only")
        if self.checked_fraction < LEAST_CHECKED_FRAMES:
            faults.append(f"only {self.checked_fraction:.0%} of the frames could be held to the reference")
        return faults

    @property
    def passed(self) -> bool:
        """Nothing is wrong with this recording."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class Summary:
    """Numbers over all speakers; times in nanoseconds, None where nothing could be measured."""

    speakers: int
    passed: int
    frames: int
    failed_frames: int
    exempt_frames: int
    median_error_ns: int | None
    max_error_ns: int | None
    largest_difference_ns: int | None


def check_speaker(
    recording: NDArray[np.int16],
    reference: NDArray[np.float32],
    *,
    name: str,
    wav_local_ns: int,
    skew: Skew,
    start_ns: int,
    concealed: Collection[int] = (),
    recovery_frames: int = 0,
    error_limit_ns: int | None = 4_000_000,
) -> SpeakerCheck:
    """Compare what one speaker's card recorded with the programme.

    recording       mono int16, 48,000 samples a second of the speaker's own clock
    reference       mono float, 48 kHz: sample n is due at `start_ns` + n / 48 kHz of the base clock, play
                    delay included. It is compared in frames of 960 samples; a last short one counts as one
    wav_local_ns    local time at which sample 0 of the recording was heard
    concealed       numbers of the frames the speaker reports as concealed
    recovery_frames how many frames after a concealed one are exempt too, while the decoder finds back
    error_limit_ns  largest |presentation error| that passes; None: any within the ±30 ms that are searched

    Raises MediaError when an array has another shape or kind, or the reference is empty or not finite.
    """
    if recording.ndim != 1 or recording.dtype != np.int16:
        raise MediaError(f"a recording is one row of int16, not {recording.ndim}-D {recording.dtype}")
    if reference.ndim != 1 or not len(reference) or not np.isfinite(reference).all():
        raise MediaError("a reference is one row of finite samples, and not empty")
    if recovery_frames < 0:
        raise MediaError("recovery_frames must be 0 or more")

    count = -(-len(reference) // FRAME)
    total = count * FRAME
    ref = np.zeros(total)
    ref[: len(reference)] = reference
    heard = recording.astype(np.float64) / 32768.0

    # Reference sample n was due at recording sample origin + n * rate. Exact until it is small.
    origin = float((skew.to_local(start_ns) - wav_local_ns) * RATE / 1_000_000_000)
    rate = float(skew.rate)

    def heard_at(samples: Samples) -> Samples:
        return sample_at(heard, origin + samples * rate)

    line = heard_at(np.arange(-_SEARCH, total + _SEARCH, dtype=np.float64))
    frames_ref = ref.reshape(count, FRAME)
    silent = np.sqrt(np.mean(frames_ref**2, axis=1)) < _SILENT_RMS
    windows = window_lags(ref, line, _SEARCH, _windows_with_sound(silent, total), RATE)

    correlation, lags, best = _compare_frames(frames_ref, windows, heard_at, len(reference))
    good = np.where(silent, _is_silent(best, frames_ref, correlation), correlation >= LEAST_CORRELATION)
    exempt = _exempt(concealed, recovery_frames, count)
    measured = _measured(windows, count)
    frames = tuple(
        FrameCheck(
            number=i,
            correlation=float(correlation[i]),
            silent=bool(silent[i]),
            exempt=bool(exempt[i]),
            good=bool(good[i]),
            error_ns=_lag_ns(lags[i]) if measured[i] and not silent[i] else None,
        )
        for i in range(count)
    )
    errors = tuple(
        WindowError(w.start * 1_000_000_000 // RATE, None if w.lag is None else _lag_ns(w.lag)) for w in windows
    )
    return SpeakerCheck(name, frames, errors, error_limit_ns)


def largest_difference_ns(checks: Iterable[SpeakerCheck]) -> int:
    """Largest difference of presentation error between any two speakers within the same window.

    0 for fewer than two speakers. Raises MediaError when no window was measured at two of them.
    """
    by_window: dict[int, list[int]] = {}
    speakers = 0
    for check in checks:
        speakers += 1
        for window in check.windows:
            if window.error_ns is not None:
                by_window.setdefault(window.start_ns, []).append(window.error_ns)
    if speakers < 2:
        return 0
    spreads = [max(errors) - min(errors) for errors in by_window.values() if len(errors) > 1]
    if not spreads:
        raise MediaError("no part of the programme was measured at two speakers")
    return max(spreads)


def summarise(checks: Sequence[SpeakerCheck]) -> Summary:
    """The numbers that one line about all speakers needs."""
    errors = sorted(abs(w.error_ns) for c in checks for w in c.windows if w.error_ns is not None)
    try:
        difference = largest_difference_ns(checks)
    except MediaError:
        difference = None
    return Summary(
        speakers=len(checks),
        passed=sum(check.passed for check in checks),
        frames=sum(len(check.frames) for check in checks),
        failed_frames=sum(len(check.failed) for check in checks),
        exempt_frames=sum(len(check.exempt) for check in checks),
        median_error_ns=errors[len(errors) // 2] if errors else None,
        max_error_ns=errors[-1] if errors else None,
        largest_difference_ns=difference,
    )


def _windows_with_sound(silent: NDArray[np.bool_], total: int) -> list[tuple[int, int]]:
    """(start, length) of the windows at least half of whose frames are not silent."""
    length = min(_WINDOW, total)
    starts = range(0, total - length + 1, _HOP)
    return [
        (start, length)
        for start in starts
        if 2 * silent[start // FRAME : (start + length) // FRAME].sum() <= length // FRAME
    ]


def _compare_frames(
    frames_ref: Samples,
    windows: list[WindowLag],
    heard_at: Callable[[Samples], Samples],
    reference_samples: int,
) -> tuple[Samples, Samples, Samples]:
    """Correlation, lag (samples) and aligned recording of each frame, at the best of the lags around it.

    Tried are the line through the nearest measured window before and after, where they tell one drift, and
    each of them alone: at a step of the playout some frames lie at one lag and some at the other. A frame that
    fits none of these is looked for within ±`_BEND_SAMPLES` of the best.
    """
    count = len(frames_ref)
    centres = (np.arange(count) + 0.5) * FRAME
    told = [(w.start + w.length / 2, w.lag) for w in windows if w.lag is not None]
    if told:
        when, lag = np.array(told, float).T
        left = np.clip(np.searchsorted(when, centres, side="right") - 1, 0, len(when) - 1)
        right = np.clip(left + 1, 0, len(when) - 1)
        smooth = np.interp(centres, when, lag)
        one_drift = np.abs(lag[right] - lag[left]) < _DRIFT_SAMPLES
        candidates = [np.where(one_drift, smooth, lag[left]), lag[left], lag[right]]
    else:
        candidates = [np.zeros(count)]

    inside = (np.arange(count * FRAME) < reference_samples).reshape(count, FRAME)
    grid = np.arange(count * FRAME, dtype=np.float64).reshape(count, FRAME)
    best = np.full(count, -np.inf)
    lags = np.zeros(count)
    sound = np.zeros((count, FRAME))

    def attempt(todo: NDArray[np.int64], lag: Samples) -> None:
        part = heard_at(grid[todo] + lag[:, None]) * inside[todo]
        found = correlations(frames_ref[todo], part)
        better = found > best[todo]
        chosen = todo[better]
        best[chosen], lags[chosen], sound[chosen] = found[better], lag[better], part[better]

    for candidate in candidates:
        todo = np.flatnonzero(best < LEAST_CORRELATION)
        attempt(todo, candidate[todo])
    # What is nearly there may lie a little beside the line: a player that corrects its rate bends it.
    todo = np.flatnonzero((best < LEAST_CORRELATION) & (best > 0.3))
    around = heard_at((todo * FRAME + lags[todo] - _BEND_SAMPLES)[:, None] + np.arange(FRAME + 2.0 * _BEND_SAMPLES))
    found = np.stack(
        [
            correlations(frames_ref[todo], around[:, k : k + FRAME] * inside[todo])
            for k in range(2 * _BEND_SAMPLES + 1)
        ]
    )
    if len(todo):
        attempt(todo, lags[todo] + peak_offsets(found.T) - _BEND_SAMPLES)
    return best, lags, sound


def _is_silent(heard: Samples, frames_ref: Samples, correlation: Samples) -> NDArray[np.bool_]:
    """Whether each frame of the recording is silent, measured at the level of the programme."""
    sure = correlation >= LEAST_CORRELATION
    rms = np.sqrt(np.mean(heard**2, axis=1))
    gain = 1.0
    if sure.any():
        gain = float(np.median(rms[sure] / np.sqrt(np.mean(frames_ref[sure] ** 2, axis=1))))
    result: NDArray[np.bool_] = rms < _HEARD_RMS * gain
    return result


def _exempt(concealed: Collection[int], recovery_frames: int, count: int) -> NDArray[np.bool_]:
    out = np.zeros(count, bool)
    for number in concealed:
        if 0 <= number < count:
            out[number : number + 1 + recovery_frames] = True
    return out


def _measured(windows: list[WindowLag], count: int) -> NDArray[np.bool_]:
    """Frames that lie wholly in a window whose lag is known."""
    out = np.zeros(count, bool)
    for window in windows:
        if window.lag is not None:
            out[-(-window.start // FRAME) : (window.start + window.length) // FRAME] = True
    return out


def _lag_ns(lag: float) -> int:
    return round(lag * 1e9 / RATE)


def _ranges(numbers: list[int], most: int = 6) -> str:
    """`3-5, 9` for [3, 4, 5, 9]."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs[:most])
    return text + (", ..." if len(runs) > most else "")
