"""The core's keys of authority, in a folder (docs/protocol.md, *Authority*).

    root.key    32 bytes, mode 0600. Meant to be taken away and kept offline; put back to renew, rotate, revoke.
    root.pub    32 bytes. What devices pin.
    order.key   32 bytes, mode 0600. Signs what the core says every day.
    key_list    the envelope of the newest key list.

Files are replaced whole and in an order that leaves a usable folder wherever a crash falls.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from loa.codecs import signed
from loa.codecs.authority import (
    ALL_RIGHTS,
    MAX_KEYS,
    MAX_REVOKED,
    KeyEntry,
    KeyList,
    Right,
    open_key_list,
)
from loa.codecs.signed import KEY_BYTES, KEY_ID_BYTES, SigningKey
from loa.durable import replace_file
from loa.errors import AuthorityError, ConfigError, WireError

LIFE_S = 90 * 86_400
"""How long a key list holds. It is issued anew when half of this is over."""
ROTATION_OVERLAP_S = 14 * 86_400
"""How long a key that was rotated out stays good for what it has signed."""
_NEEDED = Right.ORDER | Right.EMERGENCY | Right.LINK


class KeyRing:
    """The order key in use and the key list that vouches for it. Made by `open`."""

    def __init__(
        self, folder: Path, root_public_key: bytes, order_key: SigningKey, key_list: KeyList, envelope: bytes
    ) -> None:
        self._folder = folder
        self.root_public_key = root_public_key
        self.order_key = order_key
        self.key_list = key_list
        self.key_list_envelope = envelope

    @classmethod
    def open(cls, folder: Path, now_s: int) -> KeyRing:
        """The keys in `folder`; an empty folder gets new ones. `now_s`: UTC.

        ConfigError when a key file is missing, damaged or readable by others, when the files do not belong
        together, or when the list has expired and root.key is not there to renew it.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            ring = cls._load(folder, now_s)
        except OSError as error:
            raise ConfigError(f"the keys in {folder} cannot be used: {error}") from error
        ring.refresh(now_s)
        return ring

    @classmethod
    def _load(cls, folder: Path, now_s: int) -> KeyRing:
        list_path, order_path, public_path = folder / "key_list", folder / "order.key", folder / "root.pub"
        root = _read_root(folder)
        if not list_path.exists():
            # The list is written before the order key: an order key without a list is a list that got lost,
            # and starting again at version 1 would be refused by every device.
            if order_path.exists():
                raise ConfigError(f"{list_path} is missing: put it back from the backup")
            if root is None and public_path.exists():
                raise ConfigError(f"{folder} holds no key list, and no root.key to make one")
            return cls._create(folder, root, now_s)
        if not public_path.exists():
            raise ConfigError(f"{public_path} is missing: put it back from the backup")
        root_public = _read_exactly(public_path, KEY_BYTES)
        if root is not None and root.public_key != root_public:
            raise ConfigError(f"{folder / 'root.key'} is not the key of {public_path}")
        envelope = list_path.read_bytes()
        try:
            key_list = open_key_list(envelope, root_public)
        except (WireError, AuthorityError) as error:
            raise ConfigError(f"{list_path} is no key list of this root: {error}") from error
        if order_path.exists():
            order_key = SigningKey(_read_secret(order_path))
            return cls(folder, root_public, order_key, key_list, envelope)
        if root is None:
            raise ConfigError(f"{order_path} is missing, and root.key is not there to replace it")
        ring = cls(folder, root_public, SigningKey.generate(), key_list, envelope)
        ring._install(root, ring.order_key, _without(key_list.keys, now_s), key_list.revoked, now_s)
        return ring

    @classmethod
    def _create(cls, folder: Path, root: SigningKey | None, now_s: int) -> KeyRing:
        if root is None:
            root = SigningKey.generate()
            _write(folder / "root.key", root.seed, mode=0o600)
        _write(folder / "root.pub", root.public_key, mode=0o644)
        nothing = KeyList(version=0, issued_s=now_s, expires_s=now_s, keys=())
        ring = cls(folder, root.public_key, SigningKey.generate(), nothing, b"")
        ring._install(root, ring.order_key, (), (), now_s)
        return ring

    def refresh(self, now_s: int) -> bool:
        """Issue the list anew when less than half of its life is left and root.key is there; whether it was.

        ConfigError when the list, or the order key by it, is no longer good and there is no root.key. To be
        called once a day or more often.
        """
        root = _read_root(self._folder)
        fault = self._fault(now_s)
        half_s = (self.key_list.expires_s - self.key_list.issued_s) // 2
        if root is None:
            if fault:
                raise ConfigError(f"{fault}, and {self._folder / 'root.key'} is not there to issue a new key list")
            return False
        if not fault and now_s <= self.key_list.issued_s + half_s:
            return False
        key = self.order_key
        if key.key_id in self.key_list.revoked:
            key = SigningKey.generate()
        self._install(root, key, _without(self.key_list.keys, now_s), self.key_list.revoked, now_s)
        return True

    def rotate(self, now_s: int) -> None:
        """A new order key from now on; the old one stays listed for a while. ConfigError without root.key."""
        root = self._root()
        kept = tuple(
            replace(entry, not_after_s=min(entry.not_after_s, now_s + ROTATION_OVERLAP_S))
            for entry in _without(self.key_list.keys, now_s)
        )
        self._install(root, SigningKey.generate(), kept, self.key_list.revoked, now_s)

    def revoke(self, key_id: bytes, now_s: int) -> None:
        """The key with this id (an order key, or a certificate's subject) is good for nothing from now on.

        Revoking the order key in use puts a new one in its place. ConfigError without root.key, or when the
        list can name no more keys.
        """
        if len(key_id) != KEY_ID_BYTES:
            raise ConfigError(f"a key id has {KEY_ID_BYTES} bytes")
        root = self._root()
        revoked = self.key_list.revoked
        if key_id not in revoked:
            revoked = (*revoked, key_id)
        if len(revoked) > MAX_REVOKED:
            raise ConfigError(f"a key list names at most {MAX_REVOKED} revoked keys")
        kept = tuple(e for e in _without(self.key_list.keys, now_s) if signed.key_id(e.public_key) != key_id)
        key = SigningKey.generate() if key_id == self.order_key.key_id else self.order_key
        self._install(root, key, kept, revoked, now_s)

    def _root(self) -> SigningKey:
        root = _read_root(self._folder)
        if root is None:
            raise ConfigError(f"{self._folder / 'root.key'} is not there: put it back for this, then take it away")
        if root.public_key != self.root_public_key:
            raise ConfigError(f"{self._folder / 'root.key'} is another root's key")
        return root

    def _fault(self, now_s: int) -> str:
        """Why this list no longer lets the core speak; empty when it does."""
        if now_s > self.key_list.expires_s:
            return "the key list has expired"
        if self.order_key.key_id in self.key_list.revoked:
            return "the order key has been revoked"
        for entry in self.key_list.keys:
            if entry.public_key == self.order_key.public_key:
                if now_s > entry.not_after_s:
                    return "the order key has expired"
                return "" if entry.rights & _NEEDED == _NEEDED else "the order key lacks rights"
        return "the order key is not on the key list"

    def _install(
        self,
        root: SigningKey,
        key: SigningKey,
        others: tuple[KeyEntry, ...],
        revoked: tuple[bytes, ...],
        now_s: int,
    ) -> None:
        """A new list with `key` first and `others` after it, and `key` as the order key; on disk, then here."""
        expires_s = now_s + LIFE_S
        entry = KeyEntry(key.public_key, ALL_RIGHTS, expires_s)
        older = sorted((e for e in others if e.public_key != key.public_key), key=lambda e: -e.not_after_s)
        key_list = KeyList(self.key_list.version + 1, now_s, expires_s, (entry, *older[: MAX_KEYS - 1]), revoked)
        envelope = key_list.seal(root)
        # A crash between the two leaves a list with a key that nobody has, beside the old one that still works.
        _write(self._folder / "key_list", envelope, mode=0o644)
        _write(self._folder / "order.key", key.seed, mode=0o600)
        self.order_key, self.key_list, self.key_list_envelope = key, key_list, envelope


def _without(keys: tuple[KeyEntry, ...], now_s: int) -> tuple[KeyEntry, ...]:
    """The entries that have not expired."""
    return tuple(entry for entry in keys if now_s <= entry.not_after_s)


def _read_root(folder: Path) -> SigningKey | None:
    path = folder / "root.key"
    return SigningKey(_read_secret(path)) if path.exists() else None


def _read_secret(path: Path) -> bytes:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(f"{path} can be read by others (mode {mode:04o}): make it 0600")
    return _read_exactly(path, KEY_BYTES)


def _read_exactly(path: Path, size: int) -> bytes:
    data = path.read_bytes()
    if len(data) != size:
        raise ConfigError(f"{path} has {len(data)} bytes where {size} belong")
    return data


def _write(path: Path, data: bytes, *, mode: int) -> None:
    try:
        replace_file(path, data, mode)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}") from error
