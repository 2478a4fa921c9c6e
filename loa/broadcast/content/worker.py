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
from functools import partial
from pathlib import Path

from loa.broadcast.content.ingest import Ingested, ingest

MAX_CPU_S = 1800
MAX_MEMORY_BYTES = 4 << 30
_NICENESS = 10


def spawn_process() -> Executor:
    """An executor of one process, started anew rather than forked: the core's threads do not survive a fork."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_set_up_process)


def _set_up_process() -> None:
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


def _ingest_within_limits(
    path_in: Path, path_out: Path, target_lufs: float, true_peak_dbtp: float, bitrate_bps: int
) -> Ingested:
    """`ingest`, ended by the kernel when it takes more than MAX_CPU_S."""
    used_s = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (used_s + MAX_CPU_S, hard))
    return ingest(path_in, path_out, target_lufs, true_peak_dbtp, bitrate_bps)


class IngestPool:
    """Runs one ingest after the other. A worker that dies is replaced for the next file."""

    def __init__(self, make: Callable[[], Executor] = spawn_process) -> None:
        self._make = make
        self._executor: Executor | None = None

    def submit(
        self, path_in: Path, path_out: Path, target_lufs: float, true_peak_dbtp: float, bitrate_bps: int
    ) -> Future[Ingested]:
        """Ingest a file; the future fails with BrokenExecutor when the worker died of it."""
        if self._executor is None:
            self._executor = self._make()
        work = partial(_ingest_within_limits, path_in, path_out, target_lufs, true_peak_dbtp, bitrate_bps)
        try:
            return self._executor.submit(work)
        except BrokenExecutor:
            self._executor.shutdown(wait=False)
            self._executor = self._make()
            return self._executor.submit(work)

    def close(self) -> None:
        """End the worker with what it does: a file that takes half an hour does not keep the core from ending."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.kill()
            self._executor.shutdown(wait=True)
            self._executor = None
