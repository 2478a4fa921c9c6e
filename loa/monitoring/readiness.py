"""Whether a core can take a broadcast on air, and what it lacks: values in, words out."""

from __future__ import annotations

from dataclasses import dataclass

from loa.codecs import signed
from loa.codecs.authority import KeyList

MEDIA_SILENT_S = 15.0
"""A media process that is up and has said nothing for so long is stuck: it is asked every few seconds."""
KEYS_GOOD_S = 86_400
"""Endpoints obey nobody whose keys have run out, so there must be a day left to do something about it."""
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Condition:
    """How the parts of a core are now."""

    going_down: bool
    media_up: bool
    media_silent_s: float  # since its last word
    store_answers: bool
    disk_free_bytes: int | None  # None: the data folder cannot be asked
    disk_least_bytes: int
    keys_left_s: float  # how long endpoints will still obey the order key


def missing(condition: Condition) -> list[str]:
    """What is missing, each in words for whoever has to mend it. Empty: ready. It is told to everybody."""
    words = []
    if condition.going_down:
        words.append("the core is going down")
    if not condition.media_up:
        words.append("the media process is not up")
    elif not media_lives(condition):
        words.append(f"the media process has said nothing for {condition.media_silent_s:.0f} s")
    if not condition.store_answers:
        words.append("the store does not answer")
    if condition.disk_free_bytes is None:
        words.append("the disk of the data folder does not answer")
    elif condition.disk_free_bytes < condition.disk_least_bytes:
        free, least = condition.disk_free_bytes // _MIB, condition.disk_least_bytes // _MIB
        words.append(f"the disk of the data folder has {free} MiB left, and min_free_bytes asks for {least} MiB")
    if condition.keys_left_s <= 0:
        words.append("the order key is no longer good: renew the key list (loa keys renew)")
    elif condition.keys_left_s < KEYS_GOOD_S:
        hours = condition.keys_left_s / 3600
        words.append(f"the keys are good for {hours:.0f} h only: renew the key list (loa keys renew)")
    return words


def media_lives(condition: Condition) -> bool:
    """Whether the media process, or its successor, has given a sign of life lately."""
    return condition.media_silent_s < MEDIA_SILENT_S


def keys_left_s(key_list: KeyList, order_key: bytes, now_s: float) -> float:
    """How long this public key will still be good by the list; 0 when it is not. `now_s`: UTC."""
    if signed.key_id(order_key) in key_list.revoked:
        return 0.0
    ends_s = [entry.not_after_s for entry in key_list.keys if entry.public_key == order_key]
    return max(0.0, min([*ends_s, key_list.expires_s]) - now_s) if ends_s else 0.0
