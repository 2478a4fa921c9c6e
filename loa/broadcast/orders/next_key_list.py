"""What the next key list says: pure, the same on the core and where the root is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from loa.codecs import signed
from loa.codecs.authority import ALL_RIGHTS, MAX_KEYS, MAX_REVOKED, KeyEntry, KeyList, Right
from loa.codecs.signed import KEY_ID_BYTES
from loa.errors import ConfigError

LIFE_S = 90 * 86_400
"""How long a key list holds. It is issued anew when half of this is over."""
ROTATION_OVERLAP_S = 14 * 86_400
"""How long a key that was rotated out stays good for what it has signed."""
NEEDED = Right.ORDER | Right.EMERGENCY | Right.LINK
"""What a core's order key must be allowed."""
NOTHING = KeyList(version=0, issued_s=0, expires_s=0, keys=())
"""What is held before the first list."""


def next_key_list(
    held: KeyList, public_key: bytes, now_s: int, *, revoke: Iterable[bytes] = (), at_least: int = 1
) -> KeyList:
    """The list after `held` with `public_key` as the order key in use, first of its keys.

    Keys that have not expired stay, but those in `revoke` (ids of keys or of certificates' subjects), which are
    revoked for good. When the key in use is a new one, the others stay for ROTATION_OVERLAP_S at most. The version
    is the next, or `at_least`. ConfigError for what no list can say.
    """
    revoked = _revoked(held, revoke)
    if signed.key_id(public_key) in revoked:
        raise ConfigError(f"the key {signed.key_id(public_key).hex()} has been revoked, and cannot be used again")
    expires_s = now_s + LIFE_S
    others = [
        entry
        for entry in held.keys
        if now_s <= entry.not_after_s
        and entry.public_key != public_key
        and signed.key_id(entry.public_key) not in revoked
    ]
    if all(entry.public_key != public_key for entry in held.keys):
        overlap_end_s = now_s + ROTATION_OVERLAP_S
        others = [replace(entry, not_after_s=min(entry.not_after_s, overlap_end_s)) for entry in others]
    others.sort(key=lambda entry: -entry.not_after_s)
    in_use = KeyEntry(public_key, ALL_RIGHTS, expires_s)
    version = max(held.version + 1, at_least)
    return KeyList(version, now_s, expires_s, (in_use, *others[: MAX_KEYS - 1]), revoked)


def _revoked(held: KeyList, more: Iterable[bytes]) -> tuple[bytes, ...]:
    revoked = tuple(dict.fromkeys((*held.revoked, *more)))
    if any(len(key_id) != KEY_ID_BYTES for key_id in revoked):
        raise ConfigError(f"a key id has {KEY_ID_BYTES} bytes")
    if len(revoked) > MAX_REVOKED:
        raise ConfigError(f"a key list names at most {MAX_REVOKED} revoked keys")
    return revoked


def fault(key_list: KeyList, public_key: bytes, now_s: int) -> str:
    """Why the list does not let this key speak for a core at `now_s`; empty when it does."""
    if now_s > key_list.expires_s:
        return "the key list has expired"
    if signed.key_id(public_key) in key_list.revoked:
        return "the order key has been revoked"
    for entry in key_list.keys:
        if entry.public_key == public_key:
            if now_s > entry.not_after_s:
                return "the order key has expired"
            return "" if entry.rights & NEEDED == NEEDED else "the order key lacks rights"
    return "the order key is not on the key list"
