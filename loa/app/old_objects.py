"""What has been here for long is not looked at again by each collection of cycles.

A full collection looks at every object that there is, and nothing else goes on meanwhile: with ten thousand links
that is a large part of a second, and the more is done, the more often it comes. What has survived one is set aside
(`gc.freeze`), and the next looks at what has come since. What is let go of is freed by its count of references as
before; only a cycle of objects that were set aside waits until all are looked at once more.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping

YOUNG_OBJECTS = 20_000
"""So many more objects than before make the young be looked at: most of them are gone by their count by then, and
messages of thousands would else have them looked at in each turn of the event loop."""
LOOK_AT_ALL_S = 1_800.0
"""So long a cycle of what was set aside may stay."""


@contextlib.contextmanager
def set_aside(now_s: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Meanwhile each full collection sets aside what it leaves; it is for all of the process."""
    look_at_all_s = now_s() + LOOK_AT_ALL_S

    def around(phase: str, info: Mapping[str, int]) -> None:
        nonlocal look_at_all_s
        if info["generation"] < 2:
            return
        if phase == "stop":
            gc.freeze()
        elif now_s() >= look_at_all_s:
            gc.unfreeze()
            look_at_all_s = now_s() + LOOK_AT_ALL_S

    before = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS, *before[1:])
    gc.callbacks.append(around)
    try:
        yield
    finally:
        gc.callbacks.remove(around)
        gc.set_threshold(*before)
        gc.unfreeze()
