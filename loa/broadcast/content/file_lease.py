"""Who copies audio files and who removes them keep out of each other's way, across processes too.

In the folder of the programmes lies an empty file `lease`, which is never removed. Who copies what a snapshot of
the store names, as a backup does, holds a shared flock(2) on it from before the snapshot until the last file is
copied: `copying`. Who removes files that nothing names any more holds it alone, for one round, and leaves the round
out while somebody copies: `removing`. The locks end with their processes, however these end.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loa.errors import StoreError

LEASE = "lease"
_AGAIN_S = 0.05


@contextmanager
def copying(folder: Path, wait_s: float = 60.0) -> Iterator[None]:
    """Inside, no file of the folder is removed. It waits for a round of removing, so it is not for an event loop.

    StoreError when the round takes longer than `wait_s`, or the folder cannot be used.
    """
    until_s = time.monotonic() + wait_s
    descriptor = _opened(folder)
    try:
        while not _locked(descriptor, fcntl.LOCK_SH):
            if time.monotonic() >= until_s:
                raise StoreError(f"files in {folder} are being removed for longer than {wait_s:.0f} s")
            time.sleep(_AGAIN_S)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def removing(folder: Path) -> Iterator[bool]:
    """Whether files may be removed inside: False while somebody copies. StoreError without a folder to use."""
    descriptor = _opened(folder)
    try:
        yield _locked(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    try:
        return os.open(folder / LEASE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"the programmes' folder {folder} cannot be used: {error.strerror}") from error


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
