"""SRTP with AEAD_AES_128_GCM (RFC 7714) for packets whose 48-bit index both ends know.

The index is ROC << 16 | SEQ (RFC 3711 §3.3.1). It is given with every call and never guessed here, and there
is no replay window: whoever knows the index also knows which packets it has had.
"""

from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from loa.codecs.rtp import INDEX_BITS, RtpHeader, parse_header, plain_ids, without_padding
from loa.errors import AuthorityError, WireError

KEY_BYTES = 16
SALT_BYTES = 12
TAG_BYTES = 16

_KDF_SALT_BYTES = 14
_LABEL_ENCRYPTION = 0x00
_LABEL_SALT = 0x02


def derive_key_material(master_key: bytes, master_salt: bytes, label: int, size_bytes: int) -> bytes:
    """The AES-CM key derivation of RFC 3711 §4.3 with a derivation rate of 0; `master_salt` of 14 bytes."""
    if len(master_key) != KEY_BYTES or len(master_salt) != _KDF_SALT_BYTES:
        raise ValueError("the key derivation takes a key of 16 and a salt of 14 bytes")
    # label || 48-bit index / rate, and a rate of 0 makes the quotient 0; then 16 bits for the block counter.
    start = (int.from_bytes(master_salt, "big") ^ label << 48) << 16
    keystream = Cipher(AES(master_key), CTR(start.to_bytes(16, "big"))).encryptor()
    return keystream.update(bytes(size_bytes))


def derive_session(master_key: bytes, master_salt: bytes) -> tuple[bytes, bytes]:
    """Session key (16 bytes) and session salt (12 bytes) of a master key (16) and a master salt (12).

    The salt enters the derivation with two zero bytes after it (RFC 7714 §11).
    """
    if len(master_salt) != SALT_BYTES:
        raise ValueError(f"an AEAD master salt has {SALT_BYTES} bytes, not {len(master_salt)}")
    padded_salt = master_salt + bytes(_KDF_SALT_BYTES - SALT_BYTES)
    return (
        derive_key_material(master_key, padded_salt, _LABEL_ENCRYPTION, KEY_BYTES),
        derive_key_material(master_key, padded_salt, _LABEL_SALT, SALT_BYTES),
    )


class SrtpContext:
    """Protects and opens packets under one session key.

    It keeps no state between packets, so it cannot see an index used twice for one SSRC. Such a repeat gives
    the key away: whoever protects must never do it.
    """

    def __init__(self, master_key: bytes, master_salt: bytes) -> None:
        """`master_key` of 16 bytes, `master_salt` of 12; ValueError otherwise."""
        self._use_session(*derive_session(master_key, master_salt))

    @classmethod
    def from_session(cls, session_key: bytes, session_salt: bytes) -> Self:
        """A context of keys that are derived already: `session_key` of 16 bytes, `session_salt` of 12."""
        context = cls.__new__(cls)
        context._use_session(session_key, session_salt)
        return context

    def protect(self, header: bytes, payload: bytes, index: int) -> bytes:
        """The SRTP packet: `header` in the clear, `payload` encrypted, a tag of 16 bytes over both.

        ValueError if the header's sequence number is not the index's low 16 bits; WireError if the header is
        not exactly an RTP header.
        """
        sequence, ssrc = plain_ids(header) or _ids(header)
        if sequence != _checked(index) & 0xFFFF:
            raise ValueError(f"index {index} for the sequence number {sequence}")
        return header + self._cipher.encrypt(self._nonce(ssrc, index), payload, header)

    def unprotect(self, packet: bytes, index: int) -> tuple[RtpHeader, bytes]:
        """Header and payload of a packet that its tag proves to be whole.

        WireError if it is malformed or its sequence number is not the index's low 16 bits; AuthorityError if
        it was made under another key or index, or changed on its way.
        """
        header, size_bytes, padded = parse_header(packet)
        if header.sequence != _checked(index) & 0xFFFF:
            raise WireError(f"the sequence number {header.sequence} for index {index}")
        if len(packet) < size_bytes + TAG_BYTES:
            raise WireError(f"an SRTP packet of {len(packet)} bytes has no room for its tag")
        nonce = self._nonce(header.ssrc, index)
        try:
            payload = self._cipher.decrypt(nonce, packet[size_bytes:], packet[:size_bytes])
        except InvalidTag:
            raise AuthorityError(f"an SRTP packet does not authenticate at index {index}") from None
        return header, without_padding(payload) if padded else payload

    def _use_session(self, session_key: bytes, session_salt: bytes) -> None:
        if len(session_key) != KEY_BYTES or len(session_salt) != SALT_BYTES:
            raise ValueError("AEAD_AES_128_GCM takes a session key of 16 and a salt of 12 bytes")
        self._cipher = AESGCM(session_key)
        self._salt = int.from_bytes(session_salt, "big")

    def _nonce(self, ssrc: int, index: int) -> bytes:
        """RFC 7714 §8.1: two zero bytes, SSRC, ROC and SEQ, all under the salt."""
        return (self._salt ^ (ssrc << INDEX_BITS | index)).to_bytes(12, "big")


def _ids(header: bytes) -> tuple[int, int]:
    """Sequence number and SSRC of any header; WireError if it is not exactly one."""
    parsed = parse_header(header)
    if parsed.size_bytes != len(header):
        raise WireError(f"an RTP header of {parsed.size_bytes} bytes in {len(header)}")
    return parsed.header.sequence, parsed.header.ssrc


def _checked(index: int) -> int:
    if not 0 <= index < 1 << INDEX_BITS:
        raise ValueError(f"a packet index {index}")
    return index
