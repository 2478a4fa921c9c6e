"""Every symmetric key and where it comes from (docs/protocol.md, *Secrets*). HKDF is RFC 5869 with SHA-256."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from loa.errors import AuthorityError, WireError

EPOCH_SECRET_BYTES = 32
NONCE_BYTES = 32
MAC_BYTES = 16


def hkdf(secret: bytes, *, salt: bytes, info: bytes, size: int) -> bytes:
    """`size` bytes by HKDF-SHA256 (RFC 5869)."""
    return HKDF(hashes.SHA256(), size, salt, info).derive(secret)


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 cut to 16 bytes."""
    return hmac.digest(key, message, "sha256")[:MAC_BYTES]


def check_mac(key: bytes, message: bytes, tag: bytes) -> None:
    """AuthorityError unless `tag` is the message's, compared in constant time."""
    if not hmac.compare_digest(mac(key, message), tag):
        raise AuthorityError("the MAC does not hold")


@dataclass(frozen=True, slots=True)
class MediaKey:
    """SRTP master key (16 bytes) and master salt (12 bytes) of one generation."""

    key: bytes
    salt: bytes

    def __repr__(self) -> str:
        return "MediaKey(…)"


def media_key(epoch_secret: bytes, epoch: bytes, broadcast_id: bytes, generation: int) -> MediaKey:
    """The SRTP master key of one generation of a broadcast."""
    info = b"loa/1 media" + broadcast_id + generation.to_bytes(4, "big")
    material = hkdf(epoch_secret, salt=epoch, info=info, size=28)
    return MediaKey(material[:16], material[16:])


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """What both ends of a link agree on: the channel secret, and the key that seals epoch secrets."""

    channel_secret: bytes
    sealing_key: bytes

    def __repr__(self) -> str:
        return "LinkKeys(…)"


class Agreement:
    """One end's half of the X25519 (RFC 7748) agreement of a link. Made for one link and thrown away."""

    def __init__(self, private: bytes | None = None) -> None:
        """`private`: 32 bytes, for test vectors only."""
        self._private = X25519PrivateKey.from_private_bytes(private) if private else X25519PrivateKey.generate()
        self.public: bytes = self._private.public_key().public_bytes_raw()

    def keys(self, other_public: bytes, *, nonce_c: bytes, nonce_s: bytes, endpoint_id: bytes) -> LinkKeys:
        """The link's keys; WireError for a public key that agrees on nothing (RFC 7748 §6.1)."""
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(other_public))
        except ValueError as error:
            raise WireError("a public key that agrees on nothing") from error
        material = hkdf(shared, salt=nonce_c + nonce_s, info=b"loa/1 link" + endpoint_id, size=48)
        return LinkKeys(material[:32], material[32:])


def proof_message(hello: bytes, welcome: bytes) -> bytes:
    """What a device signs to prove itself: both handshake messages, hashed."""
    return b"loa-link-proof-v1\0" + hashlib.sha256(hello + welcome).digest()


def seal_secret(keys: LinkKeys, *, epoch: bytes, serial: int, epoch_secret: bytes) -> bytes:
    """The epoch secret as it travels: AES-128-GCM, the serial as nonce, so each serial once per link."""
    return AESGCM(keys.sealing_key).encrypt(serial.to_bytes(12, "big"), epoch_secret, b"loa/1 epoch secret" + epoch)


def open_secret(keys: LinkKeys, *, epoch: bytes, serial: int, sealed: bytes) -> bytes:
    """The epoch secret in `sealed`; AuthorityError when it was not sealed for this link."""
    try:
        secret = AESGCM(keys.sealing_key).decrypt(serial.to_bytes(12, "big"), sealed, b"loa/1 epoch secret" + epoch)
    except InvalidTag as error:
        raise AuthorityError("the epoch secret was not sealed for this link") from error
    if len(secret) != EPOCH_SECRET_BYTES:
        raise WireError(f"an epoch secret of {len(secret)} bytes")
    return secret
