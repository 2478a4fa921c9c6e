"""Signed blocks: which frames the origin really sent (docs/protocol.md, *Signed blocks*).

Any holder of a group key could make packets that decrypt. A block is signed by a key that only the origin's
media process has, and that the tune order names; it lists the hashes of a run of frames.

    signature 64 | first index 6 | count 1 | hash 16 · count
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from loa.codecs.signed import SIGNATURE_BYTES, SigningKey, check_signature
from loa.errors import WireError

HASH_BYTES = 16
MAX_FRAMES = 32
_HEAD = SIGNATURE_BYTES + 7
_DOMAIN = b"loa-block-v1\0"


def frame_hash(rtp_header: bytes, payload: bytes) -> bytes:
    """The hash that stands for a frame: of its plain RTP packet, 12 bytes of header and the Opus payload."""
    return hashlib.sha256(rtp_header + payload).digest()[:HASH_BYTES]


@dataclass(frozen=True, slots=True)
class Block:
    """Frames first_index … first_index + len(hashes) - 1 are the origin's, and have these hashes."""

    first_index: int
    hashes: tuple[bytes, ...]


def seal_block(key: SigningKey, ssrc: int, first_index: int, hashes: Sequence[bytes]) -> bytes:
    """The payload of a block packet. `ssrc`: of the sound that it covers."""
    if not 1 <= len(hashes) <= MAX_FRAMES:
        raise ValueError(f"a block of {len(hashes)} frames")
    if any(len(each) != HASH_BYTES for each in hashes):
        raise ValueError(f"a frame's hash has {HASH_BYTES} bytes")
    body = first_index.to_bytes(6, "big") + bytes((len(hashes),)) + b"".join(hashes)
    return key.sign(_signed_bytes(ssrc, body)) + body


def open_block(block_key: bytes, ssrc: int, payload: bytes) -> Block:
    """The block in a payload; WireError when malformed, AuthorityError when `block_key` did not sign it."""
    if len(payload) < _HEAD:
        raise WireError(f"a block of {len(payload)} bytes")
    count = payload[_HEAD - 1]
    if not 1 <= count <= MAX_FRAMES or len(payload) != _HEAD + HASH_BYTES * count:
        raise WireError("a block whose length and count differ")
    check_signature(block_key, payload[:SIGNATURE_BYTES], _signed_bytes(ssrc, payload[SIGNATURE_BYTES:]))
    first = int.from_bytes(payload[SIGNATURE_BYTES : SIGNATURE_BYTES + 6], "big")
    hashes = tuple(payload[at : at + HASH_BYTES] for at in range(_HEAD, len(payload), HASH_BYTES))
    return Block(first, hashes)


def _signed_bytes(ssrc: int, body: bytes) -> bytes:
    return _DOMAIN + ssrc.to_bytes(4, "big") + body
