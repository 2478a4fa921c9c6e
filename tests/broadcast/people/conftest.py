"""A house with people in it: a real store, and hashes that cost little."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pyotp
import pytest

from loa.broadcast.journal.act import Act, system
from loa.broadcast.people.first_user import shell
from loa.broadcast.people.passwords import Passwords
from loa.broadcast.people.people import People
from loa.broadcast.people.person import Language, User
from loa.broadcast.people.rights import EVERYWHERE, Grant, Principal
from loa.broadcast.people.sessions import Lifetime, principal
from loa.broadcast.people.sign_in import Asked, SignedIn
from loa.broadcast.registry.areas import Areas
from loa.broadcast.store import journal as stored_journal
from loa.broadcast.store.database import Database
from tests.broadcast.conftest import NOW_MS

HOUSE = "198.51.100.1"
"""Where the people of the house sit."""
OUTSIDE = "203.0.113.7"
PASSWORD = "con mèo trèo cây cau"
SHELL = Act("shell:root", "root", NOW_MS)
ROOT = shell(SHELL)


def stranger(now_ms: int = NOW_MS, origin: str = HOUSE) -> Act:
    """Somebody who has not said who they are."""
    return Act("public", "", now_ms, origin=origin)


def by_user(principal: Principal, now_ms: int = NOW_MS) -> Act:
    """Somebody who is signed in."""
    return Act(principal.actor, principal.name, now_ms, origin=HOUSE)


@dataclass
class House:
    """The people, the areas they work in, and shorthands for what tests begin with."""

    db: Database
    people: People
    areas: dict[str, bytes]
    apps: dict[bytes, pyotp.TOTP] = field(default_factory=dict)

    async def user(self, login: str, *grants: Grant, by: Principal = ROOT) -> User:
        """A user who has chosen PASSWORD."""
        user, one_time = await self.people.users.create(
            by, SHELL, login=login, name=f"Bà {login.title()}", language=Language.VI, grants=grants
        )
        signed = await self.sign_in(login, one_time)
        await self.people.own.change_password(self.as_who(signed), stranger(), one_time, PASSWORD)
        return await self.people.users.get(user.id)

    async def sign_in(
        self,
        login: str,
        password: str = PASSWORD,
        code: str | None = None,
        *,
        now_ms: int = NOW_MS,
        origin: str = HOUSE,
        **more: str,
    ) -> SignedIn:
        """Sign in."""
        asked = Asked(login, password, code, **more)
        return await self.people.sign_in.sign_in(asked, stranger(now_ms, origin))

    def as_who(self, signed: SignedIn) -> Principal:
        """Who is in the session."""
        return principal(signed.user, signed.session)

    async def principal(self, login: str, now_ms: int = NOW_MS) -> Principal:
        """Who has just signed in, with all that is granted to them: an app is enrolled where they have none."""
        user = await self.people.users.by_login(login)
        assert user is not None
        if user.id in self.apps:
            signed = await self.sign_in(login, code=self.code(user, now_ms), now_ms=now_ms)
            return self.as_who(signed)
        signed = await self.sign_in(login, now_ms=now_ms)
        who = self.as_who(signed)
        return await self.enrol(who, now_ms) if user.protected else who

    async def enrol(self, who: Principal, now_ms: int = NOW_MS) -> Principal:
        """Enrol an app for them; who they are in the session that follows."""
        begun = await self.people.own.begin_second_factor(who, by_user(who, now_ms), PASSWORD)
        app = pyotp.TOTP(begun.secret)
        renewed, _ = await self.people.own.confirm_second_factor(who, by_user(who, now_ms), app.at(now_ms // 1000))
        self.apps[renewed.user.id] = app
        checked = await self.people.sessions.check(renewed.secret, now_ms)
        assert checked is not None
        return checked

    def code(self, user: User, now_ms: int = NOW_MS) -> str:
        """What the user's app shows."""
        return self.apps[user.id].at(now_ms // 1000)

    async def journal(self) -> list[dict[str, Any]]:
        """All entries of the audit log."""
        async with self.db.read() as connection:
            return [json.loads(link.entry) for link in await stored_journal.links(connection, 0, 10_000)]

    async def actions(self) -> list[str]:
        """What was done, in its order."""
        return [str(entry["action"]) for entry in await self.journal()]


@pytest.fixture
async def house(db: Database) -> AsyncIterator[House]:
    """One city with two communes; nobody lives there."""
    areas = Areas(db)
    city = await areas.create(None, "Hải Phòng", "city", None, system(NOW_MS))
    ids = {"city": city.id}
    for name in ("own", "other"):
        ids[name] = (await areas.create(city.id, f"Xã {name}", "commune", None, system(NOW_MS))).id
    ids["hamlet"] = (await areas.create(ids["own"], "Thôn", "hamlet", None, system(NOW_MS))).id
    people = People(db, Lifetime(), passwords=Passwords(time_cost=1, memory_kib=8))
    yield House(db, people, ids)
    people.close()


@pytest.fixture
async def admin(house: House) -> Principal:
    """The administrator, signed in with both factors."""
    await house.user("admin", EVERYWHERE)
    return await house.principal("admin")
