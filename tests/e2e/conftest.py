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


@pytest.fixture(scope="session")
def speech_and_siren(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds: 3 s of siren, 7 s of speech."""
    pcm = bulletin()
    path = tmp_path_factory.mktemp("sound") / "speech-and-siren.wav"
    path.write_bytes(sounds.wav(np.concatenate([pcm[: 3 * 48_000], pcm[int(4.8 * 48_000) :][: 7 * 48_000]])))
    return path
