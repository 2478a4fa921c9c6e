"""The passphrase of a backup, from a file that nobody else can read."""

from __future__ import annotations

from pathlib import Path

from loa.broadcast.backup.sealed_file import passphrase_in
from loa.broadcast.orders import key_files
from loa.errors import ConfigError

_MOST_BYTES = 4096


def read_passphrase(path: Path | None) -> bytes | None:
    """The passphrase in the file, if one is named; ConfigError when it is too short, or others can read it."""
    if path is None:
        return None
    try:
        key_files.must_be_private(path)
        return passphrase_in(key_files.read(path, _MOST_BYTES))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is not there") from error
