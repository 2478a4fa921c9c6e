"""Sound files of any kind to mono samples at 48 kHz, piece by piece. The files are hostile until they are read.

FFmpeg is held to formats that carry sound in themselves: playlists and the like, which make it open other files
and addresses, are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from loa.broadcast.content import file_lengths
from loa.errors import MediaError, NotAudio

SAMPLE_RATE_HZ = 48_000
MAX_DURATION_S = 4 * 3600
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,mp3,mpeg,mpegts,ogg,w64,wav,wv"
)
# Their durations are written in the file, not guessed from its size.
_TELLS_DURATION = {"aiff", "caf", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "w64", "wav"}
_CLIP = np.float32(16.0)

Samples = NDArray[np.float32]


def decode_mono(path: Path, max_duration_s: int = MAX_DURATION_S) -> Iterator[Samples]:
    """The first sound stream of the file, as pieces of shape (n,), float32, mono, 48 kHz; at least one sample.

    NotAudio when there is no sound that can be read; MediaError when a part cannot be decoded, when the file is
    shorter than it says (cut off), or longer than `max_duration_s`. A cut is not noticed where the format tells
    no length (Ogg, raw AAC, MP3 without a Xing header) and the last packet is whole.
    """
    with _opened(path) as container:
        stream = container.streams.audio[0]
        announced = _announced_samples(container, stream, path)
        limit = max_duration_s * SAMPLE_RATE_HZ
        if announced is not None and announced > limit:
            raise _too_long(max_duration_s)
        total = 0
        try:
            for samples in _resampled(container, stream):
                total += len(samples)
                if total > limit:
                    raise _too_long(max_duration_s)
                yield samples
        except (av.FFmpegError, ValueError) as error:
            if total == 0:
                raise NotAudio("the file holds no sound that can be read") from error
            raise MediaError(
                f"the file is cut off or damaged: it can be read for {total / SAMPLE_RATE_HZ:.1f} s only"
            ) from error
        if total == 0:
            raise NotAudio("the file holds no sound")
        if announced is not None and total < announced - _tolerance(announced):
            raise MediaError(
                f"the file is cut off: it says {announced / SAMPLE_RATE_HZ:.1f} s and holds "
                f"{total / SAMPLE_RATE_HZ:.1f} s"
            )


def expected_samples(path: Path) -> int | None:
    """How many samples at 48 kHz the file may hold, as a guess to show progress by; None without any. NotAudio."""
    with _opened(path) as container:
        stream = container.streams.audio[0]
        if stream.duration and stream.time_base is not None:
            return max(0, int(stream.duration * stream.time_base * SAMPLE_RATE_HZ)) or None
        return max(0, int((container.duration or 0) * SAMPLE_RATE_HZ // av.time_base)) or None


class TooLong(MediaError):
    """The sound lasts longer than what is taken."""


def _too_long(max_duration_s: int) -> TooLong:
    most = f"{max_duration_s // 60} minutes" if max_duration_s >= 120 else f"{max_duration_s} seconds"
    return TooLong(f"the file is too long: more than {most}")


def _tolerance(announced: int) -> int:
    """Headers count what decoders drop (priming, padding, edits): a quarter of a second and 1 % up to 2 s."""
    return SAMPLE_RATE_HZ // 4 + min(announced // 100, 2 * SAMPLE_RATE_HZ)


def _opened(path: Path) -> InputContainer:
    if path.stat().st_size == 0:
        raise NotAudio("the file is empty")
    try:
        container = av.open(
            str(path.resolve()),
            container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except av.FFmpegError as error:
        raise NotAudio("the file is not sound that can be read, or its beginning or index is cut off") from error
    if not container.streams.audio:
        container.close()
        raise NotAudio("the file holds no sound")
    return container


def _resampled(container: InputContainer, stream: AudioStream) -> Iterator[Samples]:
    resampler: AudioResampler | None = None
    shape: tuple[str, str, int] | None = None
    for frame in container.decode(stream):
        if frame.is_corrupt:
            raise ValueError("a frame that the decoder calls corrupt")
        fresh_shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if fresh_shape != shape:
            # Some streams change in the middle: what the old resampler holds comes first.
            if resampler is not None:
                yield from _pieces(resampler.resample(None))
            resampler, shape = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ), fresh_shape
        assert resampler is not None
        # Without time stamps sound is put end to end; with them, gaps would be filled.
        frame.pts = None
        yield from _pieces(resampler.resample(frame))
    if resampler is not None:
        yield from _pieces(resampler.resample(None))


def _pieces(frames: list[AudioFrame]) -> Iterator[Samples]:
    for frame in frames:
        samples = frame.to_ndarray().reshape(-1).astype(np.float32, copy=False)
        if not np.isfinite(samples).all():
            raise ValueError("samples that are not finite")
        if len(samples):
            yield np.clip(samples, -_CLIP, _CLIP)


def _announced_samples(container: InputContainer, stream: AudioStream, path: Path) -> int | None:
    """How long the file says it is, in samples at 48 kHz; None when it does not say it reliably."""
    name, size = container.format.name, path.stat().st_size
    with path.open("rb") as file:
        wav_is_cut = name == "wav" and file_lengths.wav_is_cut(file, size)
        if wav_is_cut or (name == "matroska,webm" and file_lengths.matroska_is_cut(file, size)):
            raise MediaError("the file is cut off: it says that it is longer")
        if name not in _TELLS_DURATION and not (name == "mp3" and file_lengths.mp3_tells_frames(file)):
            return None
    if stream.duration is None or stream.time_base is None or stream.duration < 0:
        return None
    return int(stream.duration * stream.time_base * SAMPLE_RATE_HZ)
