"""How the keys in a folder stand: what is there, what is in force, and what is to be done next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from loa.broadcast.orders import key_files
from loa.broadcast.orders.key_files import KEY_LIST, NEXT_KEY, ORDER_KEY, ROOT_KEY, ROOT_PUBLIC
from loa.broadcast.orders.next_key_list import fault
from loa.codecs import human_text, signed
from loa.codecs.authority import KeyList, Right
from loa.codecs.signed import KEY_BYTES, SigningKey
from loa.errors import ConfigError

REMIND_S = 14 * 86_400
"""So long before the list ends, that it is time to renew it is urgent."""


class Advice(StrEnum):
    """What is to be done next."""

    NO_KEYS = "no_keys"
    SIGN_REQUEST = "sign_request"
    NEEDS_ROOT_NOW = "needs_root_now"
    RENEW_SOON = "renew_soon"
    RENEW_URGENT = "renew_urgent"
    TAKE_ROOT_AWAY = "take_root_away"
    REQUEST_OPEN = "request_open"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key of the list in force."""

    id: bytes
    rights: Right
    not_after_s: int
    in_use: bool


@dataclass(frozen=True, slots=True)
class KeyReport:
    """All that `loa keys show` tells. What is not there is None or empty.

    `wrong`: why the keys are of no use now. `waiting`: the id of the key that a request asks a list for.
    """

    root_fingerprint: str | None
    root_is_here: bool
    replaced_ms: int | None
    key_list: KeyList | None
    keys: tuple[ListedKey, ...]
    waiting: bytes | None
    wrong: str
    advice: tuple[Advice, ...]


def key_report(folder: Path, now_s: int) -> KeyReport:
    """How the keys in `folder` stand; nothing is changed. ConfigError when a file is damaged or open to others."""
    root_public = _maybe(folder / ROOT_PUBLIC)
    order_key, waiting = _secret(folder / ORDER_KEY), _secret(folder / NEXT_KEY)
    root = _secret(folder / ROOT_KEY)
    if root is not None and root_public is not None and root.public_key != root_public:
        raise ConfigError(f"{folder / ROOT_KEY} is not the key of {folder / ROOT_PUBLIC}")
    key_list = _key_list(folder)
    if (
        key_list is not None
        and waiting is not None
        and any(k.public_key == waiting.public_key for k in key_list.keys)
    ):
        order_key, waiting = waiting, None  # the next opening makes it so
    wrong = ""
    if key_list is not None:
        wrong = fault(key_list, order_key.public_key, now_s) if order_key else "the order key is missing"
    in_use = b"" if order_key is None else order_key.public_key
    return KeyReport(
        root_fingerprint=None if root_public is None else human_text.fingerprint(root_public),
        root_is_here=root is not None,
        replaced_ms=key_files.replaced_ms(folder),
        key_list=key_list,
        keys=tuple(
            ListedKey(signed.key_id(k.public_key), k.rights, k.not_after_s, k.public_key == in_use)
            for k in (key_list.keys if key_list else ())
        ),
        waiting=None if waiting is None else waiting.key_id,
        wrong=wrong,
        advice=_advice(key_list, root is not None, waiting is not None, wrong, now_s),
    )


def _advice(
    key_list: KeyList | None, root_is_here: bool, waiting: bool, wrong: str, now_s: int
) -> tuple[Advice, ...]:
    if key_list is None:
        return (Advice.SIGN_REQUEST if waiting else Advice.NO_KEYS,)
    found: list[Advice] = []
    if root_is_here:
        found.append(Advice.TAKE_ROOT_AWAY)
    elif wrong:
        found.append(Advice.NEEDS_ROOT_NOW)
    elif now_s > key_list.expires_s - REMIND_S:
        found.append(Advice.RENEW_URGENT)
    elif now_s > (key_list.issued_s + key_list.expires_s) // 2:
        found.append(Advice.RENEW_SOON)
    if waiting:
        found.append(Advice.REQUEST_OPEN)
    return tuple(found) or (Advice.NOTHING,)


def _maybe(path: Path) -> bytes | None:
    try:
        return key_files.read_exactly(path, KEY_BYTES)
    except FileNotFoundError:
        return None


def _secret(path: Path) -> SigningKey | None:
    try:
        return SigningKey(key_files.read_secret(path))
    except FileNotFoundError:
        return None


def _key_list(folder: Path) -> KeyList | None:
    if (folder / KEY_LIST).exists():
        return key_files.read_key_list(folder, key_files.read_root_public(folder))[0]
    if (folder / ORDER_KEY).exists():
        raise ConfigError(f"{folder / KEY_LIST} is missing: put it back from the backup")
    return None
