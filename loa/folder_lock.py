"""Who works in a folder alone: a lock on the folder itself, which ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loa.errors import FolderBusy

_AGAIN_S = 0.02


@contextmanager
def folder_lock(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the folder inside the block. Processes that do not ask are not kept out.

    FolderBusy when somebody else still holds it after `wait_s`; it is not for an event loop then. OSError when
    there is no such folder.
    """
    until_s = time.monotonic() + wait_s
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= until_s:
                    raise FolderBusy(f"another process works in {folder}") from error
            time.sleep(_AGAIN_S)
        yield
    finally:
        os.close(descriptor)
