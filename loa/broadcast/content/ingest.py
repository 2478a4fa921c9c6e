"""A sound file to a programme: as loud as all others, encoded once, Opus in Ogg. Blocking; runs in a worker."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import av

from loa.broadcast.content.audio_file import (
    MAX_DURATION_S,
    SAMPLE_RATE_HZ,
    Samples,
    decode_mono,
    expected_samples,
)
from loa.broadcast.content.disk import FULL
from loa.broadcast.content.loudness import Loudness, Meter, amplified, measure
from loa.broadcast.content.progress import Passes, Tell
from loa.codecs.ogg_opus import OggOpusWriter
from loa.codecs.opus_encode import OpusEncoder
from loa.errors import DiskFull, MediaError, QuotaFull

MAX_GAIN_DB = 20.0
CODEC_HEADROOM_DB = 1.0
"""How much lower peaks are held than asked: the codec lifts those of dense, limited sound by about 0.7 dB."""
_MAX_EXTRA_DB = 6.0
"""What the limiter takes away is given back by at most this much more gain; more would crush the sound."""
_CLOSE_ENOUGH_LU = 0.3
_TRIES = 3
_FRAME_MS = 20
_FRAME_SAMPLES = SAMPLE_RATE_HZ * _FRAME_MS // 1000
# What Ogg adds: a byte or two for each packet, and headers.
_OVERHEAD_BYTES, _HEAD_BYTES = 2, 2048
QUOTA_FULL = "the sound of all programmes takes as much room as is allowed"
# One serial number for all, so that the same sound makes the same file.
_OGG_SERIAL = 0x4C6F_6121


@dataclass(frozen=True, slots=True)
class Recipe:
    """How programmes are made."""

    target_lufs: float = -16.0
    true_peak_dbtp: float = -1.5
    bitrate_bps: int = 64_000
    max_duration_s: int = MAX_DURATION_S


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes a programme may take: of the disk, and of what is allowed (None: anything)."""

    disk_bytes: int | None = None
    quota_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a file. Loudness and true peak are of the sound as it went into the encoder.

    `loudness_lufs`: hundredths of a LUFS, -7000 for silence. `gain_db`: what it was amplified by. `limited`:
    whether its peaks had to be held down.
    """

    sha256: bytes
    samples: int
    frames: int
    frame_samples: int
    duration_ms: int
    size_bytes: int
    loudness_lufs: int
    true_peak_dbtp: float
    gain_db: float
    limited: bool


def ingest(
    path_in: Path,
    path_out: Path,
    recipe: Recipe = Recipe(),
    room: Room = Room(),
    tell: Tell = lambda _stage, _share: None,
) -> Ingested:
    """Read `path_in`, write `path_out` (made new, and safe on disk when this returns).

    The sound is made as loud as the recipe says by one gain of at most MAX_GAIN_DB, and its true peaks are limited
    to CODEC_HEADROOM_DB below the recipe's. Sound whose peaks stand very high above the rest stays quieter
    than the target. Silence is left as it is. The file is decoded several times, so that memory does not grow
    with its length.
    NotAudio, MediaError: see audio_file.decode_mono. DiskFull, QuotaFull: it will not have room; said before
    anything is encoded. Nothing of `path_out` is left then.
    """
    source = partial(decode_mono, path_in, recipe.max_duration_s)
    made = False
    try:
        passes = Passes(tell, expected_samples(path_in))
        gain_db, limit_dbtp = _plan(source, passes, recipe.target_lufs, recipe.true_peak_dbtp - CODEC_HEADROOM_DB)
        _require_room(room, passes.samples, recipe.bitrate_bps)
        with path_out.open("xb") as file:
            made = True
            pieces = passes.encoding(amplified(source(), gain_db, limit_dbtp))
            return _encode(pieces, file, recipe.bitrate_bps, gain_db, limit_dbtp)
    except BaseException as error:
        if made:
            path_out.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL:
            raise DiskFull("the programme cannot be stored: the disk is full") from error
        if isinstance(error, (av.FFmpegError, OSError)):
            raise MediaError(f"the file cannot be made a programme: {error}") from error
        raise


def _require_room(room: Room, samples: int, bitrate_bps: int) -> None:
    size = samples * bitrate_bps // (8 * SAMPLE_RATE_HZ) + samples // _FRAME_SAMPLES * _OVERHEAD_BYTES + _HEAD_BYTES
    if room.disk_bytes is not None and size > room.disk_bytes:
        raise DiskFull("the programme has no room on the disk")
    if room.quota_bytes is not None and size > room.quota_bytes:
        raise QuotaFull(QUOTA_FULL)


def _plan(
    source: partial[Iterator[Samples]], passes: Passes, target_lufs: float, limit_dbtp: float
) -> tuple[float, float | None]:
    """The gain, and the limit if one is needed."""
    raw = measure(passes.measuring(source()))
    gain_db = 0.0 if raw.silent else min(target_lufs - raw.integrated_lufs, MAX_GAIN_DB)
    if raw.true_peak_dbtp + gain_db <= limit_dbtp:
        return gain_db, None
    most_db = min(gain_db + _MAX_EXTRA_DB, MAX_GAIN_DB)
    for _ in range(_TRIES):
        if raw.silent or gain_db >= most_db:
            break
        heard = measure(passes.measuring(amplified(source(), gain_db, limit_dbtp)))
        missing = target_lufs - heard.integrated_lufs
        if missing <= _CLOSE_ENOUGH_LU:
            break
        gain_db = min(gain_db + missing, most_db)
    return gain_db, limit_dbtp


def _encode(
    pieces: Iterator[Samples], file: BinaryIO, bitrate_bps: int, gain_db: float, limit_dbtp: float | None
) -> Ingested:
    encoder = OpusEncoder(bitrate_bps, channels=1, frame_ms=_FRAME_MS)
    writer = OggOpusWriter(_OGG_SERIAL, channels=1, pre_skip=encoder.pre_skip_samples)
    meter, digest = Meter(), hashlib.sha256()
    frames = size = 0

    def write(data: bytes) -> None:
        nonlocal size
        file.write(data)
        digest.update(data)
        size += len(data)

    write(writer.headers())
    for piece in pieces:
        meter.feed(piece)
        packets = encoder.encode(piece)
        frames += len(packets)
        write(writer.pages(packets))
    packets = encoder.flush()
    frames += len(packets)
    write(writer.pages(packets, final=True, samples=encoder.samples_in))
    file.flush()
    os.fsync(file.fileno())
    loudness: Loudness = meter.finish()
    return Ingested(
        sha256=digest.digest(),
        samples=encoder.samples_in,
        frames=frames,
        frame_samples=encoder.frame_samples,
        duration_ms=encoder.samples_in * 1000 // SAMPLE_RATE_HZ,
        size_bytes=size,
        loudness_lufs=round(loudness.integrated_lufs * 100),
        true_peak_dbtp=loudness.true_peak_dbtp,
        gain_db=gain_db,
        limited=limit_dbtp is not None,
    )
