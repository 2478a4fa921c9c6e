"""How loud sound is, and making it as loud as it should be (EBU R 128, ITU-R BS.1770), through FFmpeg's filters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame

from loa.broadcast.content.audio_file import SAMPLE_RATE_HZ, Samples
from loa.errors import MediaError

SILENCE_LUFS = -70.0
"""The absolute gate of BS.1770: what is quieter is not measured."""
_HOP = SAMPLE_RATE_HZ // 10
_BLOCK = 4 * _HOP
# True peaks are limited at four times the rate, where samples stand close enough to show them.
_OVERSAMPLED_HZ = 4 * SAMPLE_RATE_HZ
_PEAK_RESOLUTION = 0.0005


@dataclass(frozen=True, slots=True)
class Loudness:
    """`integrated_lufs`: SILENCE_LUFS for silence. `true_peak_dbtp`: -inf for digital silence."""

    integrated_lufs: float
    true_peak_dbtp: float

    @property
    def silent(self) -> bool:
        """Whether there is nothing loud enough to measure."""
        return self.integrated_lufs <= SILENCE_LUFS


class _Chain:
    """A row of FFmpeg filters for mono float samples at 48 kHz."""

    def __init__(self, filters: Iterable[tuple[str, str]]) -> None:
        self._graph = av.filter.Graph()
        nodes = [
            self._graph.add_abuffer(
                sample_rate=SAMPLE_RATE_HZ,
                format="flt",
                layout="mono",
                time_base=Fraction(1, SAMPLE_RATE_HZ),
            )
        ]
        nodes += [self._graph.add(name, options) for name, options in filters]
        nodes.append(self._graph.add("abuffersink"))
        self._graph.link_nodes(*nodes).configure()
        self._fed = 0

    def feed(self, samples: Samples) -> Iterator[AudioFrame]:
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        frame.pts = self._fed
        self._fed += len(samples)
        self._graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[AudioFrame]:
        self._graph.push(None)
        yield from self._pull()

    def _pull(self) -> Iterator[AudioFrame]:
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, AudioFrame)
            yield frame


class Meter:
    """Measures sound as it passes."""

    def __init__(self) -> None:
        self._chain = _Chain([("ebur128", "metadata=1:peak=true")])
        self._integrated = SILENCE_LUFS
        self._peak = 0.0
        self._count = 0

    def feed(self, samples: Samples) -> None:
        """Take any number of samples."""
        self._count += len(samples)
        for frame in self._chain.feed(samples):
            self._take(frame)

    def finish(self) -> Loudness:
        """What all of it measures."""
        # The filter measures whole tenths of a second, and nothing in less than one block of 400 ms.
        whole = max(_BLOCK, -(-self._count // _HOP) * _HOP)
        if whole > self._count:
            self.feed(np.zeros(whole - self._count, dtype=np.float32))
        for frame in self._chain.flush():
            self._take(frame)
        peak_dbtp = 20 * math.log10(self._peak + _PEAK_RESOLUTION) if self._peak else -math.inf
        return Loudness(max(self._integrated, SILENCE_LUFS), peak_dbtp)

    def _take(self, frame: AudioFrame) -> None:
        metadata = frame.metadata
        try:
            if "lavfi.r128.I" in metadata:
                integrated = float(metadata["lavfi.r128.I"])
                self._integrated = integrated if math.isfinite(integrated) else SILENCE_LUFS
            self._peak = max(self._peak, float(metadata.get("lavfi.r128.true_peak", "0")))
        except ValueError as error:
            raise MediaError(f"the loudness cannot be measured: {error}") from error


def measure(pieces: Iterable[Samples]) -> Loudness:
    """The loudness of mono float samples at 48 kHz."""
    meter = Meter()
    for piece in pieces:
        meter.feed(piece)
    return meter.finish()


def amplified(pieces: Iterable[Samples], gain_db: float, limit_dbtp: float | None) -> Iterator[Samples]:
    """The sound by `gain_db` louder and, with a limit, its true peaks held below it. As many samples as come."""
    factor = np.float32(10 ** (gain_db / 20))
    if limit_dbtp is None:
        for piece in pieces:
            yield piece * factor
        return
    limit = 10 ** (limit_dbtp / 20)
    chain = _Chain(
        [
            ("aresample", str(_OVERSAMPLED_HZ)),
            ("alimiter", f"limit={limit:.6f}:attack=5:release=80:level=false:latency=true"),
            ("aresample", str(SAMPLE_RATE_HZ)),
            ("aformat", "sample_fmts=flt"),
        ]
    )
    for piece in pieces:
        for frame in chain.feed(piece * factor):
            yield _samples(frame)
    for frame in chain.flush():
        yield _samples(frame)


def _samples(frame: AudioFrame) -> Samples:
    return frame.to_ndarray().reshape(-1).astype(np.float32, copy=False)
