"""A key list without the root key ever being on the core: a request goes to where it is, and a grant comes back.

    request   "LOAKEYRQ" | signature 64 | body
    grant     "LOAKEYGR" | root public key 32 | key list envelope

A request is signed by the key it asks for, over "loa-key-request-v1\\0" | body. Its body is canonical:
`{1: public key 32, 2: asked UTC s, 3: [key ids to revoke], 4: key list envelope held, or empty}`. Who made it
is proved only by the fingerprint, when the core's own keeper reads it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loa.broadcast.orders import key_files, keyring
from loa.broadcast.orders.key_files import (
    KEY_LIST,
    LOCK_WAIT_S,
    MAX_LIST_BYTES,
    NEXT_KEY,
    ORDER_KEY,
    ROOT_PUBLIC,
)
from loa.broadcast.orders.next_key_list import NOTHING, fault, next_key_list
from loa.codecs import canonical, human_text, signed
from loa.codecs.authority import MAX_REVOKED, KeyList, open_key_list
from loa.codecs.canonical import Fields
from loa.codecs.signed import KEY_BYTES, KEY_ID_BYTES, SIGNATURE_BYTES, SigningKey, check_signature
from loa.errors import AuthorityError, ConfigError, WireError

MAX_REQUEST_BYTES = 32_768
MAX_GRANT_BYTES = 8 + KEY_BYTES + MAX_LIST_BYTES
CLOCKS_DIFFER_S = 7 * 86_400
"""How old a request may be, and how far two machines' clocks may be apart, before a person must look."""
_REQUEST_MAGIC = b"LOAKEYRQ"
_GRANT_MAGIC = b"LOAKEYGR"
_DOMAIN = b"loa-key-request-v1\0"


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What a core asks of its root: a list with `public_key` as its order key, and `revoke` revoked.

    `held`: the envelope of the list the core has, or nothing.
    """

    public_key: bytes
    asked_s: int
    revoke: tuple[bytes, ...]
    held: bytes

    def seal(self, key: SigningKey) -> bytes:
        """The request file, signed by the key it asks for."""
        body = canonical.encode({1: self.public_key, 2: self.asked_s, 3: list(self.revoke), 4: self.held})
        return _REQUEST_MAGIC + key.sign(_DOMAIN + body) + body

    @classmethod
    def open(cls, data: bytes) -> KeyRequest:
        """The request in a file; WireError or AuthorityError when there is none that holds."""
        head = len(_REQUEST_MAGIC) + SIGNATURE_BYTES
        if not data.startswith(_REQUEST_MAGIC) or not head < len(data) <= MAX_REQUEST_BYTES:
            raise WireError("not a request for a key list")
        signature, body = data[len(_REQUEST_MAGIC) : head], data[head:]
        f = Fields(canonical.decode(body, max_bytes=MAX_REQUEST_BYTES), "key request")
        made = cls(
            public_key=f.octets(1, size=KEY_BYTES),
            asked_s=f.uint(2),
            revoke=f.byte_strings(3, size=KEY_ID_BYTES, most=MAX_REVOKED),
            held=f.octets(4, most=MAX_LIST_BYTES),
        )
        f.done()
        check_signature(made.public_key, signature, _DOMAIN + body)
        return made


@dataclass(frozen=True, slots=True)
class Grant:
    """A signed key list on its way to a core, with the root key it is to be verified by."""

    root_public_key: bytes
    envelope: bytes

    def encode(self) -> bytes:
        """The grant file."""
        return _GRANT_MAGIC + self.root_public_key + self.envelope

    @classmethod
    def open(cls, data: bytes) -> tuple[Grant, KeyList]:
        """The grant in a file, and its list; WireError or AuthorityError when there is none that holds."""
        head = len(_GRANT_MAGIC) + KEY_BYTES
        if not data.startswith(_GRANT_MAGIC) or not head < len(data) <= MAX_GRANT_BYTES:
            raise WireError("not a granted key list")
        made = cls(data[len(_GRANT_MAGIC) : head], data[head:])
        return made, open_key_list(made.envelope, made.root_public_key)


# --- on the core ----------------------------------------------------------------------------------------------


def make_request(
    folder: Path, now_s: int, *, renew: bool = False, revoke: Iterable[bytes] = (), revoke_all: bool = False
) -> bytes:
    """A request file for the core whose keys are, or shall be, in `folder`.

    It asks for a new order key, which waits in the folder from now on, or with `renew` for the one in use. Asked
    again, the same key waits, so that a request that is on its way stays good. `revoke_all`: every key listed now.
    ConfigError.
    """
    key_files.make_folder(folder)
    with key_files.alone(folder, LOCK_WAIT_S):
        held = _held_by_core(folder)
        key_list, envelope = (NOTHING, b"") if held is None else held
        in_use = _key(folder, ORDER_KEY)
        if renew:
            if in_use is None:
                raise ConfigError(f"{folder} holds no order key that a list could be renewed for")
            key = in_use
        else:
            waiting = _key(folder, NEXT_KEY)
            key = waiting or SigningKey.generate()
            if revoke_all or key.key_id in key_list.revoked:
                key = SigningKey.generate()  # what has waited here may be known to others
            if key is not waiting:
                key_files.write(folder / NEXT_KEY, key.seed)
        ids = tuple(revoke)
        if revoke_all:
            ids += tuple(keyring.all_key_ids(key_list, in_use.key_id) if in_use else ())
        next_key_list(key_list, key.public_key, now_s, revoke=ids)  # what no list can say is said here
        return KeyRequest(key.public_key, now_s, tuple(dict.fromkeys(ids)), envelope).seal(key)


def install_grant(folder: Path, data: bytes, now_s: int, *, root_fingerprint: str | None = None) -> KeyList:
    """Take a granted list into the core's folder; the list in force now.

    `root_fingerprint`: of the root that a core without one is to believe from now on, as a person typed it. A grant
    that is in force already changes nothing. ConfigError when the grant is not for this core, of another root, of a
    lower version, forgets a revocation, or does not hold now.
    """
    grant, key_list = open_grant(data)
    key_files.make_folder(folder)
    with key_files.alone(folder, LOCK_WAIT_S):
        new_root = _must_be_our_root(folder, grant.root_public_key, root_fingerprint)
        held = _held_by_core(folder)
        if held is not None and held[1] == grant.envelope:
            keyring.finish_rotation(folder, key_list)
            return key_list
        _must_follow(key_list, NOTHING if held is None else held[0], now_s)
        key = _wanted(folder, key_list, now_s)
        if new_root:
            key_files.write(folder / ROOT_PUBLIC, grant.root_public_key, mode=0o644)
        keyring.install(folder, key, grant.envelope)
    return key_list


def open_grant(data: bytes) -> tuple[Grant, KeyList]:
    """The grant in a file, and its list; ConfigError."""
    try:
        return Grant.open(data)
    except (WireError, AuthorityError) as error:
        raise ConfigError(f"the granted key list does not hold: {error}") from error


def _must_be_our_root(folder: Path, public_key: bytes, typed: str | None) -> bool:
    """ConfigError when the folder has another root; whether it has none yet."""
    path = folder / ROOT_PUBLIC
    shown = human_text.fingerprint(public_key)
    if path.exists():
        ours = key_files.read_exactly(path, KEY_BYTES)
        if ours != public_key:
            raise ConfigError(f"the list is of the root {shown}; this core's is {human_text.fingerprint(ours)}")
        return False
    if typed is None or not human_text.same_fingerprint(typed, shown):
        raise ConfigError(f"the list is of the root {shown}: confirm it by its fingerprint before it is believed")
    return True


def _must_follow(key_list: KeyList, held: KeyList, now_s: int) -> None:
    if key_list.version <= held.version:
        raise ConfigError(f"the list has version {key_list.version}, and {held.version} is in force: it is too old")
    if forgotten := set(held.revoked) - set(key_list.revoked):
        raise ConfigError(f"the list forgets that {min(forgotten).hex()} has been revoked")
    if key_list.issued_s > now_s + CLOCKS_DIFFER_S:
        raise ConfigError("the list was issued in the future: look at the clocks of both machines")


def _wanted(folder: Path, key_list: KeyList, now_s: int) -> SigningKey:
    """The key of this folder that the list makes the order key: the first it names; ConfigError."""
    first = key_list.keys[0].public_key if key_list.keys else b""
    for name in (NEXT_KEY, ORDER_KEY):
        key = _key(folder, name)
        if key is not None and key.public_key == first:
            if wrong := fault(key_list, key.public_key, now_s):
                raise ConfigError(f"the list is of no use now: {wrong}")
            return key
    raise ConfigError("the list names none of this core's keys: it answers another request")


def _held_by_core(folder: Path) -> tuple[KeyList, bytes] | None:
    """The list in force and its envelope; ConfigError when it is damaged or has no root beside it."""
    if not (folder / KEY_LIST).exists():
        return None
    return key_files.read_key_list(folder, key_files.read_root_public(folder))


def _key(folder: Path, name: str) -> SigningKey | None:
    path = folder / name
    return SigningKey(key_files.read_secret(path)) if path.exists() else None


# --- where the root is ----------------------------------------------------------------------------------------


def open_request(data: bytes) -> KeyRequest:
    """The request in a file; ConfigError."""
    try:
        return KeyRequest.open(data)
    except (WireError, AuthorityError) as error:
        raise ConfigError(f"the request does not hold: {error}") from error


def sign_request(
    root_folder: Path, request: KeyRequest, now_s: int, *, at_least: int = 1, revoke_others: bool = False
) -> tuple[Grant, KeyList]:
    """Grant a request with the root key in `root_folder`, which keeps the newest list it has signed beside it.

    `at_least`: the version, where no list that is in force is known any more. `revoke_others`: no key but the one
    that is asked for is good afterwards, whatever the request says. ConfigError when the core has another
    root, when the two machines' clocks cannot both be right, or for what no list can say.
    """
    if abs(request.asked_s - now_s) > CLOCKS_DIFFER_S:
        raise ConfigError(
            f"the request was made {abs(request.asked_s - now_s) // 86_400} days away from now by this machine's "
            "clock: set the clock, or make the request again"
        )
    with key_files.alone(root_folder, LOCK_WAIT_S):
        key_files.finish_removing(root_folder)
        root = key_files.read_root(root_folder)
        held = NOTHING
        if (root_folder / KEY_LIST).exists():
            held, _ = key_files.read_key_list(root_folder, root.public_key)
        if held.issued_s > now_s + CLOCKS_DIFFER_S:
            raise ConfigError("the newest list signed here is of the future: look at this machine's clock")
        revoke = list(request.revoke)
        if request.held:
            theirs = _their_list(request.held, root.public_key)
            revoke += [*held.revoked, *theirs.revoked]
            if revoke_others:
                revoke += _other_ids(theirs, request.public_key)
            held = max(held, theirs, key=lambda each: each.version)
        if revoke_others:
            revoke += _other_ids(held, request.public_key)
        key_list = next_key_list(held, request.public_key, now_s, revoke=revoke, at_least=at_least)
        grant = Grant(root.public_key, key_list.seal(root))
        # Before anybody sees it: the same version is never signed twice.
        key_files.write(root_folder / KEY_LIST, grant.envelope, mode=0o644)
    return grant, key_list


def _other_ids(key_list: KeyList, public_key: bytes) -> list[bytes]:
    return [signed.key_id(entry.public_key) for entry in key_list.keys if entry.public_key != public_key]


def _their_list(envelope: bytes, root_public_key: bytes) -> KeyList:
    try:
        return open_key_list(envelope, root_public_key)
    except (WireError, AuthorityError) as error:
        signer = envelope[2:10].hex()
        ours = signed.key_id(root_public_key).hex()
        raise ConfigError(f"the core has a list of another root ({signer}); this one is {ours}: {error}") from error
