"""What somebody with a shell on the core does to its users: for the day on which no administrator gets in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from loa.app.shell_act import shell_act
from loa.app.store import has_store, opened_store
from loa.broadcast.journal.act import Act
from loa.broadcast.people.first_user import shell
from loa.broadcast.people.passwords import Passwords
from loa.broadcast.people.person import Language, User, folded_login
from loa.broadcast.people.rights import Grant, Role
from loa.broadcast.people.users import Users
from loa.broadcast.store.paging import Page
from loa.config import CoreConfig
from loa.errors import ConfigError, NotFound
from loa.model import parse_id
from loa.timing.clock import SystemClock

_PAGE = 500


class PeopleDesk:
    """The users of a core, which may be running meanwhile: it sees what was done in the next request."""

    def __init__(self, users: Users, act: Act) -> None:
        self._users = users
        self._act = act
        self._by = shell(act)

    async def list(self) -> list[User]:
        """All users, by login name."""
        found: list[User] = []
        page = Page(limit=_PAGE, by="login")
        while rows := await self._users.list(page):
            found += rows
            page = page.after(rows[-1].login, rows[-1].id)
        return found

    async def add(self, login: str, name: str, language: Language, grants: Sequence[Grant]) -> tuple[User, str]:
        """A new user and a one-time password. Unsuitable, Conflict, NotFound for an area."""
        return await self._users.create(
            self._by, self._act, login=login, name=name, language=language, grants=grants
        )

    async def reset_password(self, login: str, *, forget_app: bool) -> str:
        """A one-time password; with `forget_app`, the authenticator app is forgotten too. NotFound."""
        user = await self._named(login)
        if forget_app:
            await self._users.reset_second_factor(self._by, self._act, user.id)
        _, one_time = await self._users.reset_password(self._by, self._act, user.id)
        return one_time

    async def unlock(self, login: str) -> User:
        """End a lock-out, and enable the user. NotFound."""
        user = await self._named(login)
        return await self._users.unlock(self._by, self._act, user.id)

    async def _named(self, login: str) -> User:
        user = await self._users.by_login(folded_login(login))
        if user is None:
            raise NotFound(f"no user {login!r}")
        return user


@asynccontextmanager
async def people_desk(core: CoreConfig) -> AsyncIterator[PeopleDesk]:
    """The desk over this core's store. ConfigError when there is none; StoreError."""
    if not has_store(core):
        raise ConfigError(f"{core.data_dir} holds no store: start the core first")
    async with opened_store(core) as db:
        passwords = Passwords()
        try:
            yield PeopleDesk(Users(db, passwords), shell_act(SystemClock().utc_ns() // 1_000_000))
        finally:
            passwords.close()


def parse_grant(text: str) -> Grant:
    """The grant that "role" (everywhere) or "role@area-id" means; ConfigError."""
    role, at, area = text.partition("@")
    try:
        return Grant(Role(role), parse_id(area) if at else None)
    except ValueError as error:
        roles = ", ".join(Role)
        raise ConfigError(
            f"{text!r}: a role ({roles}), and @ with an area's identifier if not everywhere"
        ) from error


def parse_language(text: str) -> Language:
    """The language with this code; ConfigError."""
    try:
        return Language(text)
    except ValueError as error:
        raise ConfigError(f"{text!r}: one of {', '.join(Language)}") from error
