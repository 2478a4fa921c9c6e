"""The core's keys of authority, in a folder (docs/protocol.md, *Authority*; the files: `key_files`).

What changes them takes the folder's lock, so that a running core and a ceremony on the command line can share it.
Files are replaced whole and in an order that leaves a usable folder wherever a crash falls: the new order key comes
first, under a name of its own; then the list that names it, and from then on it is the order key.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from loa.broadcast.orders import key_files
from loa.broadcast.orders.key_files import KEY_LIST, LOCK_WAIT_S, NEXT_KEY, ORDER_KEY, ROOT_KEY, ROOT_PUBLIC
from loa.broadcast.orders.next_key_list import NOTHING, fault, next_key_list
from loa.codecs import signed
from loa.codecs.authority import KeyList
from loa.codecs.signed import SigningKey
from loa.errors import ConfigError


class KeyRing:
    """The order key in use and the key list that vouches for it. Made by `open`."""

    def __init__(
        self, folder: Path, root_public_key: bytes, order_key: SigningKey, key_list: KeyList, envelope: bytes
    ) -> None:
        self._folder = folder
        self._visiting_root: SigningKey | None = None
        self._seen: key_files.Identity = ()
        self.root_public_key = root_public_key
        self.order_key = order_key
        self.key_list = key_list
        self.key_list_envelope = envelope

    @classmethod
    def open(cls, folder: Path, now_s: int, *, root: SigningKey | None = None, create: bool = True) -> KeyRing:
        """The keys in `folder`; an empty folder gets new ones if `create`. `now_s`: UTC.

        `root`: the root key, when it is not to lie in the folder. ConfigError when a key file is missing, damaged
        or readable by others, when the files do not belong together, or when the list has expired and there is no
        root to renew it. FolderBusy while a ceremony goes on there.
        """
        folder = Path(folder)
        key_files.finish_replacing(folder)
        if create:
            key_files.make_folder(folder)
        with key_files.alone(folder, LOCK_WAIT_S):
            ring = cls._load(folder, now_s, root, create=create)
            ring._renew_in_time(now_s)
        return ring

    @classmethod
    def _load(cls, folder: Path, now_s: int, visiting: SigningKey | None, *, create: bool) -> KeyRing:
        list_path, order_path, public_path = folder / KEY_LIST, folder / ORDER_KEY, folder / ROOT_PUBLIC
        key_files.finish_removing(folder)
        root = visiting or key_files.folder_root(folder)
        if not list_path.exists():
            # The list is written before the order key: an order key without a list is a list that got lost,
            # and starting again at version 1 would be refused by every device.
            if order_path.exists():
                raise ConfigError(f"{list_path} is missing: put it back from the backup")
            if root is None and (public_path.exists() or (folder / NEXT_KEY).exists()):
                raise ConfigError(
                    f"{folder} waits for its key list: have the request signed where the root key is, "
                    "then `loa keys install`"
                )
            if not create:
                raise ConfigError(f"{folder} holds no keys")
            return cls._create(folder, visiting, root, now_s)
        root_public = key_files.read_root_public(folder)
        if root is not None and root.public_key != root_public:
            which = "the root key that was given" if visiting else folder / ROOT_KEY
            raise ConfigError(f"{which} is not the key of {public_path}")
        key_list, envelope = key_files.read_key_list(folder, root_public)
        finish_rotation(folder, key_list)
        if order_path.exists():
            ring = cls(folder, root_public, SigningKey(key_files.read_secret(order_path)), key_list, envelope)
            ring._note(visiting)
            return ring
        if root is None:
            raise ConfigError(f"{order_path} is missing, and {ROOT_KEY} is not there to replace it")
        ring = cls(folder, root_public, SigningKey.generate(), key_list, envelope)
        ring._note(visiting)
        ring._install(root, ring.order_key, now_s)
        return ring

    @classmethod
    def _create(cls, folder: Path, visiting: SigningKey | None, root: SigningKey | None, now_s: int) -> KeyRing:
        if root is None:
            root = SigningKey.generate()
            key_files.write(folder / ROOT_KEY, root.seed)
        key_files.write(folder / ROOT_PUBLIC, root.public_key, mode=0o644)
        ring = cls(folder, root.public_key, SigningKey.generate(), NOTHING, b"")
        ring._note(visiting)
        ring._install(root, ring.order_key, now_s)
        return ring

    def refresh(self, now_s: int) -> bool:
        """Take up what a ceremony has changed in the folder, and issue the list anew when less than half of its
        life is left and root.key is there; whether the keys in force are others now.

        Cheap when nothing is to be done: to be called every few seconds. ConfigError when the list, or the order
        key by it, is no longer good and there is no root.key, and once when what now lies in the folder cannot be
        taken; the keys in force stay. FolderBusy while a ceremony goes on.
        """
        if key_files.identity(self._folder) == self._seen and not self._due(now_s):
            return False
        try:
            with key_files.alone(self._folder):
                changed = self._take_up(now_s)
                return self._renew_in_time(now_s) or changed
        except ConfigError:
            self._note(self._visiting_root)
            raise

    def renew(self, now_s: int) -> None:
        """The list anew, with the same order key, before it is due. ConfigError without the root."""
        with key_files.alone(self._folder, LOCK_WAIT_S):
            self._take_up(now_s)
            self._install(self._root(), self.order_key, now_s)

    def rotate(self, now_s: int) -> None:
        """A new order key from now on; the old one stays listed for a while. ConfigError without the root."""
        with key_files.alone(self._folder, LOCK_WAIT_S):
            self._take_up(now_s)
            self._install(self._root(), SigningKey.generate(), now_s)

    def revoke(self, key_id: bytes, now_s: int) -> None:
        """The key with this id (an order key, or a certificate's subject) is good for nothing from now on.

        Revoking the order key in use puts a new one in its place. ConfigError without the root, or when the
        list can name no more keys.
        """
        with key_files.alone(self._folder, LOCK_WAIT_S):
            self._take_up(now_s)
            key = SigningKey.generate() if key_id == self.order_key.key_id else self.order_key
            self._install(self._root(), key, now_s, revoke=[key_id])

    def revoke_all(self, now_s: int, *, at_least: int = 1) -> list[bytes]:
        """A new order key, and every other that was ever listed and not expired revoked: the ids of those.

        `at_least`: the version of the new list, where others may have been issued that are not known here.
        """
        with key_files.alone(self._folder, LOCK_WAIT_S):
            self._take_up(now_s)
            ids = all_key_ids(self.key_list, self.order_key.key_id)
            self._install(self._root(), SigningKey.generate(), now_s, revoke=ids, at_least=at_least)
        return ids

    def _root(self) -> SigningKey:
        root = self._visiting_root or key_files.folder_root(self._folder)
        if root is None:
            raise ConfigError(f"{self._folder / ROOT_KEY} is not there: put it back for this, then take it away")
        if root.public_key != self.root_public_key:
            raise ConfigError(f"{self._folder / ROOT_KEY} is another root's key")
        return root

    def _fault(self, now_s: int) -> str:
        return fault(self.key_list, self.order_key.public_key, now_s)

    def _due(self, now_s: int) -> bool:
        """Whether the list must be issued anew, or should be and can."""
        if self._fault(now_s):
            return True
        half_s = (self.key_list.expires_s - self.key_list.issued_s) // 2
        has_root = self._visiting_root is not None or (self._folder / ROOT_KEY).exists()
        return has_root and now_s > self.key_list.issued_s + half_s

    def _renew_in_time(self, now_s: int) -> bool:
        if not self._due(now_s):
            return False
        wrong = self._fault(now_s)
        root = self._visiting_root or key_files.folder_root(self._folder)
        if root is None:
            raise ConfigError(f"{wrong}, and {self._folder / ROOT_KEY} is not there to issue a new key list")
        revoked = self.order_key.key_id in self.key_list.revoked
        self._install(self._root(), SigningKey.generate() if revoked else self.order_key, now_s)
        return True

    def _take_up(self, now_s: int) -> bool:
        """Take the keys that lie in the folder now, if they are others and may be; whether they were."""
        if key_files.identity(self._folder) == self._seen:
            return False
        found = self._load(self._folder, now_s, self._visiting_root, create=False)
        if found.root_public_key != self.root_public_key:
            raise ConfigError(f"the root key of {self._folder} was replaced: start the core again")
        if found.key_list.version < self.key_list.version:
            raise ConfigError(f"the key list in {self._folder} goes back to version {found.key_list.version}")
        if found.key_list.version == self.key_list.version and found.key_list != self.key_list:
            raise ConfigError(f"the key list in {self._folder} is another one under the same version")
        if wrong := found._fault(now_s):
            raise ConfigError(f"the keys in {self._folder} are not taken up: {wrong}")
        changed = (found.key_list, found.order_key.seed) != (self.key_list, self.order_key.seed)
        self._set(found.order_key, found.key_list, found.key_list_envelope)
        self._note(self._visiting_root)
        return changed

    def _note(self, visiting: SigningKey | None) -> None:
        self._visiting_root = visiting
        self._seen = key_files.identity(self._folder)

    def _set(self, order_key: SigningKey, key_list: KeyList, envelope: bytes) -> None:
        self.order_key, self.key_list, self.key_list_envelope = order_key, key_list, envelope

    def _install(
        self,
        root: SigningKey,
        key: SigningKey,
        now_s: int,
        *,
        revoke: Iterable[bytes] = (),
        at_least: int = 1,
    ) -> None:
        """A new list with `key` as the order key; on disk, then here."""
        key_list = next_key_list(self.key_list, key.public_key, now_s, revoke=revoke, at_least=at_least)
        envelope = key_list.seal(root)
        install(self._folder, key, envelope)
        self._set(key, key_list, envelope)
        self._note(self._visiting_root)


def install(folder: Path, key: SigningKey, envelope: bytes) -> None:
    """Write a list down and the order key it names first, so that a crash leaves the old two or the new two.

    For the holder of the folder's lock. ConfigError.
    """
    order_path = folder / ORDER_KEY
    fresh = not order_path.exists() or key_files.read_secret(order_path) != key.seed
    if fresh:
        key_files.write(folder / NEXT_KEY, key.seed)
    key_files.write(folder / KEY_LIST, envelope, mode=0o644)
    if fresh:
        key_files.take_next_key(folder)


def finish_rotation(folder: Path, key_list: KeyList) -> None:
    """order.key.next becomes order.key when the list names it: a crash came between the two.

    For the holder of the folder's lock. ConfigError.
    """
    path = folder / NEXT_KEY
    if not path.exists():
        return
    waiting = SigningKey(key_files.read_secret(path)).public_key
    named = any(entry.public_key == waiting for entry in key_list.keys)
    if named and signed.key_id(waiting) not in key_list.revoked:
        key_files.take_next_key(folder)


def all_key_ids(key_list: KeyList, in_use: bytes) -> list[bytes]:
    """The ids of all keys on a list, and of the one in use."""
    return list(dict.fromkeys([in_use, *(signed.key_id(entry.public_key) for entry in key_list.keys)]))
