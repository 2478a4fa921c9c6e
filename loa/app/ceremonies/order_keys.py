"""The order key and its list, with the root key here, or come for a visit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from loa.app.ceremonies.desk import keys_folder, note_ring, now_s, open_ring, say, say_in_force
from loa.broadcast.orders.keyring import KeyRing
from loa.codecs.signed import KEY_ID_BYTES
from loa.config import CoreConfig
from loa.errors import ConfigError


def renew(core: CoreConfig, root: Path | None) -> None:
    """The list anew, with the same order key. ConfigError."""
    _change(core, root, "keys.renew", lambda ring: ring.renew(now_s()))


def rotate(core: CoreConfig, root: Path | None) -> None:
    """A new order key. ConfigError."""
    _change(core, root, "keys.rotate", lambda ring: ring.rotate(now_s()))


def revoke(core: CoreConfig, root: Path | None, key_id: str) -> None:
    """Revoke an order key or a certificate's subject. ConfigError."""
    wanted = parse_key_id(key_id)
    _change(core, root, "keys.revoke", lambda ring: ring.revoke(wanted, now_s()))
    say(f"Đã thu hồi {wanted.hex()}", "revoked")


def _change(core: CoreConfig, root: Path | None, action: str, change: Callable[[KeyRing], None]) -> None:
    ring = open_ring(keys_folder(core), root)
    change(ring)
    note_ring(core, action, ring)
    say_in_force(ring)


def parse_key_id(text: str) -> bytes:
    """The key id that a person typed; ConfigError."""
    try:
        key_id = bytes.fromhex(text)
    except ValueError:
        key_id = b""
    if len(key_id) != KEY_ID_BYTES:
        raise ConfigError(f"{text!r} is not a key id: it has {2 * KEY_ID_BYTES} hex digits, as loa keys show shows")
    return key_id
