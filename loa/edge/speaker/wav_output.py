"""A virtual sound card that records: for each broadcast a WAV file, and beside it when it was heard."""

from __future__ import annotations

import json
import os
import queue
import threading
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loa.edge.speaker.output import BLOCK_NS, BLOCK_SAMPLES, LEAD_NS, SAMPLE_RATE_HZ, Block, VirtualCard
from loa.edge.speaker.playout import BroadcastKey, Summary
from loa.errors import ConfigError
from loa.model import id_text
from loa.timing.clock import Clock

MAX_RECORDINGS = 8
MAX_GAP_BLOCKS = 60 * 100
MAX_WAITING_BLOCKS = 1000


class _Recording:
    """One WAV file that grows."""

    def __init__(self, path: Path, local_ns: int) -> None:
        self.path = path
        self.local_ns = local_ns
        self.next_ns = local_ns
        self.samples = 0
        self.error_ns: int | None = None
        self._file = wave.open(str(path), "wb")  # noqa: SIM115 - it stays open between blocks
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(SAMPLE_RATE_HZ)

    def add(self, samples: NDArray[np.float32], local_ns: int, error_ns: int | None) -> None:
        """A block; what was missed since the last one is silence."""
        missed = min(MAX_GAP_BLOCKS, (local_ns - self.next_ns) // BLOCK_NS)
        if missed > 0:
            self._file.writeframesraw(bytes(2 * BLOCK_SAMPLES * missed))
            self.samples += BLOCK_SAMPLES * missed
        pcm = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2")
        self._file.writeframesraw(pcm.tobytes())
        self.samples += len(pcm)
        self.next_ns = local_ns + BLOCK_NS
        self.error_ns = error_ns

    def close(self) -> None:
        """Write the header's lengths."""
        self._file.close()


class WavOutput(VirtualCard):
    """Records each generation of each broadcast from the first block in which it plays to the last.

    `<folder>/<broadcast id>.wav` (int16, mono, 48 kHz) and, when it is over, `<broadcast id>.json` beside it; a
    further generation of the same broadcast gets the suffix `-<generation>`. What was missed is silence in it.
    """

    def __init__(self, clock: Clock, folder: Path, *, lead_ns: int = LEAD_NS) -> None:
        """ConfigError when the folder cannot be made."""
        super().__init__(clock, lead_ns=lead_ns)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the folder {folder} cannot be used: {error.strerror}") from error
        self._folder = folder
        self._recordings: dict[BroadcastKey, _Recording] = {}
        self._named: dict[bytes, int] = {}
        self._waiting: queue.Queue[tuple[Block, int] | None] = queue.Queue(MAX_WAITING_BLOCKS)
        self._writer = threading.Thread(target=self._write_waiting, name="loa-recorder", daemon=True)
        self._writer.start()

    def take(self, block: Block, local_ns: int) -> None:
        """Have the block written, by another thread: a disk that is busy must not hold up the sound."""
        if not block.audible and not block.summaries:
            return
        try:
            self._waiting.put_nowait((block, local_ns))
        except queue.Full:
            self.underruns += 1

    def _write_waiting(self) -> None:
        try:
            while (item := self._waiting.get()) is not None:
                self._write(*item)
        except OSError as error:
            self.failure = error

    def _write(self, block: Block, local_ns: int) -> None:
        """Add the block to the recordings of what plays in it, and write down what has ended."""
        for key in block.audible:
            recording = self._recordings.get(key) or self._begin(key, local_ns)
            if recording is not None:
                recording.add(block.samples, local_ns, block.error_ns)
        for summary in block.summaries:
            self.end(summary)

    def end(self, summary: Summary) -> None:
        """Close a recording and write its sidecar."""
        key = (summary.tune.broadcast_id, summary.tune.generation)
        recording = self._recordings.pop(key, None)
        if recording is None:
            return
        recording.close()
        path = recording.path.with_suffix(".json")
        temporary = path.with_suffix(".json.new")
        about = _sidecar(summary, recording) | {"underruns": self.underruns, "least_lead_ns": self.least_lead_ns}
        temporary.write_text(json.dumps(about) + "\n", encoding="utf-8")
        os.replace(temporary, path)

    def finish(self) -> None:
        """Write what waits, and close what is still open; it has no sidecar, for nobody said how it ended."""
        if self._writer.is_alive():
            self._waiting.put(None)
            self._writer.join()
        for recording in self._recordings.values():
            recording.close()
        self._recordings.clear()

    def _begin(self, key: BroadcastKey, local_ns: int) -> _Recording | None:
        if len(self._recordings) >= MAX_RECORDINGS:
            return None
        broadcast_id, generation = key
        first = self._named.setdefault(broadcast_id, generation)
        if len(self._named) > 1024:
            del self._named[next(iter(self._named))]
        suffix = "" if first == generation else f"-{generation}"
        recording = _Recording(self._folder / f"{id_text(broadcast_id)}{suffix}.wav", local_ns)
        self._recordings[key] = recording
        return recording


def _sidecar(summary: Summary, recording: _Recording) -> dict[str, object]:
    tune, counters, started = summary.tune, summary.counters, summary.started
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "wav_local_ns": recording.local_ns,
        "samples": recording.samples,
        "generation": tune.generation,
        "start_ns": tune.start_ns,
        "play_delay_ms": tune.play_delay_ms,
        "index0": tune.index0,
        "end_index": summary.end_index,
        "frame_samples": tune.frame_samples,
        "concealed_frames": list(summary.concealed_frames),
        "played": counters.played,
        "repaired": counters.repaired,
        "recovered": counters.recovered,
        "concealed": counters.concealed,
        "unsigned": counters.unsigned,
        "started_presented_ns": started.presented_ns if started else None,
        "finished_reason": summary.reason,
        "clock_error_ns": recording.error_ns,
    }
