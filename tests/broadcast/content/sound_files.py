"""Sound files of many kinds, made by FFmpeg from small sounds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray

RATE = 48_000
KINDS = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "ogg": ("ogg", "libopus"),
    "m4a": ("mp4", "aac"),
    "aac": ("adts", "aac"),
    "mka": ("matroska", "aac"),
    "aiff": ("aiff", "pcm_s16be"),
}
Sound = NDArray[np.float32]


def write(
    path: Path, sound: Sound, kind: str = "wav", rate: int = RATE, *, channels: int = 1, cover: bool = False
) -> Path:
    """`sound` as a file of this kind, the same in each channel; a `cover` stands before it as a picture."""
    container_format, codec = KINDS[kind]
    layout = "mono" if channels == 1 else "stereo"
    with av.open(str(path), "w", format=container_format) as container:
        picture = container.add_stream("png", rate=1) if cover else None
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, AudioStream)
        stream.layout = layout
        if isinstance(picture, VideoStream):
            _picture(container, picture)
        pcm = np.repeat(sound, channels).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(pcm, format="flt", layout=layout)
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path


def silent_film(path: Path) -> Path:
    """A film without sound."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=10)
        assert isinstance(stream, VideoStream)
        _picture(container, stream)
    return path


def png(path: Path) -> Path:
    """A picture."""
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        assert isinstance(stream, VideoStream)
        _picture(container, stream)
    return path


def _picture(container: av.container.OutputContainer, stream: VideoStream) -> None:
    stream.width = stream.height = 32
    stream.pix_fmt = "yuv420p" if stream.codec_context.name == "mpeg4" else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, dtype=np.uint8), format="rgb24")
    frame.pts = 0
    for packet in (*stream.encode(frame.reformat(format=stream.pix_fmt)), *stream.encode(None)):
        container.mux(packet)
