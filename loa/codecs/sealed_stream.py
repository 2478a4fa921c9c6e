"""A stream of bytes under a passphrase: nothing of it can be read, changed, cut off, repeated or reordered.

    "LOASEAL1" | salt 16 | chunk | chunk | … | last chunk

key = scrypt (RFC 7914; N 2^17, r 8, p 1) of the passphrase, 32 bytes. Each chunk is AES-256-GCM of 65,536 bytes,
the last of 0 to 65,536; nonce = the chunk's number 11 | 1 for the last, else 0; associated data = magic and salt.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from loa.errors import AuthorityError, WireError

MAGIC = b"LOASEAL1"
SALT_BYTES = 16
HEAD_BYTES = len(MAGIC) + SALT_BYTES
CHUNK_BYTES = 65_536
TAG_BYTES = 16
LEAST_PASSPHRASE = 12
_SEALED_BYTES = CHUNK_BYTES + TAG_BYTES


def derive_key(passphrase: bytes, salt: bytes) -> bytes:
    """The key of a stream. It takes a third of a second and 128 MiB, so that guessing is dear."""
    return Scrypt(salt=salt, length=32, n=1 << 17, r=8, p=1).derive(passphrase)


def head(salt: bytes) -> bytes:
    """What a stream begins with; `salt`: SALT_BYTES random bytes, never used before."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt of {len(salt)} bytes")
    return MAGIC + salt


def salt_of(data: bytes) -> bytes:
    """The salt in a stream's first HEAD_BYTES; WireError when it is none of these streams."""
    if len(data) != HEAD_BYTES or not data.startswith(MAGIC):
        raise WireError("not a sealed stream")
    return data[len(MAGIC) :]


class Sealer:
    """Seals one stream, piece by piece. Its head is written before."""

    def __init__(self, key: bytes, stream_head: bytes) -> None:
        self._aead = AESGCM(key)
        self._head = stream_head
        self._number = 0
        self._waiting = bytearray()

    def update(self, data: bytes) -> bytes:
        """Take more of the stream; what can be written now."""
        self._waiting += data
        sealed = bytearray()
        # A full chunk waits until something follows it: it may be the last.
        while len(self._waiting) > CHUNK_BYTES:
            sealed += self._chunk(CHUNK_BYTES, last=False)
        return bytes(sealed)

    def finish(self) -> bytes:
        """The end of the stream."""
        return self._chunk(len(self._waiting), last=True)

    def _chunk(self, size: int, *, last: bool) -> bytes:
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        sealed = self._aead.encrypt(_nonce(self._number, last), data, self._head)
        self._number += 1
        return sealed


class Opener:
    """Opens one stream, piece by piece, after its head. What it gives is proved, but for that there may be more."""

    def __init__(self, key: bytes, stream_head: bytes) -> None:
        self._aead = AESGCM(key)
        self._head = stream_head
        self._number = 0
        self._waiting = bytearray()

    def update(self, data: bytes) -> bytes:
        """Take more of the sealed stream; what can be read now. AuthorityError when it does not hold."""
        self._waiting += data
        opened = bytearray()
        while len(self._waiting) > _SEALED_BYTES:
            opened += self._chunk(_SEALED_BYTES, last=False)
        return bytes(opened)

    def finish(self) -> bytes:
        """The rest, when the sealed stream is at its end; AuthorityError when this is not its end."""
        return self._chunk(len(self._waiting), last=True)

    def _chunk(self, size: int, *, last: bool) -> bytes:
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        try:
            opened = self._aead.decrypt(_nonce(self._number, last), data, self._head)
        except InvalidTag as error:
            doubt = "the passphrase is another one, or " if self._number == 0 else ""
            raise AuthorityError(f"{doubt}the stream was changed or cut off") from error
        self._number += 1
        return opened


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes((last,))
