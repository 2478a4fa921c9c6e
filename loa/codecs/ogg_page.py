"""One Ogg page: bytes to fields and back, with its checksum (RFC 3533 §6)."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from loa.errors import WireError

FLAG_CONTINUED = 0x01
FLAG_BOS = 0x02
FLAG_EOS = 0x04

# The longest sound packet worth reading (RFC 7845 §6); here the bound of the comment header too. Such a packet
# and its lacing fit on one page.
MAX_PACKET_BYTES = 61_440

_PAGE = struct.Struct("<4sBBqIIIB")
_CAPTURE = b"OggS"
_CRC_OFFSET = 22
_ALL_FLAGS = FLAG_CONTINUED | FLAG_BOS | FLAG_EOS
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@dataclass(frozen=True, slots=True)
class OggPage:
    """A page's fields.

    `pieces` are the packets on it. The first is continued from the page before when `flags` says so; the last
    is `unfinished` when the next page continues it.
    """

    flags: int
    granule: int  # -1: no packet ends here
    serial: int
    sequence: int
    pieces: list[bytes]
    unfinished: bool


def checksum(data: bytes) -> int:
    """Ogg's CRC-32: polynomial 0x04c11db7, most significant bit first, from 0, not inverted.

    zlib has the same polynomial the other way round: least significant bit first and inverted at both ends.
    So the bits of every byte are turned, zlib's work is started and ended without its inversions, and the
    result is turned back. All of it runs in C.
    """
    mirrored = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")


def build_page(packets: Sequence[bytes], granule: int, serial: int, sequence: int, flags: int) -> bytes:
    """A page of whole packets. ValueError if their lacing does not fit on one."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    if len(lacing) > 255:
        raise ValueError(f"{len(lacing)} segments on one Ogg page")
    head = _PAGE.pack(_CAPTURE, 0, flags, granule, serial, sequence & 0xFFFFFFFF, 0, len(lacing))
    page = b"".join((head, lacing, *packets))
    crc = checksum(page).to_bytes(4, "little")
    return page[:_CRC_OFFSET] + crc + page[_CRC_OFFSET + 4 :]


def read_page(data: bytes, position: int) -> tuple[OggPage, int]:
    """The page that starts at `position`, and where it ends. WireError unless it is whole and sound."""
    if len(data) < position + _PAGE.size:
        raise WireError("an Ogg page that is cut off")
    capture, version, flags, granule, serial, sequence, crc, segments = _PAGE.unpack_from(data, position)
    if capture != _CAPTURE or version != 0 or flags & ~_ALL_FLAGS:
        raise WireError(f"no Ogg page at byte {position}")
    body = position + _PAGE.size + segments
    lacing = data[position + _PAGE.size : body]
    end = body + sum(lacing)
    if len(data) < end or len(lacing) < segments:
        raise WireError("an Ogg page that is cut off")
    head = data[position : position + _CRC_OFFSET]
    if checksum(head + bytes(4) + data[position + _CRC_OFFSET + 4 : end]) != crc:
        raise WireError(f"an Ogg page with a wrong checksum at byte {position}")
    pieces = []
    start = stop = body
    for length in lacing:
        stop += length
        if length < 255:
            pieces.append(data[start:stop])
            start = stop
    unfinished = bool(lacing) and lacing[-1] == 255
    if unfinished:
        pieces.append(data[start:stop])
    return OggPage(flags, granule, serial, sequence, pieces, unfinished), end
