"""Small cities of real processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from loa.app.demo.stage import Stage
from loa.codecs.ogg_opus import read_ogg_opus
from loa.codecs.opus_decode import OpusDecoder
from tests import sounds

BULLETIN = Path(__file__).resolve().parents[2] / "loa" / "assets" / "bulletin.ogg"


@asynccontextmanager
async def small_city(folder: Path, lead_ms: int = 100) -> AsyncIterator[Stage]:
    """A core with three communes under two districts, and nobody in them yet."""
    async with Stage(folder, lead_ms=lead_ms) as opened:
        await opened.open_core()
        await opened.build_areas("Hải Phòng", [("Cát Hải", ["Phù Long", "Xuân Đám"]), ("Kiến An", ["Phù Liễn"])])
        yield opened


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with small_city(tmp_path) as opened:
        yield opened


def bulletin() -> NDArray[np.float32]:
    """The shipped bulletin: 3 s of siren, a chime, then speech."""
    with OpusDecoder() as decoder:
        return np.concatenate([decoder.decode(p) for p in read_ogg_opus(BULLETIN.read_bytes()).packets])


def _siren_then_speech(path: Path, siren_s: int, speech_s: int) -> Path:
    pcm = bulletin()
    parts = [pcm[: siren_s * sounds.RATE], pcm[int(4.8 * sounds.RATE) :][: speech_s * sounds.RATE]]
    path.write_bytes(sounds.wav(np.concatenate(parts)))
    return path


@pytest.fixture(scope="session")
def ten_seconds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 s of siren, 7 s of speech: time enough for processes to end and come back meanwhile."""
    return _siren_then_speech(tmp_path_factory.mktemp("sound") / "ten-seconds.wav", 3, 7)


@pytest.fixture(scope="session")
def six_seconds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s of siren, 4 s of speech."""
    return _siren_then_speech(tmp_path_factory.mktemp("sound") / "six-seconds.wav", 2, 4)
