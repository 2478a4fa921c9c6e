"""Tar archives of regular files, in the ustar form of POSIX (IEEE Std 1003.1, *pax*): what tar(1) reads.

    header 512 | data, filled up with zeros to a multiple of 512 | … | 1,024 zeros

Headers have one form only: owner 0, mode 0600, no prefix, no links and no extensions. Anything else is refused, so
that a name is a plain path below where it is unpacked, and a size is all that follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from loa.errors import WireError

BLOCK_BYTES = 512
MAX_SIZE = 0o77777777777
MAX_NAME = 100
END = bytes(2 * BLOCK_BYTES)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", re.ASCII)
_MODE = b"0000600\0"
_NOBODY = b"0000000\0"
_CHECKSUM_AT = 148


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive. `name` has parts of letters, digits and `._-`, none of which begins with a dot."""

    name: str
    size: int
    modified_s: int = 0

    def header(self) -> bytes:
        """Its header; ValueError for what ustar cannot say: that is a mistake of the caller."""
        if not _NAME.fullmatch(self.name) or len(self.name) > MAX_NAME:
            raise ValueError(f"{self.name!r} cannot be a name in an archive")
        if not 0 <= self.size <= MAX_SIZE or not 0 <= self.modified_s <= MAX_SIZE:
            raise ValueError("a size or a time that does not fit")
        block = bytearray(BLOCK_BYTES)
        block[0 : len(self.name)] = self.name.encode("ascii")
        block[100:124] = _MODE + _NOBODY + _NOBODY
        block[124:136] = b"%011o\0" % self.size
        block[136:148] = b"%011o\0" % self.modified_s
        block[_CHECKSUM_AT : _CHECKSUM_AT + 8] = b" " * 8
        block[156:157] = b"0"
        block[257:265] = b"ustar\00000"
        block[329:345] = _NOBODY + _NOBODY
        block[_CHECKSUM_AT : _CHECKSUM_AT + 8] = b"%06o\0 " % sum(block)
        return bytes(block)


def parse_header(block: bytes) -> Member | None:
    """The file that a header of 512 bytes announces, or None at the archive's end; WireError otherwise."""
    if len(block) != BLOCK_BYTES:
        raise WireError("the archive ends within a header")
    if not any(block):
        return None
    try:
        name = block[:MAX_NAME].rstrip(b"\0").decode("ascii")
        member = Member(name, int(block[124:135], 8), int(block[136:147], 8))
        same = member.header() == block
    except ValueError as error:
        raise WireError("not a file of a Loa archive") from error
    if not same:
        raise WireError(f"{member.name} has a header that no Loa archive has")
    return member


def padding(size: int) -> int:
    """How many zeros follow `size` bytes of data."""
    return -size % BLOCK_BYTES
