"""Small sounds for tests, made from numbers."""

from __future__ import annotations

import io
import wave

import numpy as np
from numpy.typing import NDArray

from loa.codecs.ogg_page import OggPage, read_page

RATE = 48_000


def tone(seconds: float, frequency_hz: float = 440.0, level: float = 0.3) -> NDArray[np.float32]:
    """A sine."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)


def siren(seconds: float, level: float = 0.3) -> NDArray[np.float32]:
    """A sweep up and down between 450 and 1,050 Hz, twice a second."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (750 * t - 300 / (2 * np.pi) * np.cos(2 * np.pi * t))
    return (level * np.sin(phase)).astype(np.float32)


def wav(pcm: NDArray[np.float32], rate: int = RATE) -> bytes:
    """Mono 16-bit WAV."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(pcm, -1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def pages_of(data: bytes) -> list[OggPage]:
    """The pages of an Ogg stream; WireError when they are not whole."""
    pages, position = [], 0
    while position < len(data):
        page, position = read_page(data, position)
        pages.append(page)
    return pages
