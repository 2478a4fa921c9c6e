"""The audit log as a chain: each entry's hash covers its text and the hash before it.

An entry is canonical JSON (UTF-8, sorted keys, no spaces). hash = SHA-256(previous hash ‖ entry), from 32 zero
bytes on. Anybody with a SHA-256 can verify an export; what was cut off at its end shows by a digest that was kept
elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from loa.errors import AuditError

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Link:
    """One entry of the chain, at its place. `seq` counts from 1 without a gap."""

    seq: int
    entry: str
    hash: bytes


def entry_text(fields: Mapping[str, Any]) -> str:
    """The canonical text of an entry; ValueError for what JSON cannot say."""
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def next_hash(before: bytes, entry: str) -> bytes:
    """The hash of `entry` after an entry whose hash is `before`."""
    return hashlib.sha256(before + entry.encode("utf-8", "surrogatepass")).digest()


def verify(links: Iterable[Link], before: Link | None = None) -> Link | None:
    """The last of `links`, which follow `before` (None: the beginning), when all of them hold.

    AuditError names the first entry that is missing or was changed.
    """
    last = before
    for link in links:
        expected = 1 if last is None else last.seq + 1
        if link.seq != expected:
            raise AuditError(f"entry {expected} is missing: entry {link.seq} stands in its place")
        if next_hash(GENESIS if last is None else last.hash, link.entry) != link.hash:
            raise AuditError(f"entry {link.seq} is not what was written, or the one before it was another")
        last = link
    return last
