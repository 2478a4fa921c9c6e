"""Files of sound on their way into a backup and out of it: into the archive, or into a pool beside it.

A pool is a folder that many backups share. It holds each file once, under its hash, and never loses one by itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from loa.broadcast.backup.archive import CHUNK_BYTES
from loa.durable import sync_folder
from loa.errors import StoreError


def audio_path(folder: Path, sha256: bytes) -> Path:
    """Where a file lies in a folder of programmes, and in a pool."""
    name = sha256.hex()
    return folder / name[:2] / f"{name}.ogg"


def sound_hash(path: Path) -> tuple[int, bytes] | None:
    """The size and the SHA-256 of a file; None when it is not there. StoreError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


def chunks(path: Path) -> Iterator[bytes]:
    """What a file holds, in pieces; StoreError."""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


def put(folder: Path, sha256: bytes, content: Iterator[bytes]) -> int:
    """Write a file into a folder of programmes or a pool, where the disk has it afterwards; its size.

    StoreError when what comes is not what its name says, or when the disk fails; nothing is left of it then.
    """
    path = audio_path(folder, sha256)
    fresh = path.with_suffix(".partial")
    digest, size = hashlib.sha256(), 0
    try:
        made = not path.parent.exists()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                for chunk in content:
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            if digest.digest() != sha256:
                raise StoreError(f"the sound {sha256.hex()} is not what its name says")
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        sync_folder(path.parent)
        if made:
            sync_folder(folder)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return size
