"""Bytes as people read them aloud, type them and put them on paper: Crockford's base 32, in groups of five.

The alphabet has no I, L, O and U. When text is typed, case, hyphens and white space do not matter, I and L mean 1,
O means 0.
"""

from __future__ import annotations

import hashlib

from loa.errors import WireError

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUP = 5
FINGERPRINT_CHARACTERS = 20
_ALIASES = str.maketrans({"I": "1", "L": "1", "O": "0"})
_BITS = 5


def bare(typed: str) -> str:
    """The characters that were meant, without what separates them; WireError for one that is none."""
    text = "".join(c for c in typed if c != "-" and not c.isspace())
    if not text.isascii():
        raise WireError("there are no letters but A to Z")
    text = text.upper().translate(_ALIASES)
    if strange := next((c for c in text if c not in ALPHABET), None):
        raise WireError(f"{strange!r} is not one of {ALPHABET}")
    return text


def grouped(text: str) -> str:
    """Bare characters as they are shown: groups of five with hyphens between them."""
    return "-".join(text[at : at + GROUP] for at in range(0, len(text), GROUP))


def encode(data: bytes) -> str:
    """Bare characters that hold `data`, the last filled up with zero bits."""
    length = -(-len(data) * 8 // _BITS)
    value = int.from_bytes(data, "big") << (length * _BITS - len(data) * 8)
    return "".join(ALPHABET[value >> _BITS * (length - 1 - at) & 31] for at in range(length))


def decode(text: str, size: int) -> bytes:
    """The `size` bytes that bare characters hold; WireError unless they are what `encode` gives."""
    length = -(-size * 8 // _BITS)
    if len(text) != length:
        raise WireError(f"{len(text)} characters where {length} belong")
    value = 0
    for character in text:
        value = value << _BITS | ALPHABET.index(character)
    data = value >> (length * _BITS - size * 8)
    if data << (length * _BITS - size * 8) != value:
        raise WireError("the last character holds more than its bits")
    return data.to_bytes(size, "big")


def fingerprint(data: bytes) -> str:
    """What two people compare: the first 100 bits of SHA-256, as four groups of five."""
    return grouped(encode(hashlib.sha256(data).digest())[:FINGERPRINT_CHARACTERS])


def same_fingerprint(typed: str, shown: str) -> bool:
    """Whether a person typed this fingerprint."""
    try:
        return bare(typed) == bare(shown)
    except WireError:
        return False
