"""One tuned generation as sound at any instant of its presentation line."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from loa.codecs.order_wire import Tune
from loa.edge.speaker.broadcast_receiver import BroadcastReceiver, How
from loa.edge.speaker.interpolate import SincTable, Span, interpolate, table_for_step
from loa.timing.line import FrameGrid

NS_PER_MS = 1_000_000
HISTORY_SAMPLES = 4800
SKIP_FRAMES = 10
"""A jump ahead of more frames than that leaves them out instead of decoding them all at once."""
PREROLL_FRAMES = 4
"""A decoder that starts in the middle of a stream needs some frames before it sounds as it should."""

Float32 = NDArray[np.float32]


class Voice:
    """Samples of one receiver at fractional positions, counted from the first sample of frame index0.

    Positions go forward. What was missed before the endpoint joined is silence and not counted.
    """

    def __init__(self, receiver: BroadcastReceiver, *, late: bool) -> None:
        """`late`: the order came after the sound had begun, so it is joined in the middle."""
        tune = receiver.tune
        self.receiver = receiver
        self._line = FrameGrid(
            tune.start_ns + tune.play_delay_ms * NS_PER_MS, tune.index0, tune.timestamp0, tune.frame_samples
        )
        self._pcm: Float32 = np.zeros(0, dtype=np.float32)
        self._pcm_start = 0  # position of its first sample
        self._joined = not late
        self._placed = False  # whether _pcm_start follows from what is played
        self._heard_from = 0  # frames before it only lead the decoder in
        self.first_frame: int | None = None
        """The first frame (relative to index0) that was really heard: played or recovered."""

    @property
    def tune(self) -> Tune:
        """The order."""
        return self.receiver.tune

    def position(self, line_ns: Fraction | int) -> Fraction:
        """The position that is due at an instant of the origin's line (trim taken off)."""
        whole = math.floor(line_ns)
        return self._line.sample_at(whole) + (line_ns - whole) * Fraction(3, 62_500)

    @property
    def end(self) -> int | None:
        """The position after the last sample; None while unknown."""
        end = self.receiver.end_index
        return None if end is None else (end - self.tune.index0) * self.tune.frame_samples

    def samples(self, start: Fraction, end: Fraction, count: int) -> Float32:
        """`count` samples (> 0) at equal steps from position `start` on, the next block's first one at `end`."""
        step = (end - start) / count
        table = table_for_step(float(step)) if step > 0 else table_for_step(1.0)
        frame_samples = self.tune.frame_samples
        first = max(0, math.floor(start) - table.half) // frame_samples
        last = (math.ceil(end) + table.half) // frame_samples
        if self.receiver.end_index is not None:
            last = min(last, self.receiver.end_index - self.tune.index0 - 1)
        self._place(min(first, last + 1), heard_from=max(0, math.floor(start)) // frame_samples)
        decoded = [self._pcm]
        while self._next <= last:
            decoded.append(self._decode())
        keep = max(0, math.floor(start) - HISTORY_SAMPLES - self._pcm_start)
        pcm = np.concatenate(decoded) if len(decoded) > 1 else self._pcm
        if keep > HISTORY_SAMPLES:
            pcm = pcm[keep:]
            self._pcm_start += keep
        self._pcm = pcm
        return self._heard(pcm, Span(start, step, count), table)

    def _heard(self, pcm: Float32, span: Span, table: SincTable) -> Float32:
        """The sound of the span; `pcm` begins at `_pcm_start`."""
        return interpolate(pcm, self._pcm_start, span, table)

    def skip_to(self, position: Fraction) -> None:
        """Something else is heard: leave out what is due before `position`, uncounted.

        The last frames before it stay, to lead the decoder in when this is heard again.
        """
        frame = max(0, math.floor(position)) // self.tune.frame_samples
        if frame > self._next:
            self.receiver.skip_to(self.tune.index0 + frame - PREROLL_FRAMES, counted=False)
            self._forget()
            self._joined = False

    @property
    def _next(self) -> int:
        return self.receiver.next_index - self.tune.index0

    def _decode(self) -> Float32:
        number = self._next
        how, pcm = self.receiver.decode_next(heard=number >= self._heard_from, joined=self._joined)
        if how is not How.CONCEALED and number >= self._heard_from:
            self._joined = True
            if self.first_frame is None:
                self.first_frame = number
        return pcm

    def _forget(self) -> None:
        self._pcm = np.zeros(0, dtype=np.float32)
        self._placed = False

    def _place(self, frame: int, *, heard_from: int) -> None:
        """Make ready to decode so that `frame` and what follows is in reach."""
        if self._placed and frame > self._next + SKIP_FRAMES:
            self.receiver.skip_to(self.tune.index0 + frame - PREROLL_FRAMES, counted=self._joined)
            self._forget()
        if self._placed:
            return
        first = max(self._next, frame - PREROLL_FRAMES)
        while first < frame and not self.receiver.has(self.tune.index0 + first):
            first += 1
        self._heard_from = heard_from
        self.receiver.skip_to(self.tune.index0 + first, counted=self._joined)
        self._pcm_start = self._next * self.tune.frame_samples
        self._placed = True
