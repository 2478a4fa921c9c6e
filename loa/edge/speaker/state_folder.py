"""What a speaker keeps on disk: a folder of mode 0700 with small files of mode 0600, each replaced atomically."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from loa.durable import replace_file
from loa.errors import ConfigError, StoreError

MAX_FILE_BYTES = 4 << 20


class StateFolder:
    """Small named files that survive a power cut: a reader finds the old content or the new one, whole.

    OSError never leaves it: a folder or file that cannot be used is a ConfigError when it is opened or read, and
    a StoreError when a later write fails.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder if it is not there. ConfigError when others can read it or it is no folder of ours."""
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = path.stat().st_mode
        except OSError as error:
            raise ConfigError(f"the state folder {path} cannot be used: {error.strerror}") from error
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigError(
                f"the state folder {path} is open to others (mode {stat.S_IMODE(mode):o}): chmod 700 it"
            )

    def read(self, name: str) -> bytes | None:
        """The file's content; None when it is not there. ConfigError when others can read it."""
        path = self.path / name
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise ConfigError(f"{path} is open to others (mode {mode:o}): chmod 600 it")
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        if len(data) > MAX_FILE_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        return data

    def write(self, name: str, data: bytes) -> None:
        """Replace the file, and return when the disk has it. StoreError otherwise; the old content then stays."""
        path = self.path / name
        try:
            replace_file(path, data)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
