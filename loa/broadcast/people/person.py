"""People as values. Identifiers are 16 bytes; times are milliseconds of UTC. Secrets are not in the repr."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

from loa.broadcast.people.rights import EVERYWHERE, SECOND_FACTOR, Grant
from loa.errors import Unsuitable

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}", re.ASCII)


class Language(StrEnum):
    """The languages that the pages speak."""

    VI = "vi"
    EN = "en"


@dataclass(frozen=True, slots=True)
class User:
    """A person who signs in. `version` grows with each change that somebody makes to what stands here.

    `second_factor`: an authenticator app is enrolled. `must_change_password`: the password is a one-time one. An
    erased user has lost login, name and grants, and is disabled for good.
    """

    id: bytes
    login: str
    name: str
    language: Language
    grants: tuple[Grant, ...]
    created_ms: int
    version: int
    disabled_ms: int | None = None
    erased_ms: int | None = None
    signed_in_ms: int | None = None
    second_factor: bool = False
    must_change_password: bool = False

    @property
    def active(self) -> bool:
        """Whether they can sign in at all."""
        return self.disabled_ms is None

    @property
    def administers(self) -> bool:
        """Whether they are an administrator of the whole system, who can sign in."""
        return self.active and EVERYWHERE in self.grants

    @property
    def protected(self) -> bool:
        """Whether no attack on the account as a whole may hold it up: people wait for what it says."""
        return any(grant.role in SECOND_FACTOR for grant in self.grants)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user proves who they are with.

    `password` is argon2's text; None: no password opens the account. `password_expires_ms`: until when a one-time
    password is good. `totp_counter` is the last one used. `pardoned_ms`: failures up to then count no longer.
    """

    password: str | None = field(repr=False)
    password_expires_ms: int | None
    totp_secret: str | None = field(repr=False)
    totp_pending: str | None = field(repr=False)
    totp_counter: int | None
    pardoned_ms: int


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's session: only the SHA-256 of its secret is kept.

    It ends at `expires_ms`, or when nothing came for a while after `seen_ms`. `authenticated_ms`: when the person
    last proved who they are, `second_factor` whether by two things.
    """

    id: bytes
    user_id: bytes
    sha256: bytes = field(repr=False)
    created_ms: int
    seen_ms: int
    expires_ms: int
    authenticated_ms: int
    second_factor: bool
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A browser that has signed in, by the SHA-256 of a secret that only it has. `address`: where it last was."""

    id: bytes
    user_id: bytes
    sha256: bytes = field(repr=False)
    address: str
    created_ms: int
    seen_ms: int


def folded_login(text: str) -> str:
    """One form for one login name, however it is typed."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


def is_login(folded: str) -> bool:
    """Whether there can be a user with this login name."""
    return _LOGIN.fullmatch(folded) is not None


def new_login(text: str) -> str:
    """The login name that a new user may have; Unsuitable otherwise."""
    login = folded_login(text)
    if not is_login(login):
        raise Unsuitable(
            "login", "a login name has 2 to 64 of a-z, 0-9, and . _ @ - inside, and begins with a letter or digit"
        )
    return login
