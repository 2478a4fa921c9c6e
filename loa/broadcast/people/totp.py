"""The second factor: time-based codes (RFC 6238; six digits, 30 s, SHA-1, as every authenticator app speaks) and
recovery codes for the day on which the telephone is lost. Pure: the time is handed in, what was used is
remembered by others.
"""

from __future__ import annotations

import hashlib
import hmac
import re

import pyotp

from loa.broadcast.people.readable_secret import readable_secret

PERIOD_S = 30
WINDOW = 1
"""Codes of so many periods before and after now are taken: telephones' clocks are not exact."""
RECOVERY_CODES = 10

_ISSUER = "Loa"
_CODE = re.compile("[0-9]{6}", re.ASCII)


def new_secret() -> str:
    """A new secret, in Base32."""
    return pyotp.random_base32()


def provisioning_uri(secret: str, login: str) -> str:
    """What an authenticator app reads from a QR code (otpauth://…)."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=_ISSUER)


def matching_counter(secret: str, code: str, now_ms: int, last_counter: int | None) -> int | None:
    """The counter of the period whose code this is, if it is near now and after `last_counter`, the last one used.

    A code is good once, and none before it is good afterwards. None when it is no good.
    """
    digits = code.replace(" ", "")
    now = now_ms // 1000 // PERIOD_S
    wanted = pyotp.HOTP(secret)
    found = None
    for counter in range(max(0, now - WINDOW), now + WINDOW + 1):
        # All are looked at, so that the time tells nothing.
        same = hmac.compare_digest(wanted.at(counter), digits) if _CODE.fullmatch(digits) else False
        if same and found is None and (last_counter is None or counter > last_counter):
            found = counter
    return found


def new_recovery_codes() -> list[str]:
    """New codes of 79 bits; each is good once."""
    return [readable_secret(4, 4) for _ in range(RECOVERY_CODES)]


def recovery_hash(user_id: bytes, code: str) -> bytes:
    """What is kept of a user's recovery code. Case, spaces and dashes do not matter."""
    text = re.sub(r"[\s-]", "", code).lower()
    return hashlib.sha256(user_id + text.encode("utf-8", "surrogatepass")).digest()
