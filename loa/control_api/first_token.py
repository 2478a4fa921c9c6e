"""What the first start leaves on disk: a folder for nobody else, and in it the administrator's token."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from loa.broadcast.journal.act import Act, system
from loa.broadcast.people.rights import Role
from loa.control_api.bearer import BearerTokens
from loa.durable import replace_file
from loa.errors import ConfigError


async def ensure_first_token(tokens: BearerTokens, path: Path, now_ms: int) -> bool:
    """Make the administrator's token if there is no token at all; whether it was made.

    Its text is in the file `path` (mode 0600) before the store knows it. Where a start ends between the two, the
    file holds a text that is good for nothing, and the next start replaces it. ConfigError when the file cannot
    be written: then there is no token either. StoreError when the store cannot take it.
    """
    if await tokens.any():
        return False
    await new_admin_token(tokens, path, system(now_ms))
    return True


async def new_admin_token(tokens: BearerTokens, path: Path, act: Act) -> None:
    """A new administrator's token, whose text replaces that in the file `path`. ConfigError; StoreError."""
    text = tokens.new_text()
    await asyncio.to_thread(_write_private, path, text + "\n")
    await tokens.store(text, "admin", Role.ADMIN, act)


def private_folder(path: Path) -> None:
    """Make the folder `path`, or take it, with mode 0700.

    ConfigError when it is no folder, when it is open to others and not ours to close, or when it is a folder that
    all share, such as /tmp.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077 == 0:
            return
        if mode & stat.S_ISVTX:
            raise ConfigError(f"{path} is a folder that all share: name one in it")
        if status.st_uid != os.geteuid():
            raise ConfigError(f"{path} is open to others (mode {mode:04o}), and another user's")
        path.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"the folder {path} cannot be used: {error.strerror or error}") from error


def _write_private(path: Path, text: str) -> None:
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
