"""Where files are made programmes: a process beside the core, so that no file can stop or bring down the core."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loa.broadcast.content.ingest import Ingested, Recipe, Room, ingest
from loa.broadcast.content.progress import SharedProgress, Stage

MAX_CPU_S = 1800
MAX_MEMORY_BYTES = 4 << 30
_NICENESS = 10


_shared: SharedProgress | None = None
"""In a worker process: where it tells how far it is."""


def spawn_process(shared: SharedProgress) -> Executor:
    """An executor of one process, started anew rather than forked: the core's threads do not survive a fork."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_set_up_process, initargs=(shared,))


def _set_up_process(shared: SharedProgress) -> None:
    global _shared
    _shared = shared
    # The core ends its workers itself; a Ctrl-C on the terminal reaches them too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = MAX_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MAX_MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    threading.Thread(target=_end_with_the_core, daemon=True).start()


def _end_with_the_core() -> None:
    # A core that is killed cannot end its workers, and they would wait for work for ever.
    core = multiprocessing.parent_process()
    if core is not None:
        multiprocessing.connection.wait([core.sentinel])
        os._exit(1)


def _ingest_within_limits(number: int, path_in: Path, path_out: Path, recipe: Recipe, room: Room) -> Ingested:
    """`ingest`, ended by the kernel when it takes more than MAX_CPU_S."""
    used_s = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (used_s + MAX_CPU_S, hard))
    shared = _shared or SharedProgress()
    return ingest(path_in, path_out, recipe, room, partial(shared.tell, number))


@dataclass(frozen=True, slots=True)
class Work:
    """A file that is being made a programme, or waits for it."""

    number: int
    future: Future[Ingested]
    shared: SharedProgress

    def progress(self) -> tuple[Stage, float]:
        """What is being done, and how much of it is done, 0 to 1."""
        return self.shared.of(self.number)


class IngestPool:
    """Runs one ingest after the other. A worker that dies is replaced for the next file."""

    def __init__(self, make: Callable[[SharedProgress], Executor] = spawn_process) -> None:
        self._make = make
        self._executor: Executor | None = None
        self._shared = SharedProgress()
        self._count = 0

    def submit(self, path_in: Path, path_out: Path, recipe: Recipe, room: Room) -> Work:
        """Ingest a file; the future fails with BrokenExecutor when the worker died of it."""
        if self._executor is None:
            self._executor = self._make(self._shared)
        self._count += 1
        work = partial(_ingest_within_limits, self._count, path_in, path_out, recipe, room)
        try:
            future = self._executor.submit(work)
        except BrokenExecutor:
            self._executor.shutdown(wait=False)
            self._executor = self._make(self._shared)
            future = self._executor.submit(work)
        return Work(self._count, future, self._shared)

    def close(self) -> None:
        """End the worker with what it does: a file that takes half an hour does not keep the core from ending."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.kill()
            self._executor.shutdown(wait=True)
            self._executor = None
