"""Enrolment codes and the MACs of a claim (docs/protocol.md, *Enrolment*).

The code is never sent: its first group names it, the other three make the key under which device and server
prove to each other that they know it. So the device learns the root key to pin without trusting the network.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass

from loa.codecs import human_text, key_schedule
from loa.codecs.human_text import ALPHABET, GROUP
from loa.errors import WireError

_CODE_CHARACTERS = 4 * GROUP


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """A one-time code: `code_id` (5 characters, not secret) and `secret` (15 characters, 75 bits)."""

    code_id: str
    secret: str

    @classmethod
    def generate(cls) -> EnrolmentCode:
        """A new code from the system's random source."""
        # Thirty-two characters: the low five bits of each byte choose one, none more often than another.
        text = "".join(ALPHABET[byte & 31] for byte in secrets.token_bytes(_CODE_CHARACTERS))
        return cls(text[:GROUP], text[GROUP:])

    @classmethod
    def parse(cls, text: str) -> EnrolmentCode:
        """The code a person typed: any case, any dashes and blanks, I and L for 1, O for 0; WireError otherwise."""
        try:
            bare = human_text.bare(text)
        except WireError as error:
            raise WireError(f"an enrolment code has digits and letters: {error}") from error
        if len(bare) != _CODE_CHARACTERS:
            raise WireError("an enrolment code has 20 letters and digits in four groups of five")
        return cls(bare[:GROUP], bare[GROUP:])

    @property
    def text(self) -> str:
        """The code as it is shown: four groups of five."""
        return human_text.grouped(self.code_id + self.secret)

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
