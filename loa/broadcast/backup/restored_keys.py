"""The keys of a core that was restored: never those that the lost one may still sign with, unless somebody vouches.

An old copy must not let two cores give orders. So the restored core gets a new order key, and every key that the
backup knew is revoked, on a list whose version is beyond any that was issued after the backup.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from loa.broadcast.orders import key_files
from loa.broadcast.orders.keyring import KeyRing
from loa.codecs.signed import SigningKey

VERSION_JUMP = 1_000


class KeysAre(StrEnum):
    """How the keys of a restored core stand."""

    NEW = "new"
    """A new order key is in force, and the old ones are revoked."""
    KEPT = "kept"
    """As in the backup: somebody vouches that the lost core never comes back."""
    NEEDED = "needed"
    """There is no order key yet: the root must sign a list for a new one before the core starts."""
    NONE = "none"
    """The backup holds no keys: the core makes its own at its first start."""


def keys_to_stage(names: list[str], *, root: SigningKey | None, keep: bool) -> list[str]:
    """Which of the backup's key files are put into the restored folder."""
    if keep or root is not None or key_files.ROOT_KEY in names:
        return names
    return [name for name in names if name not in (key_files.ORDER_KEY, key_files.NEXT_KEY)]


def renew_keys(folder: Path, now_s: int, *, root: SigningKey | None, keep: bool) -> KeysAre:
    """Leave the keys in the staged `folder` as a restored core may have them.

    ConfigError when they do not belong together, or `root` is another root's key.
    """
    if not (folder / key_files.KEY_LIST).exists():
        return KeysAre.NONE
    if root is None and not (folder / key_files.ROOT_KEY).exists():
        return KeysAre.KEPT if keep else KeysAre.NEEDED
    ring = KeyRing.open(folder, now_s, root=root, create=False)
    if keep:
        return KeysAre.KEPT
    ring.revoke_all(now_s, at_least=ring.key_list.version + VERSION_JUMP)
    return KeysAre.NEW
