"""The RTP header (RFC 3550 §5.1) and the extended packet index (RFC 3711 §3.3.1)."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from loa.errors import WireError

CLOCK_HZ = 48_000
PT_OPUS = 111
PT_BLOCK = 112

HEADER_BYTES = 12
INDEX_BITS = 48

_VERSION = 2
_FIXED = struct.Struct("!BBHII")


@dataclass(frozen=True, slots=True)
class RtpHeader:
    """The fields of a header that Loa sends: no padding, no contributing sources, no extension."""

    payload_type: int  # 0..127
    sequence: int  # 16 bits
    timestamp: int  # 32 bits, of CLOCK_HZ
    ssrc: int  # 32 bits
    marker: bool = False

    def __post_init__(self) -> None:
        if not (
            0 <= self.payload_type < 1 << 7
            and 0 <= self.sequence < 1 << 16
            and 0 <= self.timestamp < 1 << 32
            and 0 <= self.ssrc < 1 << 32
        ):
            raise ValueError(f"a field out of range: {self}")

    def pack(self) -> bytes:
        """The 12 bytes on the wire."""
        return pack_plain(self.payload_type, self.marker, self.sequence, self.timestamp, self.ssrc)


def pack_plain(payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """What `RtpHeader.pack` gives, for values that are known to be in range."""
    return _FIXED.pack(_VERSION << 6, marker << 7 | payload_type, sequence, timestamp, ssrc)


def plain_ids(header: bytes) -> tuple[int, int] | None:
    """Sequence number and SSRC of a header as `pack` makes it; None for any other bytes."""
    if len(header) != HEADER_BYTES or header[0] != _VERSION << 6:
        return None
    _, _, sequence, _, ssrc = _FIXED.unpack(header)
    return sequence, ssrc


class ParsedHeader(NamedTuple):
    """What stands before a packet's payload. `size_bytes` counts skipped sources and extension too."""

    header: RtpHeader
    size_bytes: int
    padded: bool


def parse_header(packet: bytes) -> ParsedHeader:
    """Read the header, skipping contributing sources and an extension. WireError if it is malformed."""
    if len(packet) < HEADER_BYTES:
        raise WireError(f"an RTP packet of {len(packet)} bytes")
    flags, kind, sequence, timestamp, ssrc = _FIXED.unpack_from(packet)
    if flags >> 6 != _VERSION:
        raise WireError(f"RTP version {flags >> 6}")
    size_bytes = HEADER_BYTES + 4 * (flags & 0x0F)
    if flags & 0x10:
        if len(packet) < size_bytes + 4:
            raise WireError("an RTP packet ends inside its extension header")
        words = int.from_bytes(packet[size_bytes + 2 : size_bytes + 4], "big")
        size_bytes += 4 + 4 * words
    if len(packet) < size_bytes:
        raise WireError(f"an RTP header of {size_bytes} bytes in a packet of {len(packet)}")
    header = RtpHeader(
        payload_type=kind & 0x7F, sequence=sequence, timestamp=timestamp, ssrc=ssrc, marker=bool(kind & 0x80)
    )
    return ParsedHeader(header, size_bytes, bool(flags & 0x20))


def parse_packet(packet: bytes) -> tuple[RtpHeader, bytes]:
    """Header and payload of a plain RTP packet, its padding taken off. WireError if it is malformed."""
    header, size_bytes, padded = parse_header(packet)
    payload = packet[size_bytes:]
    return header, without_padding(payload) if padded else payload


def without_padding(payload: bytes) -> bytes:
    """A padded payload less its padding, whose last byte counts it, itself included; or WireError."""
    if not payload or not 0 < payload[-1] <= len(payload):
        raise WireError("RTP padding that does not fit its packet")
    return payload[: -payload[-1]]


def nearest_index(sequence: int, expected_index: int) -> int:
    """The extended index (48 bits) that ends in `sequence` (16 bits) and lies nearest to `expected_index`.

    At equal distance the lower one. Never below 0 nor above 2**48 - 1: at those ends the nearest that exists.
    """
    if not 0 <= sequence < 1 << 16:
        raise ValueError(f"a sequence number {sequence}")
    if not 0 <= expected_index < 1 << INDEX_BITS:
        raise ValueError(f"a packet index {expected_index}")
    distance = (sequence - expected_index + 0x8000 & 0xFFFF) - 0x8000
    index = expected_index + distance
    if index < 0:
        return index + 0x10000
    if index >= 1 << INDEX_BITS:
        return index - 0x10000
    return index
