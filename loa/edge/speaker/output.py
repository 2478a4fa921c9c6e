"""Where the sound goes: a sound card, a WAV file as a card would have played it, or nowhere.

An output asks for blocks ahead of their time, and says for each when it will be heard. It owns its thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from loa.edge.speaker.playout import BroadcastKey, Summary
from loa.errors import ConfigError
from loa.timing.clock import Clock

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
SAMPLE_RATE_HZ = 48_000
BLOCK_SAMPLES = 480
BLOCK_NS = 10 * NS_PER_MS
LEAD_NS = 100 * NS_PER_MS

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Block:
    """What the speaker gives for one block: the samples, whose they are, and which generations have ended.

    `audible`: the one that leads first; empty for silence. `error_ns`: bound of the clock's error, None: unknown.
    """

    samples: Float32
    audible: tuple[BroadcastKey, ...] = ()
    summaries: tuple[Summary, ...] = ()
    error_ns: int | None = None


Source = Callable[[int, int, int], Block]
"""(local ns at which the first sample is heard, samples, sample rate Hz) -> block; on the output's thread."""


class Output(Protocol):
    """An output. `underruns` counts blocks that came too late to be heard."""

    underruns: int

    def start(self, source: Source) -> None:
        """Begin to ask. ConfigError when the device cannot be used."""
        ...

    def close(self) -> None:
        """Stop asking; returns when the thread has ended. What is written is whole afterwards."""
        ...


class VirtualCard:
    """A card that plays nowhere: blocks of 10 ms, asked for at most `lead_ns` before they are heard by `clock`.

    A bound of what the sound can know of late packets, and of how long the machine may be busy with other things.
    """

    def __init__(self, clock: Clock, *, lead_ns: int = LEAD_NS) -> None:
        self.underruns = 0
        self.least_lead_ns = lead_ns  # how close the thread has come to an under-run
        self._clock = clock
        self._lead_ns = lead_ns
        self._next_ns: int | None = None
        self._closing = threading.Event()
        self._source: Source | None = None
        self._thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    def start(self, source: Source) -> None:
        """Begin to ask, on a thread of its own."""
        self._source = source
        self._thread = threading.Thread(target=self._run, args=(source,), name="loa-output", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self._source is not None and self._next_ns is not None and self.failure is None:
            # What ended since the last block is still to be written down.
            self.take(self._source(self._next_ns, BLOCK_SAMPLES, SAMPLE_RATE_HZ), self._next_ns)
        self.finish()

    def finish(self) -> None:
        """Called once after the last block."""

    def take(self, block: Block, local_ns: int) -> None:
        """A block, and when its first sample is heard."""

    def pump(self, source: Source) -> int:
        """Ask for all blocks that are wanted by now; the local time at which to come again."""
        now_ns = self._clock.monotonic_ns()
        if self._next_ns is None:
            self._next_ns = now_ns + self._lead_ns
        while self._next_ns <= now_ns + self._lead_ns:
            if self._next_ns < now_ns:
                missed = (now_ns - self._next_ns) // BLOCK_NS + 1
                self.underruns += missed
                self._next_ns += missed * BLOCK_NS
            block = source(self._next_ns, BLOCK_SAMPLES, SAMPLE_RATE_HZ)
            now_ns = self._clock.monotonic_ns()
            self.least_lead_ns = min(self.least_lead_ns, self._next_ns - now_ns)
            self.take(block, self._next_ns)
            self._next_ns += BLOCK_NS
        return self._next_ns - self._lead_ns

    def _run(self, source: Source) -> None:
        try:
            while not self._closing.is_set():
                again_ns = self.pump(source)
                # Two blocks at a time: half the wake-ups.
                wait_ns = again_ns + BLOCK_NS - self._clock.monotonic_ns()
                if wait_ns > 0:
                    time.sleep(wait_ns / NS_PER_S)
        except BaseException as error:  # a thread has nobody to raise to: the speaker looks here
            self.failure = error
            raise


class NullOutput(VirtualCard):
    """Plays nowhere, at the true pace: receipts and counters are those of a speaker without a horn."""


class CardOutput:
    """A sound card, by sounddevice (PortAudio). One channel, the device's own latency."""

    def __init__(self, clock: Clock, device: str | None = None) -> None:
        """`device`: a name or number as sounddevice knows it; None: the system's default."""
        self.underruns = 0
        self.failure: BaseException | None = None
        self._clock = clock
        self._device = device
        self._stream: Any = None
        self._heard_ns: float | None = None

    def start(self, source: Source) -> None:
        """Open the device. ConfigError, one line, when sounddevice or PortAudio is missing or it does not open."""
        try:
            import sounddevice
        except (ImportError, OSError) as error:
            raise ConfigError(
                "thiếu thư viện âm thanh · no sound library: install sounddevice and libportaudio2 "
                f"({error}); or use --output null"
            ) from error

        def callback(out: NDArray[np.float32], frames: int, when: Any, status: Any) -> None:
            if status.output_underflow:
                self.underruns += 1
            local_ns = self._place(when.outputBufferDacTime - when.currentTime, frames)
            try:
                out[:, 0] = np.clip(source(local_ns, frames, SAMPLE_RATE_HZ).samples, -1, 1)
            except BaseException as error:
                self.failure = error
                raise

        try:
            device = int(self._device) if self._device and self._device.isdecimal() else self._device
            self._stream = sounddevice.OutputStream(
                samplerate=SAMPLE_RATE_HZ,
                channels=1,
                dtype="float32",
                device=device,
                blocksize=BLOCK_SAMPLES,
                callback=callback,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise ConfigError(f"không mở được loa · the sound card does not open: {error}") from error

    def close(self) -> None:
        """Close the device."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _place(self, ahead_s: float, frames: int) -> int:
        """When a block is heard: the card's word, smoothed over about a second, as it comes with jitter."""
        measured_ns = self._clock.monotonic_ns() + max(0.0, ahead_s) * NS_PER_S
        if self._heard_ns is None or abs(measured_ns - self._heard_ns) > 20 * NS_PER_MS:
            self._heard_ns = measured_ns
        else:
            self._heard_ns += (measured_ns - self._heard_ns) / 100
        heard_ns = self._heard_ns
        self._heard_ns += frames * NS_PER_S / SAMPLE_RATE_HZ
        return round(heard_ns)
