"""Enrolment codes and the MACs of a claim (docs/protocol.md, *Enrolment*).

The code is never sent: its first group names it, the other three make the key under which device and server
prove to each other that they know it. So the device learns the root key to pin without trusting the network.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass

from loa.codecs import key_schedule
from loa.errors import WireError

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUP = 5
_CODE_CHARACTERS = 4 * _GROUP
_ALIASES = str.maketrans({"I": "1", "L": "1", "O": "0"})


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """A one-time code: `code_id` (5 characters, not secret) and `secret` (15 characters, 75 bits)."""

    code_id: str
    secret: str

    @classmethod
    def generate(cls) -> EnrolmentCode:
        """A new code from the system's random source."""
        text = "".join(secrets.choice(ALPHABET) for _ in range(_CODE_CHARACTERS))
        return cls(text[:_GROUP], text[_GROUP:])

    @classmethod
    def parse(cls, text: str) -> EnrolmentCode:
        """The code a person typed: any case, any dashes and blanks, I and L for 1, O for 0; WireError otherwise."""
        bare = "".join(c for c in text if c != "-" and not c.isspace())
        if not bare.isascii():
            raise WireError("an enrolment code has no letters but A to Z")
        bare = bare.upper().translate(_ALIASES)
        if len(bare) != _CODE_CHARACTERS or any(c not in ALPHABET for c in bare):
            raise WireError("an enrolment code has 20 letters and digits in four groups of five")
        return cls(bare[:_GROUP], bare[_GROUP:])

    @property
    def text(self) -> str:
        """The code as it is shown: four groups of five."""
        bare = self.code_id + self.secret
        return "-".join(bare[at : at + _GROUP] for at in range(0, _CODE_CHARACTERS, _GROUP))

    def key(self) -> bytes:
        """The 32-byte key of the claim's MACs."""
        return key_schedule.hkdf(self.secret.encode(), salt=b"loa enrolment", info=self.code_id.encode(), size=32)

    def __repr__(self) -> str:
        return f"EnrolmentCode({self.code_id}-…)"


def claim_mac(key: bytes, *, code_id: str, device_key: bytes, nonce: bytes, kind: str) -> bytes:
    """The device's proof that it knows the code."""
    return key_schedule.mac(key, b"loa-claim-v1\0" + code_id.encode() + device_key + nonce + kind.encode())


def answer_mac(
    key: bytes, *, nonce: bytes, endpoint_id: bytes, root_key: bytes, key_list: bytes, placement: bytes
) -> bytes:
    """The server's proof: what it answers was said by one who knows the code."""
    return key_schedule.mac(
        key,
        b"loa-claim-answer-v1\0"
        + nonce
        + endpoint_id
        + root_key
        + len(key_list).to_bytes(4, "big")
        + key_list
        + placement,
    )


def to_base64(data: bytes) -> str:
    """base64url without padding (RFC 4648 §5), as bytes stand in JSON."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64(text: str, *, size: int | None = None, most: int = 65_536) -> bytes:
    """The bytes that `text` writes in the one form `to_base64` gives; WireError otherwise."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise WireError("not base64url") from error
    if to_base64(data) != text:
        raise WireError("not base64url without padding")
    if len(data) > most or (size is not None and len(data) != size):
        raise WireError(f"{len(data)} bytes")
    return data
