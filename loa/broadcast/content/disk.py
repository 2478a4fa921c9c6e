"""Room on the disk: what is kept free for the rest of the core, and what a full disk is told as."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from loa.errors import DiskFull, StoreError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""The errors that say that a disk, or a user's part of it, is full."""


def failure(what: str, error: OSError) -> StoreError:
    """What a failure of the disk is told as: DiskFull when there is no room, else StoreError. `what` failed."""
    if error.errno in FULL:
        return DiskFull(f"{what}: the disk is full")
    return StoreError(f"{what}: {error}")


def room(folder: Path, reserve_bytes: int) -> int:
    """How many bytes may still be written there so that `reserve_bytes` stay free; StoreError."""
    try:
        return shutil.disk_usage(folder).free - reserve_bytes
    except OSError as error:
        raise StoreError(f"the room on the disk cannot be told: {error}") from error


def require_room(folder: Path, reserve_bytes: int, wanted_bytes: int = 0) -> None:
    """DiskFull unless `wanted_bytes` more may be written there."""
    if room(folder, reserve_bytes) < max(wanted_bytes, 1):
        raise DiskFull("the disk is full but for what the core keeps for itself")
