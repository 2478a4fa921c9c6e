"""A backup as one file: a tar archive that begins with its manifest and ends with the hashes of all that is in it.

The hashes prove that nothing was damaged, cut off or left out; against forgery stands only a passphrase.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from loa.broadcast.backup.manifest import Manifest, decode_manifest
from loa.broadcast.backup.parts import MAX_BYTES, MAX_PARTS, Part, PartKind, parse_part, sum_line
from loa.codecs import ustar
from loa.codecs.ustar import BLOCK_BYTES, Member
from loa.errors import WireError

CHUNK_BYTES = 1 << 20


class Sink(Protocol):
    """Where an archive goes."""

    def write(self, data: bytes, /) -> object:
        """Take all of this."""


class Source(Protocol):
    """Where an archive comes from."""

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes, or fewer at the end."""


class ArchiveWriter:
    """Writes one archive, part after part, in the order of parts.PartKind."""

    def __init__(self, sink: Sink, manifest: Manifest) -> None:
        self._sink = sink
        self._sums: list[bytes] = []
        self._modified_s = manifest.made_ms // 1000
        self.add(Part(PartKind.MANIFEST), manifest.encode())

    def add(self, part: Part, data: bytes) -> None:
        """Add a part that is in memory."""
        self.stream(part, len(data), (data,))

    def stream(self, part: Part, size: int, chunks: Iterable[bytes]) -> None:
        """Add a part of `size` bytes that comes in chunks; ValueError when it has another size than that."""
        if size > MAX_BYTES[part.kind] or len(self._sums) >= MAX_PARTS:
            raise ValueError(f"{part.name} is too large for a backup")
        self._sink.write(Member(part.name, size, self._modified_s).header())
        digest = hashlib.sha256()
        left = size
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            self._sink.write(chunk)
        if left:
            raise ValueError(f"{part.name} has another size than it was to have")
        self._sink.write(bytes(ustar.padding(size)))
        self._sums.append(sum_line(digest.digest(), part.name))

    def finish(self) -> None:
        """Write the hashes and the archive's end."""
        self.add(Part(PartKind.SUMS), b"".join(self._sums))
        self._sink.write(ustar.END)


class ArchiveReader:
    """Reads one archive. Nothing in it is proved before `parts` has come to its end.

    Every method raises WireError for what is no whole backup; nothing is held but the part that is being read, and
    its bounds are those of parts.MAX_BYTES.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._sums: list[bytes] = []
        self._left = 0
        self._size = 0
        self._digest = hashlib.sha256()
        self._part = Part(PartKind.MANIFEST)
        self.read_bytes = 0
        """How much of the archive has been read."""
        first = self._next()
        if first.kind is not PartKind.MANIFEST:
            raise WireError("not a backup of Loa")
        self.manifest = decode_manifest(self.data())
        self._close_part()

    def parts(self) -> Iterator[Part]:
        """The parts after the manifest, in their order. The content of each is read by `data` or `chunks`."""
        seen: set[Part] = set()
        while True:
            last, part = self._part, self._next()
            if part.kind is PartKind.SUMS:
                return self._check_end()
            if part.kind < last.kind or part.kind is PartKind.MANIFEST or part in seen:
                raise WireError(f"{part.name} does not stand in its place")
            if part.kind is PartKind.ROWS:
                follows = last.kind is PartKind.ROWS and last.what == part.what
                if part.number != (last.number + 1 if follows else 1):
                    raise WireError(f"{part.name} does not follow the rows before it")
            if len(seen) >= MAX_PARTS:
                raise WireError("a backup of too many parts")
            seen.add(part)
            yield part
            self._close_part()

    def data(self) -> bytes:
        """The content of the part that `parts` gave last."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """The same in pieces."""
        while self._left:
            chunk = self._read(min(self._left, CHUNK_BYTES))
            self._left -= len(chunk)
            self._digest.update(chunk)
            yield chunk

    @property
    def size(self) -> int:
        """How many bytes the part has."""
        return self._size

    @property
    def sha256(self) -> bytes:
        """The hash of what has been read of the part."""
        return self._digest.digest()

    def _next(self) -> Part:
        member = ustar.parse_header(self._read(BLOCK_BYTES))
        if member is None:
            raise WireError("the archive ends before its hashes: it was cut off")
        self._part = parse_part(member.name, member.size)
        self._size = self._left = member.size
        self._digest = hashlib.sha256()
        return self._part

    def _close_part(self) -> None:
        for _ in self.chunks():
            pass  # of no interest, but it counts for the hash
        self._skip_padding()
        self._sums.append(sum_line(self.sha256, self._part.name))

    def _skip_padding(self) -> None:
        if any(self._read(ustar.padding(self._size))):
            raise WireError(f"something lies behind {self._part.name}")

    def _check_end(self) -> None:
        told = self.data()
        self._skip_padding()
        if told != b"".join(self._sums):
            raise WireError(_difference(told, self._sums))
        if self._read(len(ustar.END)) != ustar.END or self._source.read(1):
            raise WireError("the archive does not end where it should")

    def _read(self, size: int) -> bytes:
        data = self._source.read(size) if size else b""
        self.read_bytes += len(data)
        if len(data) != size:
            raise WireError("the archive ends in its middle: it was cut off")
        return data


def _difference(told: bytes, found: list[bytes]) -> str:
    lines = told.splitlines(keepends=True)
    for expected, actual in zip(lines, found, strict=False):
        if expected != actual:
            return f"{actual[66:-1].decode()} is not what was written: it is damaged, or was exchanged"
    return f"the archive holds {len(found)} parts, and hashes of {len(lines)}"
