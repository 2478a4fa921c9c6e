"""Who may say what: root key → key list → order keys → certificates (docs/protocol.md, *Authority*).

All pure: a key list and certificates are values, and time is handed in as seconds of UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

from loa.codecs import canonical, signed
from loa.codecs.canonical import Fields
from loa.codecs.signed import Envelope, Kind, SigningKey
from loa.errors import AuthorityError, Refused, WireError
from loa.model import ID_BYTES

MAX_KEYS = 16
MAX_REVOKED = 256
MAX_AREAS = 64
MAX_CHAIN = 2
"""Certificates between a listed key and the signer."""
_MAX_BODY = signed.MAX_BODY_BYTES


class Right(IntFlag):
    """What a key may sign."""

    ORDER = 1
    EMERGENCY = 2
    LINK = 4
    DELEGATE = 8


ALL_RIGHTS = Right.ORDER | Right.EMERGENCY | Right.LINK | Right.DELEGATE


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """An order key as the key list names it."""

    public_key: bytes
    rights: Right
    not_after_s: int


@dataclass(frozen=True, slots=True)
class KeyList:
    """The keys that may speak for the root, until `expires_s` (seconds of UTC)."""

    version: int
    issued_s: int
    expires_s: int
    keys: tuple[KeyEntry, ...]
    revoked: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The canonical body."""
        return canonical.encode(
            {
                1: self.version,
                2: self.issued_s,
                3: self.expires_s,
                4: [{1: k.public_key, 2: int(k.rights), 3: k.not_after_s} for k in self.keys],
                5: list(self.revoked),
            }
        )

    @classmethod
    def decode(cls, body: bytes) -> KeyList:
        """The key list in `body`; WireError when there is none."""
        f = Fields(canonical.decode(body, max_bytes=_MAX_BODY), "key list")
        keys = []
        for item in f.array(4, most=MAX_KEYS):
            k = Fields(item, "key list.4")
            keys.append(KeyEntry(k.octets(1, size=signed.KEY_BYTES), Right(k.uint(2, most=ALL_RIGHTS)), k.uint(3)))
            k.done()
        if len({entry.public_key for entry in keys}) != len(keys):
            raise WireError("key list: a key stands in it twice")
        made = cls(
            version=f.uint(1, least=1),
            issued_s=f.uint(2),
            expires_s=f.uint(3),
            keys=tuple(keys),
            revoked=f.byte_strings(5, size=signed.KEY_ID_BYTES, most=MAX_REVOKED),
        )
        f.done()
        return made

    def seal(self, root: SigningKey) -> bytes:
        """The envelope, signed by the root key."""
        return signed.seal(Kind.KEY_LIST, root, self.encode())


def open_key_list(data: bytes, root_public_key: bytes) -> KeyList:
    """The key list in an envelope that the pinned root signed; WireError or AuthorityError otherwise."""
    envelope = signed.parse(data, Kind.KEY_LIST)
    envelope.check(root_public_key)
    return KeyList.decode(envelope.body)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A delegation: `public_key` may use `rights` for endpoints under one of `areas`, within the times."""

    public_key: bytes
    rights: Right
    areas: tuple[bytes, ...]
    not_before_s: int
    not_after_s: int
    serial: int

    def encode(self) -> bytes:
        """The canonical body."""
        return canonical.encode(
            {
                1: self.public_key,
                2: int(self.rights),
                3: list(self.areas),
                4: self.not_before_s,
                5: self.not_after_s,
                6: self.serial,
            }
        )

    @classmethod
    def decode(cls, body: bytes) -> Certificate:
        """The certificate in `body`; WireError when there is none."""
        f = Fields(canonical.decode(body, max_bytes=_MAX_BODY), "certificate")
        made = cls(
            public_key=f.octets(1, size=signed.KEY_BYTES),
            rights=Right(f.uint(2, most=ALL_RIGHTS)),
            areas=f.byte_strings(3, size=ID_BYTES, most=MAX_AREAS),
            not_before_s=f.uint(4),
            not_after_s=f.uint(5),
            serial=f.uint(6),
        )
        f.done()
        if not made.areas:
            raise WireError("certificate: no area")
        return made

    def seal(self, issuer: SigningKey) -> bytes:
        """The envelope, signed by a key with the DELEGATE right."""
        return signed.seal(Kind.CERTIFICATE, issuer, self.encode())


class Authority:
    """What an endpoint holds true: the pinned root and the newest key list it has seen.

    `entitled` answers whether an envelope speaks with a right at this place and time. Refused.reason is one
    of docs/protocol.md, *Refusals*.
    """

    def __init__(self, root_public_key: bytes, key_list_envelope: bytes) -> None:
        self.root_public_key = root_public_key
        self._list = open_key_list(key_list_envelope, root_public_key)
        self.key_list_envelope = key_list_envelope

    @property
    def key_list(self) -> KeyList:
        """The list in force."""
        return self._list

    def update(self, key_list_envelope: bytes) -> bool:
        """Take a newer list. False for the same or an older version: versions never go back."""
        newer = open_key_list(key_list_envelope, self.root_public_key)
        if newer.version <= self._list.version:
            return False
        self._list = newer
        self.key_list_envelope = key_list_envelope
        return True

    def entitled(
        self,
        envelope: Envelope,
        right: Right,
        *,
        utc_s: int,
        place: Sequence[bytes] = (),
        chain: Sequence[bytes] = (),
    ) -> None:
        """Return when the envelope's signer may use `right` for an endpoint at `place`; Refused otherwise.

        `place`: the endpoint's areas, from the top of the tree down. `chain`: certificate envelopes, from the
        one signed by a listed key to the one of the envelope's signer; empty for a listed key.
        """
        if utc_s > self._list.expires_s:
            raise Refused("list_expired", f"the key list ended at {self._list.expires_s}")
        if len(chain) > MAX_CHAIN:
            raise Refused("not_entitled", "a chain too long")
        if not chain:
            self._check_step(envelope, self._listed_key(envelope.signer, right, utc_s))
            return
        try:
            links = [signed.parse(data, Kind.CERTIFICATE) for data in chain]
            certificates = [Certificate.decode(link.body) for link in links]
        except WireError as error:
            raise Refused("malformed", str(error)) from error
        self._check_step(links[0], self._listed_key(links[0].signer, right | Right.DELEGATE, utc_s))
        holders = [*links[1:], envelope]
        for depth, (certificate, next_envelope) in enumerate(zip(certificates, holders, strict=True)):
            last = depth == len(certificates) - 1
            self._check_certificate(certificate, right if last else right | Right.DELEGATE, utc_s, place)
            self._check_step(next_envelope, certificate.public_key)

    def _listed_key(self, signer: bytes, right: Right, utc_s: int) -> bytes:
        if signer in self._list.revoked:
            raise Refused("key_revoked", signer.hex())
        for entry in self._list.keys:
            if signed.key_id(entry.public_key) == signer:
                if utc_s > entry.not_after_s:
                    raise Refused("key_expired", signer.hex())
                if right & ~entry.rights:
                    raise Refused("not_entitled", f"the key lacks {(right & ~entry.rights).name}")
                return entry.public_key
        raise Refused("unknown_key", signer.hex())

    def _check_certificate(
        self, certificate: Certificate, right: Right, utc_s: int, place: Sequence[bytes]
    ) -> None:
        subject = signed.key_id(certificate.public_key)
        if subject in self._list.revoked:
            raise Refused("key_revoked", subject.hex())
        if not certificate.not_before_s <= utc_s <= certificate.not_after_s:
            raise Refused("key_expired", subject.hex())
        if right & ~certificate.rights:
            raise Refused("not_entitled", "the certificate lacks the right")
        if not set(certificate.areas) & set(place):
            raise Refused("not_entitled", "the certificate is for other areas")

    @staticmethod
    def _check_step(envelope: Envelope, public_key: bytes) -> None:
        try:
            envelope.check(public_key)
        except AuthorityError as error:
            raise Refused("bad_signature", str(error)) from error
