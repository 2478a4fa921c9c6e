"""The files that hold keys of authority: what they are called, and how they are read and written.

root.key         32 bytes, mode 0600. Meant to be kept offline, in two copies.
root.pub         32 bytes. What devices pin.
order.key        32 bytes, mode 0600. Signs what the core says every day.
order.key.next   32 bytes, mode 0600. Becomes order.key as soon as key_list names it.
key_list         the envelope of the newest key list.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loa.codecs.authority import KeyList, open_key_list
from loa.codecs.signed import HEADER_BYTES, KEY_BYTES, MAX_BODY_BYTES, SigningKey
from loa.durable import replace_file, sync_folder
from loa.errors import AuthorityError, ConfigError, WireError
from loa.folder_lock import folder_lock

ROOT_KEY = "root.key"
ROOT_PUBLIC = "root.pub"
ORDER_KEY = "order.key"
NEXT_KEY = "order.key.next"
KEY_LIST = "key_list"
REPLACED = "replaced"
KEPT = (ROOT_PUBLIC, KEY_LIST, ORDER_KEY, NEXT_KEY, REPLACED)
"""What a backup of the folder holds. The root key is kept by other means."""
MAX_LIST_BYTES = HEADER_BYTES + MAX_BODY_BYTES
_LEAVING = "root.key.leaving"
LOCK_WAIT_S = 10.0
"""How long a ceremony waits for another one in the same folder."""

Identity = tuple[tuple[int, int, int] | None, ...]


def mode_of(name: str) -> int:
    """The mode of a file of keys: what is no secret may be read by all."""
    return 0o644 if name in (ROOT_PUBLIC, KEY_LIST, REPLACED) else 0o600


def make_folder(folder: Path) -> None:
    """Make the folder with mode 0700 if it is not there; ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"the keys in {folder} cannot be used: {error}") from error


@contextmanager
def alone(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Work alone in a folder of keys. FolderBusy; ConfigError when the folder or a file in it cannot be used."""
    try:
        with folder_lock(folder, wait_s):
            yield
    except OSError as error:
        raise ConfigError(f"the keys in {folder} cannot be used: {error}") from error


def read_root(path: Path) -> SigningKey:
    """The root key in `path`: its file, or a folder with root.key in it. ConfigError when there is none."""
    try:
        file = path / ROOT_KEY if path.is_dir() else path
        return SigningKey(read_secret(file))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} holds no root key") from error


def folder_root(folder: Path) -> SigningKey | None:
    """The root key of a folder, if it is there; ConfigError when it cannot be used."""
    path = folder / ROOT_KEY
    return SigningKey(read_secret(path)) if path.exists() else None


def read_secret(path: Path) -> bytes:
    """A secret of 32 bytes; ConfigError when others can reach its file. FileNotFoundError."""
    must_be_private(path)
    return read_exactly(path, KEY_BYTES)


def must_be_private(path: Path) -> None:
    """ConfigError when anybody but the owner can reach the file. FileNotFoundError."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(f"{path} can be read by others (mode {mode:04o}): make it 0600")


def read_exactly(path: Path, size: int) -> bytes:
    """The file's content; ConfigError unless it has `size` bytes. FileNotFoundError."""
    data = read(path, size)
    if len(data) != size:
        raise ConfigError(f"{path} has {len(data)} bytes where {size} belong")
    return data


def read(path: Path, most: int) -> bytes:
    """The file's content; ConfigError when it has more than `most` bytes or cannot be read. FileNotFoundError."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > most:
        raise ConfigError(f"{path} has more than {most} bytes")
    return data


def read_root_public(folder: Path) -> bytes:
    """The public half of the root; ConfigError when it is not there."""
    try:
        return read_exactly(folder / ROOT_PUBLIC, KEY_BYTES)
    except FileNotFoundError as error:
        raise ConfigError(f"{folder / ROOT_PUBLIC} is missing: put it back from the backup") from error


def read_key_list(folder: Path, root_public_key: bytes) -> tuple[KeyList, bytes]:
    """The key list in the folder, and its envelope; ConfigError when it is not this root's. FileNotFoundError."""
    envelope = read(folder / KEY_LIST, MAX_LIST_BYTES)
    try:
        return open_key_list(envelope, root_public_key), envelope
    except (WireError, AuthorityError) as error:
        raise ConfigError(f"{folder / KEY_LIST} is no key list of this root: {error}") from error


def write(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the file, and return when the disk has it; ConfigError otherwise."""
    try:
        replace_file(path, data, mode)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}") from error


def take_next_key(folder: Path) -> None:
    """order.key.next becomes order.key; ConfigError."""
    try:
        (folder / NEXT_KEY).replace(folder / ORDER_KEY)
        sync_folder(folder)
    except OSError as error:
        raise ConfigError(f"{folder / ORDER_KEY} cannot be written: {error}") from error


def remove_root(folder: Path) -> None:
    """Overwrite and remove root.key; what a crash leaves of it is removed by the next ceremony. ConfigError."""
    try:
        # Under another name first: a root.key that is half overwritten would be taken for a wrong one.
        (folder / ROOT_KEY).replace(folder / _LEAVING)
        sync_folder(folder)
    except OSError as error:
        raise ConfigError(f"{folder / ROOT_KEY} cannot be removed: {error}") from error
    finish_removing(folder)


def finish_removing(folder: Path) -> None:
    """Overwrite and remove what `remove_root` has begun to; ConfigError."""
    path = folder / _LEAVING
    try:
        with path.open("r+b") as file:
            file.write(bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{path} cannot be removed: {error}") from error


def fresh_folder(folder: Path) -> Path:
    """Where the folder that is to take this one's place is made ready. It holds `replaced` when it is."""
    return folder.with_name(f"{folder.name}.new")


def finish_replacing(folder: Path) -> None:
    """Where a crash came after the old folder was put aside, put the new one in its place; ConfigError."""
    fresh = fresh_folder(folder)
    try:
        if not folder.exists() and (fresh / REPLACED).exists():
            fresh.replace(folder)
            sync_folder(folder.parent)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be put in its place: {error}") from error


def replaced_ms(folder: Path) -> int | None:
    """When the folder's root took another's place; None when it is the first. ConfigError."""
    try:
        text = read(folder / REPLACED, 20)
    except FileNotFoundError:
        return None
    if not text.isdigit():
        raise ConfigError(f"{folder / REPLACED} holds no time")
    return int(text)


def identity(folder: Path) -> Identity:
    """Another value whenever one of the files was replaced, but root.key; files that are not there count too."""
    return tuple(_file_identity(folder / name) for name in (ROOT_PUBLIC, KEY_LIST, ORDER_KEY, NEXT_KEY))


def _file_identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
