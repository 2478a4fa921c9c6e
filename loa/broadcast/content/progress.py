"""How far the making of a programme is: told by the worker, seen by the core."""

from __future__ import annotations

import ctypes
import multiprocessing
from collections.abc import Callable, Iterator
from enum import IntEnum

from loa.broadcast.content.audio_file import Samples


class Stage(IntEnum):
    """What is being done to a file that was received."""

    QUEUED = 0
    MEASURING = 1
    ENCODING = 2


Tell = Callable[[Stage, float], None]
"""Takes the stage, and how much of it is done, 0 to 1."""


class Passes:
    """Follows the passes over a file's sound, and tells how far each is.

    How many passes measuring takes is not known before: each takes half of what is left of its share.
    """

    def __init__(self, tell: Tell, expected: int | None) -> None:
        """`expected`: how many samples there may be, None when nobody knows; the first pass counts them."""
        self._tell = tell
        self._expected = expected
        self._measured = 0

    def measuring(self, pieces: Iterator[Samples]) -> Iterator[Samples]:
        """One more pass that measures; the pieces go through."""
        self._measured += 1
        return self._followed(pieces, Stage.MEASURING, 1 - 2.0 ** (1 - self._measured), 2.0**-self._measured)

    def encoding(self, pieces: Iterator[Samples]) -> Iterator[Samples]:
        """The pass that encodes; the pieces go through."""
        return self._followed(pieces, Stage.ENCODING, 0.0, 1.0)

    @property
    def samples(self) -> int:
        """How many samples a whole pass has had, or is expected to have."""
        return self._expected or 0

    def _followed(self, pieces: Iterator[Samples], stage: Stage, base: float, part: float) -> Iterator[Samples]:
        self._tell(stage, base)
        passed = 0
        for piece in pieces:
            passed += len(piece)
            if self._expected:
                self._tell(stage, base + part * min(1.0, passed / self._expected))
            yield piece
        self._expected = passed
        self._tell(stage, base + part)


_SHARE_BITS, _STAGE_BITS = 24, 8
_WHOLE = (1 << _SHARE_BITS) - 1


class SharedProgress:
    """How far a worker process is with its one piece of work, in memory that it shares with the core.

    It is one number of 64 bits, so that it is never seen half written; it says which work it is about. To be handed
    over to a process when that is started.
    """

    def __init__(self) -> None:
        self._value = multiprocessing.get_context("spawn").RawValue(ctypes.c_uint64, 0)

    def tell(self, work: int, stage: Stage, share: float) -> None:
        """The worker is at `work`, and has done this much of the stage."""
        done = round(min(max(share, 0.0), 1.0) * _WHOLE)
        self._value.value = (work << _STAGE_BITS | stage) << _SHARE_BITS | done

    def of(self, work: int) -> tuple[Stage, float]:
        """What was told last of `work`; what nothing was told of is queued."""
        value = self._value.value
        if value >> _STAGE_BITS + _SHARE_BITS != work:
            return Stage.QUEUED, 0.0
        return Stage(value >> _SHARE_BITS & (1 << _STAGE_BITS) - 1), (value & _WHOLE) / _WHOLE
