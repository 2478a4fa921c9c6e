"""What sound files say of their own length, where FFmpeg does not tell that they are shorter than they say."""

from __future__ import annotations

from typing import BinaryIO

_ID3_HEADER_BYTES = 10
_RIFF_UNKNOWN = (0, 0xFFFF_FFFF)
_MOST_CHUNKS = 64
_SEGMENT_ID = bytes.fromhex("18538067")


def wav_is_cut(file: BinaryIO, size: int) -> bool:
    """Whether the data chunk of a RIFF file goes beyond the file's `size`. A size never filled in says nothing."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return False
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"data":
            return length not in _RIFF_UNKNOWN and at + 8 + length > size
        at += 8 + length + length % 2
    return False


def matroska_is_cut(file: BinaryIO, size: int) -> bool:
    """Whether the segment of a Matroska file (RFC 9559) goes beyond the file's `size`."""
    file.seek(0)
    front = file.read(4096)
    header = _ebml_size(front, 4)
    if header is None:
        return False
    length, at = header
    at += length
    if front[at : at + 4] != _SEGMENT_ID:
        return False
    segment = _ebml_size(front, at + 4)
    return segment is not None and segment[1] + segment[0] > size


def _ebml_size(data: bytes, at: int) -> tuple[int, int] | None:
    """The size at `at` (RFC 8794 §4) and where it ends; None when it is unknown or not there."""
    if at >= len(data) or data[at] == 0:
        return None
    octets = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + octets], "big") & ((1 << 7 * octets) - 1)
    if at + octets > len(data) or value == (1 << 7 * octets) - 1:
        return None
    return value, at + octets


def mp3_tells_frames(file: BinaryIO) -> bool:
    """Whether the first frame of an MP3 file is a Xing, Info or VBRI header; without one its length is a guess."""
    file.seek(0)
    head = file.read(_ID3_HEADER_BYTES)
    at = 0
    if head[:3] == b"ID3" and len(head) == _ID3_HEADER_BYTES:
        size = 0
        for octet in head[6:]:
            size = size << 7 | octet & 0x7F
        at = _ID3_HEADER_BYTES + size
    file.seek(at)
    first = file.read(512)
    return any(mark in first for mark in (b"Xing", b"Info", b"VBRI"))
