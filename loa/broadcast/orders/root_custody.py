"""The root key as a thing that is kept: made, taken away from the core, brought back.

A key is copied, read back and compared before anything of it is removed, so there is one at every moment.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from loa.broadcast.orders import key_files
from loa.broadcast.orders.key_files import LOCK_WAIT_S, ROOT_KEY, ROOT_PUBLIC
from loa.codecs.signed import KEY_BYTES, SigningKey
from loa.durable import sync_folder
from loa.errors import ConfigError


def create_root(folder: Path, root: SigningKey | None = None) -> bytes:
    """A root key (a new one, or `root` from a backup) in `folder`; its public half.

    The same key may be there already. ConfigError when another is, or when the folder cannot be used.
    """
    key_files.make_folder(folder)
    with key_files.alone(folder, LOCK_WAIT_S):
        held = key_files.folder_root(folder)
        if held is not None and root is None and (folder / ROOT_PUBLIC).exists():
            raise ConfigError(f"{folder} holds a root key already")
        made = root or held or SigningKey.generate()
        if held is not None and held.seed != made.seed:
            raise ConfigError(f"{folder} holds another root key already")
        _must_fit(folder, made)
        if held is None:
            key_files.write(folder / ROOT_KEY, made.seed)
        key_files.write(folder / ROOT_PUBLIC, made.public_key, mode=0o644)
    return made.public_key


def take_away(folder: Path, copies: Sequence[Path]) -> list[Path]:
    """Copy the root key of `folder` to each of `copies` (a folder, or a file that is new), then remove it there.

    Where the copies are. ConfigError when there is no root key, or when one of the copies cannot be made, lies in
    the core's own folder, or could be read by others; then the key stays where it is.
    """
    if not copies:
        raise ConfigError("name at least one place for the root key")
    with key_files.alone(folder, LOCK_WAIT_S):
        key_files.finish_removing(folder)
        root = key_files.folder_root(folder)
        if root is None:
            raise ConfigError(f"{folder} holds no root key: it has been taken away")
        _must_fit(folder, root)
        places = [place / ROOT_KEY if place.is_dir() else place for place in copies]
        for place in places:
            if place.resolve().is_relative_to(folder.resolve().parent):
                raise ConfigError(f"{place} is in the core's own folder: that is not away")
        for place in places:
            _copy(root, place)
        key_files.remove_root(folder)
    return places


def bring_back(folder: Path, source: Path) -> bytes:
    """Put the root key of `source` (its file, or a folder that holds it) into `folder`; its public half.

    ConfigError when it is not the key of this folder's root.pub.
    """
    root = key_files.read_root(source)
    with key_files.alone(folder, LOCK_WAIT_S):
        key_files.finish_removing(folder)
        if not (folder / ROOT_PUBLIC).exists():
            raise ConfigError(f"{folder} holds no {ROOT_PUBLIC}: there is no core whose root this could be")
        _must_fit(folder, root)
        key_files.write(folder / ROOT_KEY, root.seed)
    return root.public_key


def same_disk(folder: Path, place: Path) -> bool:
    """Whether a file and a folder are on one file system: no two places, if that disk breaks or is stolen."""
    return folder.stat().st_dev == place.stat().st_dev


def _must_fit(folder: Path, root: SigningKey) -> None:
    path = folder / ROOT_PUBLIC
    if path.exists() and key_files.read_exactly(path, KEY_BYTES) != root.public_key:
        raise ConfigError(f"this root key is not the key of {path}")


def _copy(root: SigningKey, place: Path) -> None:
    """Write the key to a new file, and see that the disk has it and nobody else can read it; ConfigError."""
    try:
        if place.exists():
            if key_files.read_secret(place) != root.seed:
                raise ConfigError(f"{place} is there already, and is not this key")
        else:
            _write_new(place, root.seed)
        key_files.must_be_private(place)
        if key_files.read_secret(place) != root.seed:
            raise ConfigError(f"{place} does not hold what was written to it")
    except OSError as error:
        raise ConfigError(f"{place} cannot be written: {error.strerror or error}") from error


def _write_new(place: Path, data: bytes) -> None:
    fresh = place.with_name(f"{place.name}.new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            fresh.unlink()
            raise ConfigError(
                f"{place} would be readable by others: its file system keeps no modes. "
                "Use another one, or an encrypted copy (loa keys export)"
            )
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # it is read back from the disk
    fresh.replace(place)
    sync_folder(place.parent)
