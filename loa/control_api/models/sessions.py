"""Signing in, browser sessions and one's own account, as they are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from loa.broadcast.people.person import Language, Session
from loa.broadcast.people.rights import Right, Withheld
from loa.control_api.models.base import Strict, utc
from loa.control_api.models.users import GrantModel
from loa.model import id_text

Secret = Annotated[str, Field(min_length=1, max_length=512)]
Code = Annotated[str, Field(min_length=1, max_length=64)]


class SignInIn(Strict):
    """Who signs in. `code`: of the authenticator app, or a recovery code; for who has an app."""

    login: Annotated[str, Field(max_length=256)]
    password: Secret
    code: Code | None = None


class SessionOut(Strict):
    """A browser session."""

    id: str
    created_at: datetime | None
    seen_at: datetime | None
    expires_at: datetime | None
    second_factor: bool
    address: str
    agent: str
    current: bool

    @classmethod
    def of(cls, session: Session, current_id: bytes | None) -> SessionOut:
        """As it is shown."""
        return cls(
            id=id_text(session.id),
            created_at=utc(session.created_ms),
            seen_at=utc(session.seen_ms),
            expires_at=utc(session.expires_ms),
            second_factor=session.second_factor,
            address=session.address,
            agent=session.agent,
            current=session.id == current_id,
        )


class SessionsOut(Strict):
    """The sessions of one user, oldest first."""

    items: list[SessionOut]


class RightOut(Strict):
    """A right, and the areas at whose tops it begins; null: everywhere."""

    right: Right
    areas: list[str] | None


class AccountOut(Strict):
    """The account behind a request. `recovery_codes`: how many are left."""

    id: str
    login: str
    name: str
    language: Language
    second_factor: bool
    must_change_password: bool
    recovery_codes: int


class MeOut(Strict):
    """Who asks, and what they may do now.

    `account`: of the person behind it, if there is one. `withheld`: why `grants` are fewer than were granted
    (password-change, second-factor). `csrf_token`: for changes in this browser session, in X-CSRF-Token.
    """

    actor: str
    name: str
    account: AccountOut | None
    grants: list[GrantModel]
    rights: list[RightOut]
    withheld: Withheld | None
    authenticated_at: datetime | None
    csrf_token: str | None


class MeChangeIn(Strict):
    """What shall be otherwise."""

    language: Language


class PasswordIn(Strict):
    """Another password, of 12 to 128 characters."""

    current: Secret
    new: Secret


class ProofIn(Strict):
    """Password and, for who has an authenticator app, a code of it or a recovery code."""

    password: Secret
    code: Code | None = None


class AppCodeIn(Strict):
    """The first code of the app that is being enrolled."""

    code: Code


class AppBegunOut(Strict):
    """The secret of an app, also as what a QR code says: shown once. It is good once a code of it came back."""

    secret: str
    otpauth: str


class AppEnrolledOut(Strict):
    """Recovery codes, each good once, for when the telephone is lost: shown once. The session is a new one."""

    recovery_codes: list[str]
    csrf_token: str
