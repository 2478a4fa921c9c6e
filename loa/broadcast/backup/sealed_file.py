"""A file under a passphrase, written and read as if it were none."""

from __future__ import annotations

import os
from functools import cache
from typing import BinaryIO

from loa.broadcast.backup.archive import Sink, Source
from loa.codecs import sealed_stream
from loa.codecs.sealed_stream import HEAD_BYTES, LEAST_PASSPHRASE, MAGIC, SALT_BYTES, Opener, Sealer
from loa.errors import ConfigError, WireError

_READ_BYTES = 1 << 18


class SealedSink:
    """Writes to a file, sealed. `finish` writes the end, without which nobody takes it for whole."""

    def __init__(self, file: Sink, passphrase: bytes) -> None:
        stream_head = sealed_stream.head(os.urandom(SALT_BYTES))
        self._file = file
        self._sealer = Sealer(_key(passphrase, stream_head), stream_head)
        file.write(stream_head)

    def write(self, data: bytes) -> None:
        """See archive.Sink."""
        self._file.write(self._sealer.update(data))

    def finish(self) -> None:
        """Write the end."""
        self._file.write(self._sealer.finish())


class SealedSource:
    """Reads a sealed file; AuthorityError when it does not hold."""

    def __init__(self, file: Source, passphrase: bytes) -> None:
        stream_head = file.read(HEAD_BYTES)
        self._file = file
        self._opener: Opener | None = Opener(_key(passphrase, stream_head), stream_head)
        self._opened = bytearray()

    def read(self, size: int) -> bytes:
        """See archive.Source."""
        while len(self._opened) < size and self._opener is not None:
            if more := self._file.read(_READ_BYTES):
                self._opened += self._opener.update(more)
            else:
                self._opened += self._opener.finish()
                self._opener = None
        data = bytes(self._opened[:size])
        del self._opened[:size]
        return data


def source(file: BinaryIO, passphrase: bytes | None) -> Source:
    """The archive in a file, opened by the passphrase.

    ConfigError when it needs one and there is none; WireError when there is one and the file is not sealed: another
    may have been put in its place.
    """
    sealed = file.read(len(MAGIC)) == MAGIC
    file.seek(0)
    if sealed and passphrase is None:
        raise ConfigError("the backup is sealed: give its passphrase by --passphrase-file")
    if passphrase is None:
        return file
    if not sealed:
        raise WireError(
            "the file is not sealed, and a passphrase was given for it: it is not the one that was meant"
        )
    return SealedSource(file, passphrase)


def passphrase_in(data: bytes) -> bytes:
    """The passphrase in a file's content, without the end of its line; ConfigError when it is too short."""
    passphrase = data.rstrip(b"\r\n")
    if len(passphrase) < LEAST_PASSPHRASE:
        raise ConfigError(f"a passphrase has at least {LEAST_PASSPHRASE} bytes")
    return passphrase


@cache
def _key(passphrase: bytes, stream_head: bytes) -> bytes:
    # A backup is opened several times; the key is made once.
    return sealed_stream.derive_key(passphrase, sealed_stream.salt_of(stream_head))
