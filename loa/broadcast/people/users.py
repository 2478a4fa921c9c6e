"""Users as administrators keep them: made, changed, given a new password, erased.

Nobody gives a right that they do not have there, nor touches a user who has more than they have; nobody changes
what is granted to themselves; and somebody who administers the whole system always stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.people.authority import paths_of, require_to_manage
from loa.broadcast.people.password_policy import new_one_time_password
from loa.broadcast.people.passwords import Passwords
from loa.broadcast.people.person import Language, User, new_login
from loa.broadcast.people.rights import Grant, Principal
from loa.broadcast.store import sessions as stored_sessions
from loa.broadcast.store import tokens as stored_tokens
from loa.broadcast.store import users as stored
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import FIRST, Page
from loa.broadcast.store.users import UserFilter
from loa.errors import Changed, Conflict, Forbidden
from loa.model import id_text, new_id

EVERY_USER = UserFilter()
ONE_TIME_PASSWORD_MS = 7 * 86_400_000
"""How long a one-time password is good."""


@dataclass(frozen=True, slots=True)
class UserChange:
    """What shall be otherwise; None stays as it is."""

    name: str | None = None
    language: Language | None = None
    grants: tuple[Grant, ...] | None = None
    disabled: bool | None = None


def described(user: User) -> dict[str, Any]:
    """A user as the journal tells of them. People's names can be erased: what is kept for ever does not hold
    them.
    """
    return {
        "login": user.login,
        "language": str(user.language),
        "disabled": not user.active,
        "grants": [
            {"role": str(grant.role), "area_id": None if grant.area_id is None else id_text(grant.area_id)}
            for grant in user.grants
        ],
    }


class Users:
    """All users. `by` is who asks, and must be allowed to (Forbidden); `expected` the version that they have
    seen.
    """

    def __init__(self, db: Database, passwords: Passwords) -> None:
        self._db = db
        self._passwords = passwords

    async def create(
        self,
        by: Principal,
        act: Act,
        *,
        login: str,
        name: str,
        language: Language,
        grants: Sequence[Grant],
        one_time: str = "",
    ) -> tuple[User, str]:
        """A new user, and a one-time password: told here and never again, to be changed at the first sign-in.

        It is `one_time` when that is given. Unsuitable for a login name that nobody may have, Conflict for one in
        use, NotFound for an unknown area.
        """
        one_time = one_time or new_one_time_password()
        user = User(
            id=new_id(act.now_ms),
            login=new_login(login),
            name=name,
            language=language,
            grants=tuple(dict.fromkeys(grants)),
            created_ms=act.now_ms,
            version=1,
            must_change_password=True,
        )
        kept = await self._passwords.hash(one_time)
        async with self._db.write() as connection:
            await require_to_manage(connection, by, user.grants)
            if await stored.by_login(connection, user.login) is not None:
                raise Conflict(f"there is a user {user.login} already")
            await stored.insert(connection, user, kept, act.now_ms + ONE_TIME_PASSWORD_MS)
            await _record(connection, act, "user.create", user, after=described(user))
        return user, one_time

    async def get(self, user_id: bytes) -> User:
        """The user, disabled or not; NotFound, also for one who is erased."""
        async with self._db.read() as connection:
            return await stored.get(connection, user_id)

    async def by_login(self, login: str) -> User | None:
        """The user with this login name."""
        async with self._db.read() as connection:
            return await stored.by_login(connection, login)

    async def list(self, page: Page = FIRST, only: UserFilter = EVERY_USER) -> list[User]:
        """A page of the users, disabled ones too; BadCursor. Unknown areas give nothing."""
        async with self._db.read() as connection:
            return await stored.page(connection, page, only)

    async def paths(self, user: User) -> Sequence[frozenset[bytes]]:
        """For each of the user's grants its area and all above it; empty for everywhere."""
        async with self._db.read() as connection:
            return await paths_of(connection, user.grants)

    async def change(
        self, by: Principal, act: Act, user_id: bytes, expected: int | None, change: UserChange
    ) -> User:
        """Change a user; NotFound, Changed, and Conflict when no administrator would be left.

        Who is disabled has no session, no known browser and no token any more. Who has less has no token for more.
        """
        async with self._db.write() as connection:
            user = await _managed(connection, by, user_id, expected)
            wanted = _changed(user, change, act.now_ms)
            if wanted == user:
                return user
            if by.user_id == user_id and (wanted.grants != user.grants or not wanted.active):
                raise Forbidden("own-account", "another changes what you may do, or disables you")
            await require_to_manage(connection, by, wanted.grants)
            await _somebody_administers(connection, user, wanted)
            wanted = replace(wanted, version=user.version + 1)
            values: dict[str, Any] = {
                "name": wanted.name,
                "language": str(wanted.language),
                "disabled_ms": wanted.disabled_ms,
                "version": wanted.version,
            }
            if wanted.active and not user.active:
                values["pardoned_ms"] = act.now_ms
            await stored.update(connection, user_id, values)
            if wanted.grants != user.grants:
                await stored.set_grants(connection, user_id, wanted.grants)
            if not wanted.active:
                await _shut_out(connection, user_id)
            await _revoke_tokens(connection, wanted, act)
            more = {"renamed": True} if wanted.name != user.name else {}
            await _record(
                connection, act, "user.change", user, wanted, before=described(user), after=described(wanted) | more
            )
        return wanted

    async def reset_password(
        self, by: Principal, act: Act, user_id: bytes, expected: int | None = None
    ) -> tuple[User, str]:
        """A one-time password instead of the user's: told here and never again. Their sessions end.

        It ends a lock-out too. NotFound, Changed.
        """
        one_time = new_one_time_password()
        kept = await self._passwords.hash(one_time)
        async with self._db.write() as connection:
            user = await _managed(connection, by, user_id, expected)
            _not_oneself(by, user, "your own password you change where your account is kept")
            wanted = replace(user, must_change_password=True, version=user.version + 1)
            values = {
                "password": kept,
                "password_expires_ms": act.now_ms + ONE_TIME_PASSWORD_MS,
                "must_change_password": True,
                "totp_pending": None,
                "pardoned_ms": act.now_ms,
                "version": wanted.version,
            }
            await stored.update(connection, user_id, values)
            await _shut_out(connection, user_id)
            await _record(connection, act, "user.reset-password", user)
        return wanted, one_time

    async def reset_second_factor(
        self, by: Principal, act: Act, user_id: bytes, expected: int | None = None
    ) -> User:
        """The user has no authenticator app and no recovery code any more; their sessions end. NotFound,
        Changed.
        """
        async with self._db.write() as connection:
            user = await _managed(connection, by, user_id, expected)
            _not_oneself(by, user, "your own second factor you change where your account is kept")
            wanted = replace(user, second_factor=False, version=user.version + 1)
            values = {**stored.NO_SECOND_FACTOR, "pardoned_ms": act.now_ms, "version": wanted.version}
            await stored.update(connection, user_id, values)
            await stored.set_recovery_codes(connection, user_id, ())
            await _shut_out(connection, user_id)
            await _record(connection, act, "user.reset-second-factor", user)
        return wanted

    async def unlock(self, by: Principal, act: Act, user_id: bytes) -> User:
        """What was failed up to now counts no longer for the account, and a disabled one is enabled; NotFound."""
        async with self._db.write() as connection:
            user = await _managed(connection, by, user_id, None)
            wanted = replace(user, disabled_ms=None, version=user.version + 1)
            values = {"disabled_ms": None, "pardoned_ms": act.now_ms, "version": wanted.version}
            await stored.update(connection, user_id, values)
            await _record(connection, act, "user.unlock", user, before=described(user), after=described(wanted))
        return wanted

    async def delete(self, by: Principal, act: Act, user_id: bytes, expected: int | None) -> None:
        """Disable the user for good and erase what is known of them; the audit log keeps their id and login.

        NotFound, Changed, Conflict when no administrator would be left.
        """
        async with self._db.write() as connection:
            user = await _managed(connection, by, user_id, expected)
            _not_oneself(by, user, "nobody deletes themselves")
            gone = replace(user, disabled_ms=act.now_ms, grants=())
            await _somebody_administers(connection, user, gone)
            values = {
                **stored.NO_SECOND_FACTOR,
                "login": None,
                "name": "",
                "password": None,
                "signed_in_ms": None,
                "disabled_ms": act.now_ms,
                "erased_ms": act.now_ms,
                "version": user.version + 1,
            }
            await stored.update(connection, user_id, values)
            await stored.set_grants(connection, user_id, ())
            await stored.set_recovery_codes(connection, user_id, ())
            await _shut_out(connection, user_id)
            await _revoke_tokens(connection, gone, act)
            await _record(connection, act, "user.delete", user, before=described(user))

    async def end_sessions(self, by: Principal, act: Act, user_id: bytes) -> int:
        """End all the user's browser sessions; how many there were. NotFound."""
        async with self._db.write() as connection:
            user = await _managed(connection, by, user_id, None)
            count = await stored_sessions.remove_of_user(connection, user_id)
            if count:
                await _record(connection, act, "user.end-sessions", user, after={"sessions": count})
        return count

    async def any_at_all(self) -> bool:
        """Whether there is a user, or ever was one."""
        async with self._db.read() as connection:
            return await stored.any_at_all(connection)


async def _managed(connection: AsyncConnection, by: Principal, user_id: bytes, expected: int | None) -> User:
    """The user, when `by` may manage them and has seen them as they are."""
    user = await stored.get(connection, user_id)
    await require_to_manage(connection, by, user.grants)
    if expected is not None and expected != user.version:
        raise Changed(f"somebody has changed the user {user.login} meanwhile")
    return user


def _changed(user: User, change: UserChange, now_ms: int) -> User:
    disabled_ms = user.disabled_ms
    if change.disabled is not None and change.disabled == user.active:
        disabled_ms = now_ms if change.disabled else None
    return replace(
        user,
        name=user.name if change.name is None else change.name,
        language=user.language if change.language is None else change.language,
        grants=user.grants if change.grants is None else tuple(dict.fromkeys(change.grants)),
        disabled_ms=disabled_ms,
    )


def _not_oneself(by: Principal, user: User, why: str) -> None:
    if by.user_id == user.id:
        raise Forbidden("own-account", why)


async def _somebody_administers(connection: AsyncConnection, before: User, after: User) -> None:
    lost = before.administers and not after.administers
    if lost and await stored.administrators(connection, but=before.id) == 0:
        raise Conflict(f"{before.login} is the last administrator: somebody must be able to let the others in")


async def _shut_out(connection: AsyncConnection, user_id: bytes) -> None:
    """End the user's sessions; their browsers are strangers' again."""
    await stored_sessions.remove_of_user(connection, user_id)
    await stored_sessions.remove_devices_of_user(connection, user_id)


async def _revoke_tokens(connection: AsyncConnection, user: User, act: Act) -> None:
    """Revoke the user's tokens that give more than the user has; all of them when the user is disabled."""
    owner = Principal("", "", user.grants if user.active else ())
    tokens = await stored_tokens.live_of_user(connection, user.id)
    grants = [Grant(token.role, token.area_id) for token in tokens]
    paths = await paths_of(connection, grants)
    for token, grant, path in zip(tokens, grants, paths, strict=True):
        if not owner.covers(grant, path):
            # An act that must happen once is the change of the user.
            await stored_tokens.revoke(connection, token, replace(act, key=""))


async def _record(
    connection: AsyncConnection,
    act: Act,
    action: str,
    *users: User,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    areas = {grant.area_id for user in users for grant in user.grants if grant.area_id is not None}
    subject = f"user:{id_text(users[0].id)}"
    await journal.record(connection, act, action, subject, areas=areas, before=before, after=after)
