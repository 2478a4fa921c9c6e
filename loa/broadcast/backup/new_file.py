"""A large file that appears under its name when it is whole, and not before.

Until then it is called `<name>.<something>.partial`. Who writes one holds a lock on it, so that what a process that
was killed has left is told from what is being written, and is removed by the next.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from loa.durable import sync_folder
from loa.errors import ConfigError, StoreError


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file of mode 0600 to be written; at the block's end the disk has it, under its name.

    Nothing of it is left when the block raises. ConfigError when there is such a file already, or its folder is of
    no use; StoreError when the disk fails.
    """
    _must_be_new(path)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        _remove_left_over(path)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    with open(descriptor, "r+b") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(descriptor)
            _must_be_new(path)
            partial.replace(path)
            sync_folder(path.absolute().parent)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _must_be_new(path: Path) -> None:
    if path.exists():
        raise ConfigError(f"{path} is there already")


def _remove_left_over(path: Path) -> None:
    for left in path.parent.glob(f"{path.name}.*.partial"):
        with suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
