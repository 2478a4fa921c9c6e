"""Folders for what is half done, one for each process, under one that processes of several machines may share.

A process holds a lock on a file beside its own folder for as long as it lives, so whoever comes later can tell what
was left by one that is gone, wherever it ran, and removes that and nothing else. (The locks are on files that are
open for writing: only such ones hold between the machines that share a folder by NFS.)
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loa.errors import StoreError

_ALL = "all.lock"
"""Who holds it makes or removes folders."""
_LOCK = ".lock"


@contextmanager
def own_scratch(shared: Path) -> Iterator[Path]:
    """A folder of this process under `shared`, which is made if need be; it is gone afterwards.

    What processes that are gone have left in `shared` is removed. StoreError when it cannot be used, or when its
    file system knows no locks.
    """
    try:
        shared.mkdir(parents=True, exist_ok=True)
        with _locked(shared / _ALL, wait=True):
            _remove_left(shared)
            own = Path(tempfile.mkdtemp(prefix=f"{socket.gethostname()}-{os.getpid()}-", dir=shared))
            lock = _open(_lock_of(own))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StoreError(f"the folder {shared} cannot be used: {error}") from error
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        _lock_of(own).unlink(missing_ok=True)
        os.close(lock)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _remove_left(shared: Path) -> None:
    there = {left.name for left in shared.iterdir()} - {_ALL}
    for name in sorted({name.removesuffix(_LOCK) for name in there}):
        left = shared / name
        try:
            with _locked(_lock_of(left), wait=False):
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink(missing_ok=True)
                _lock_of(left).unlink()
        except BlockingIOError:
            continue  # its process lives


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
