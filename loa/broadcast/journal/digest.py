"""The end of the audit chain, once a day, in a file of its own: against it shows what was cut off the log later.

    {"day":"2026-11-25","entries":12,"hash":"…","key":"…","made_ms":…,"seq":123,"signature":"…"}

A digest says how the chain stood when it was made, once its day was over: the number and the hash of the newest
entry, and how many entries have come since the digest before. It is signed by the core's order key (`key`: its
public half), Ed25519 over "loa-audit-digest-v1\\0" and the canonical JSON of the other fields. It is worth most
where nobody who can change the log can change it too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from loa.broadcast.journal.chain import Link, entry_text
from loa.codecs.signed import KEY_BYTES, SIGNATURE_BYTES, SigningKey, check_signature
from loa.errors import WireError
from loa.timing.local_days import day_begins_ms, day_of

MAX_DIGEST_BYTES = 4096
HASH_BYTES = 32
_DOMAIN = b"loa-audit-digest-v1\0"
_FIELDS = {"day", "entries", "hash", "key", "made_ms", "seq", "signature"}
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Digest:
    """The chain's end after `day`. `key`: the public half of what signed it."""

    day: date
    seq: int
    hash: bytes
    entries: int
    made_ms: int
    key: bytes = b""

    def seal(self, signer: SigningKey) -> bytes:
        """The file, signed."""
        fields = self._fields(signer.public_key)
        signature = signer.sign(_DOMAIN + entry_text(fields).encode())
        return entry_text({**fields, "signature": signature.hex()}).encode() + b"\n"

    def _fields(self, public_key: bytes) -> dict[str, Any]:
        return {
            "day": self.day.isoformat(),
            "entries": self.entries,
            "hash": self.hash.hex(),
            "key": public_key.hex(),
            "made_ms": self.made_ms,
            "seq": self.seq,
        }

    @classmethod
    def open(cls, data: bytes) -> Digest:
        """The digest in a file, whose signature holds by its own `key`; WireError or AuthorityError otherwise.

        Whether that key is one of the core's is for the caller to ask.
        """
        if len(data) > MAX_DIGEST_BYTES:
            raise WireError("a digest that is too large")
        try:
            said = json.loads(data.decode("utf-8"))
            if not isinstance(said, dict) or set(said) != _FIELDS:
                raise ValueError("fields")
            made = cls(
                day=date.fromisoformat(said["day"]),
                seq=_count(said["seq"], least=1),
                hash=_octets(said["hash"], HASH_BYTES),
                entries=_count(said["entries"]),
                made_ms=_count(said["made_ms"]),
                key=_octets(said["key"], KEY_BYTES),
            )
            signature = _octets(said["signature"], SIGNATURE_BYTES)
        except (ValueError, TypeError, RecursionError) as error:
            raise WireError("not a digest of the audit log") from error
        check_signature(made.key, signature, _DOMAIN + entry_text(made._fields(made.key)).encode())
        return made

    def contradicts(self, link: Link | None) -> bool:
        """Whether the entry that now stands under its number (None: there is none) is not the one it tells of."""
        return link is None or link.seq != self.seq or link.hash != self.hash


def _count(value: Any, least: int = 0) -> int:
    if type(value) is not int or not least <= value < 1 << 63:
        raise ValueError("a number")
    return value


def _octets(value: Any, size: int) -> bytes:
    data = bytes.fromhex(value)
    if len(data) != size or data.hex() != value:
        raise ValueError("bytes in hexadecimal")
    return data


def due_day(newest: date | None, now_ms: int) -> date | None:
    """The day of which there should be a digest now, after the newest one there is; None when none is missing.

    Days on which no core ran have none: nothing was written then. A clock that was set back makes none either.
    """
    yesterday = day_of(now_ms) - _DAY
    return yesterday if newest is None or newest < yesterday else None


def next_look_ms(now_ms: int) -> int:
    """When the day is over."""
    return day_begins_ms(day_of(now_ms) + _DAY)
