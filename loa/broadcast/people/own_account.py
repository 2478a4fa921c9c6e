"""What people do with their own accounts: another password, an authenticator app, a fresh proof of who they are.

Whoever changes what proves who they are gets a new session, and all their others end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.people import password_policy, totp
from loa.broadcast.people.lockout import Attempt
from loa.broadcast.people.passwords import Passwords
from loa.broadcast.people.person import Language, Session, User
from loa.broadcast.people.proof import Claim, Proofs, as_proved
from loa.broadcast.people.rights import Principal
from loa.broadcast.people.sessions import Sessions
from loa.broadcast.store import sessions as stored_sessions
from loa.broadcast.store import users as stored
from loa.broadcast.store.database import Database
from loa.errors import Conflict, Forbidden, SignInRefused, Unsuitable
from loa.model import id_text


@dataclass(frozen=True, slots=True)
class Renewed:
    """The session that follows the one in which it was asked; its secret is told here and never again."""

    user: User
    session: Session
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolling:
    """An authenticator app's secret, good for nothing until a code of it comes back."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


class OwnAccount:
    """Each user's own account. `by` is who is signed in, in a browser session."""

    def __init__(self, db: Database, passwords: Passwords, proofs: Proofs, sessions: Sessions) -> None:
        self._db = db
        self._passwords = passwords
        self._proofs = proofs
        self._sessions = sessions

    async def recovery_codes(self, user_id: bytes) -> int:
        """How many recovery codes the user has left."""
        async with self._db.read() as connection:
            return await stored.recovery_codes(connection, user_id)

    async def change_language(self, by: Principal, act: Act, language: Language) -> User:
        """The pages speak another language from now on."""
        async with self._db.write() as connection:
            user = await stored.get(connection, _user_id(by))
            if user.language is language:
                return user
            await stored.update(connection, user.id, {"language": str(language), "version": user.version + 1})
            before, after = {"language": str(user.language)}, {"language": str(language)}
            await _record(connection, act, "user.language", user, before=before, after=after)
            return await stored.get(connection, user.id)

    async def change_password(self, by: Principal, act: Act, current: str, new: str) -> Renewed:
        """Another password instead of the current one. Unsuitable, SignInRefused, Busy."""
        claim = await self._claim(by, act, current)
        async with self._proofs.password(claim, act) as (user, kept):
            password_policy.check(new, user.login)
            if password_policy.normal(new) == password_policy.normal(current):
                raise Unsuitable("password", "this is the password that there is")
            fresh = await self._passwords.hash(new)
            async with self._db.write() as connection:
                user, _ = await as_proved(connection, user, kept)
                session = await stored_sessions.get(connection, _session_id(by))
                values = {
                    "password": fresh,
                    "password_expires_ms": None,
                    "must_change_password": False,
                    "totp_pending": None,
                }
                return await self._renew(connection, act, user, session, values, "user.password")

    async def begin_second_factor(
        self, by: Principal, act: Act, password: str, code: str | None = None
    ) -> Enrolling:
        """The secret of a new authenticator app. One that is enrolled stays until a code of the new one comes.

        SignInRefused; who has an app already needs its code, or a recovery code, too. Forbidden with a one-time
        password.
        """
        claim = await self._claim(by, act, password, code)
        secret = totp.new_secret()
        async with self._proofs.proved(claim, act) as (connection, proved):
            _require_own_password(proved.user)
            await stored.update(connection, proved.user.id, {"totp_pending": secret})
            await _record(connection, act, "user.begin-second-factor", proved.user)
        return Enrolling(secret, totp.provisioning_uri(secret, proved.user.login))

    async def confirm_second_factor(self, by: Principal, act: Act, code: str) -> tuple[Renewed, list[str]]:
        """The app that was begun is enrolled, by its first code; and new recovery codes, told here and never again.

        SignInRefused `code`; Conflict when none was begun. The session has its second factor from now on.
        """
        codes = totp.new_recovery_codes()
        async with self._db.write() as connection:
            user = await stored.get(connection, _user_id(by))
            kept = await stored.credentials(connection, user.id)
            session = await stored_sessions.get(connection, _session_id(by))
            if kept.totp_pending is None:
                raise Conflict("no authenticator app is being enrolled")
            counter = totp.matching_counter(kept.totp_pending, code, act.now_ms, None)
            if counter is None:
                raise SignInRefused("code", "this code is wrong: is the telephone's clock right?")
            hashes = [totp.recovery_hash(user.id, each) for each in codes]
            await stored.set_recovery_codes(connection, user.id, hashes)
            values = {"totp_secret": kept.totp_pending, "totp_pending": None, "totp_counter": counter}
            session = replace(session, second_factor=True)
            renewed = await self._renew(connection, act, user, session, values, "user.second-factor")
        return renewed, codes

    async def disable_second_factor(self, by: Principal, act: Act, password: str, code: str) -> Renewed:
        """Without an authenticator app from now on. SignInRefused; Forbidden for who has a role that needs one."""
        claim = await self._claim(by, act, password, code)
        async with self._proofs.proved(claim, act) as (connection, proved):
            if proved.user.protected:
                raise Forbidden("second-factor", "your role needs a second factor")
            session = replace(await stored_sessions.get(connection, _session_id(by)), second_factor=False)
            await stored.set_recovery_codes(connection, proved.user.id, ())
            return await self._renew(
                connection, act, proved.user, session, stored.NO_SECOND_FACTOR, "user.no-second-factor"
            )

    async def prove_again(self, by: Principal, act: Act, password: str, code: str | None) -> None:
        """The session's user proves anew who they are, for what asks for a fresh proof. SignInRefused, Busy."""
        claim = await self._claim(by, act, password, code)
        async with self._proofs.proved(claim, act) as (connection, proved):
            session = await stored_sessions.get(connection, _session_id(by))
            second_factor = session.second_factor or proved.second_factor is not None
            await stored_sessions.prove_again(connection, session.id, act.now_ms, second_factor=second_factor)
            await _record(connection, act, "user.prove", proved.user)

    async def _claim(self, by: Principal, act: Act, password: str, code: str | None = None) -> Claim:
        async with self._db.read() as connection:
            user = await stored.get(connection, _user_id(by))
            kept = await stored.credentials(connection, user.id)
        # Who is signed in has a lane of the session's own: others' failures do not hold them up.
        attempt = Attempt(user.login, act.origin, device=_session_id(by), pardoned_ms=kept.pardoned_ms)
        return Claim(attempt, user, kept, password, code)

    async def _renew(
        self,
        connection: AsyncConnection,
        act: Act,
        user: User,
        session: Session,
        values: Mapping[str, Any],
        action: str,
    ) -> Renewed:
        """Change what proves who the user is. A new session follows this one, and all their sessions end."""
        await stored.update(connection, user.id, {**values, "version": user.version + 1})
        await stored_sessions.remove_of_user(connection, user.id)
        fresh, secret = await self._sessions.open(
            connection, user, act, second_factor=session.second_factor, agent=session.agent
        )
        await _record(connection, act, action, user)
        return Renewed(await stored.get(connection, user.id), fresh, secret)


def _user_id(by: Principal) -> bytes:
    if by.user_id is None:
        raise Forbidden("own-account", "this token belongs to nobody: there is no account behind it")
    return by.user_id


def _session_id(by: Principal) -> bytes:
    if by.session_id is None:
        raise Forbidden("own-account", "this is done in a browser session, not with a token")
    return by.session_id


def _require_own_password(user: User) -> None:
    if user.must_change_password:
        raise Forbidden("password-change", "first change the one-time password")


async def _record(
    connection: AsyncConnection,
    act: Act,
    action: str,
    user: User,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    areas = {grant.area_id for grant in user.grants if grant.area_id is not None}
    subject = f"user:{id_text(user.id)}"
    await journal.record(connection, act, action, subject, areas=areas, before=before, after=after)
