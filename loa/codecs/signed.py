"""The signed envelope that carries everything an authority says (docs/protocol.md, *Signed envelope*).

    version 1 | kind 1 | signer 8 | signature 64 | body

Ed25519 (RFC 8032) over b"loa-signed-v1\\0" | kind | signer | body. The body is verified as the bytes that
came, so that nothing has to be encoded again to check it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from loa.errors import AuthorityError, WireError

VERSION = 1
HEADER_BYTES = 74
KEY_BYTES = 32
KEY_ID_BYTES = 8
SIGNATURE_BYTES = 64
MAX_BODY_BYTES = 16_384
_DOMAIN = b"loa-signed-v1\0"


class Kind(IntEnum):
    """What an envelope holds."""

    KEY_LIST = 1
    CERTIFICATE = 2
    ORDER = 3
    BEACON = 4
    WELCOME = 5
    PLACEMENT = 6


def key_id(public_key: bytes) -> bytes:
    """The 8-byte name of an Ed25519 public key: the front of its SHA-256."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_BYTES]


class SigningKey:
    """An Ed25519 private key with what is asked of it again and again."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: the 32 bytes of RFC 8032 §5.1.5."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key: bytes = self._key.public_key().public_bytes_raw()
        self.key_id: bytes = key_id(self.public_key)

    @classmethod
    def generate(cls) -> SigningKey:
        """A new key from the system's random source."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, for keeping in a file of mode 0600."""
        return self._key.private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id.hex()})"


def check_signature(public_key: bytes, signature: bytes, message: bytes) -> None:
    """AuthorityError unless `signature` is the key's over `message`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise AuthorityError("the signature does not hold") from error


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope. Nothing in it is true before `check` returned."""

    kind: Kind
    signer: bytes
    signature: bytes
    body: bytes

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return bytes((VERSION, self.kind)) + self.signer + self.signature + self.body

    def check(self, public_key: bytes) -> None:
        """AuthorityError unless `public_key` signed this envelope."""
        if key_id(public_key) != self.signer:
            raise AuthorityError("signed by another key")
        check_signature(public_key, self.signature, _signed_bytes(self.kind, self.signer, self.body))


def _signed_bytes(kind: Kind, signer: bytes, body: bytes) -> bytes:
    return _DOMAIN + bytes((kind,)) + signer + body


def seal(kind: Kind, key: SigningKey, body: bytes) -> bytes:
    """The envelope of `body`, signed by `key`; ValueError for an empty body or one over MAX_BODY_BYTES."""
    if not 1 <= len(body) <= MAX_BODY_BYTES:
        raise ValueError(f"a body of {len(body)} bytes")
    signature = key.sign(_signed_bytes(kind, key.key_id, body))
    return Envelope(kind, key.key_id, signature, body).encode()


def parse(data: bytes, kind: Kind) -> Envelope:
    """The envelope in `data`, which must hold `kind`; WireError otherwise."""
    if not HEADER_BYTES < len(data) <= HEADER_BYTES + MAX_BODY_BYTES:
        raise WireError(f"an envelope of {len(data)} bytes")
    if data[0] != VERSION:
        raise WireError(f"envelope version {data[0]}")
    if data[1] != kind:
        raise WireError(f"an envelope of kind {data[1]} where {kind.name.lower()} ({kind}) belongs")
    return Envelope(kind, data[2:10], data[10:74], data[74:])
