"""Users in the store: who they are, what is granted to them, what they prove it with. In the caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.people.person import Credentials, Language, User
from loa.broadcast.people.rights import EVERYWHERE, Grant, Role
from loa.broadcast.store.areas import below
from loa.broadcast.store.paging import Page, paged
from loa.broadcast.store.tables import recovery_code, user_, user_grant
from loa.errors import NotFound
from loa.model import id_text

_SHOWN: tuple[ColumnElement[Any], ...] = (
    user_.c.id,
    user_.c.login,
    user_.c.name,
    user_.c.language,
    user_.c.created_ms,
    user_.c.version,
    user_.c.disabled_ms,
    user_.c.erased_ms,
    user_.c.signed_in_ms,
    user_.c.must_change_password,
    user_.c.totp_secret.is_not(None).label("second_factor"),
)
NO_SECOND_FACTOR: Mapping[str, Any] = {"totp_secret": None, "totp_pending": None, "totp_counter": None}
"""The columns of somebody without an authenticator app."""
_CREDENTIALS: tuple[ColumnElement[Any], ...] = (
    user_.c.password,
    user_.c.password_expires_ms,
    user_.c.totp_secret,
    user_.c.totp_pending,
    user_.c.totp_counter,
    user_.c.pardoned_ms,
)


def _user(row: Row[Any], grants: tuple[Grant, ...]) -> User:
    values = {name: value for name, value in row._mapping.items() if name in User.__dataclass_fields__}
    values |= {"login": row.login or "", "language": Language(row.language), "grants": grants}
    return User(**values)


async def insert(connection: AsyncConnection, user: User, password: str, password_expires_ms: int | None) -> None:
    """Write a new user down, with argon2's text of a password; Conflict for a login name in use."""
    await connection.execute(
        user_.insert().values(
            id=user.id,
            login=user.login,
            name=user.name,
            language=str(user.language),
            created_ms=user.created_ms,
            version=user.version,
            must_change_password=user.must_change_password,
            password=password,
            password_expires_ms=password_expires_ms,
            pardoned_ms=user.created_ms,
        )
    )
    await set_grants(connection, user.id, user.grants)


async def get(connection: AsyncConnection, user_id: bytes) -> User:
    """The user, disabled or not; NotFound, also for one who is erased."""
    row = (await connection.execute(select(*_SHOWN).where(user_.c.id == user_id))).one_or_none()
    if row is None or row.erased_ms is not None:
        raise NotFound(f"no user {id_text(user_id)}")
    return (await _with_grants(connection, [row]))[0]


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users; what is None does not matter. `within`: with a role in these areas, or below them."""

    within: frozenset[bytes] | None = None
    disabled: bool | None = None


async def page(connection: AsyncConnection, page: Page, only: UserFilter) -> list[User]:
    """A page of the users that are not erased; BadCursor."""
    query = select(*_SHOWN).where(user_.c.erased_ms.is_(None))
    if only.within is not None:
        there = select(user_grant.c.user_id).where(user_grant.c.area_id.in_(select(below(only.within).c.id)))
        query = query.where(user_.c.id.in_(there))
    if only.disabled is not None:
        query = query.where(user_.c.disabled_ms.is_not(None) if only.disabled else user_.c.disabled_ms.is_(None))
    return await _with_grants(connection, (await connection.execute(paged(query, user_, page))).all())


async def by_login(connection: AsyncConnection, login: str) -> User | None:
    """The user with this login name, disabled or not."""
    row = (await connection.execute(select(*_SHOWN).where(user_.c.login == login))).one_or_none()
    return None if row is None else (await _with_grants(connection, [row]))[0]


async def credentials(connection: AsyncConnection, user_id: bytes) -> Credentials:
    """What the user proves who they are with; NotFound."""
    row = (await connection.execute(select(*_CREDENTIALS).where(user_.c.id == user_id))).one_or_none()
    if row is None:
        raise NotFound(f"no user {id_text(user_id)}")
    return Credentials(**row._mapping)


async def _with_grants(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[User]:
    ids = [row.id for row in rows]
    query = select(user_grant).where(user_grant.c.user_id.in_(ids)).order_by(user_grant.c.place)
    grants: dict[bytes, list[Grant]] = {}
    for grant in await connection.execute(query):
        grants.setdefault(grant.user_id, []).append(Grant(Role(grant.role), grant.area_id))
    return [_user(row, tuple(grants.get(row.id, ()))) for row in rows]


async def update(connection: AsyncConnection, user_id: bytes, values: Mapping[str, Any]) -> None:
    """Change columns of a user."""
    await connection.execute(user_.update().where(user_.c.id == user_id).values(values))


async def replace_password(connection: AsyncConnection, user_id: bytes, kept: str, fresh: str) -> None:
    """Keep another text of the same password, unless it was changed meanwhile."""
    same = (user_.c.id == user_id, user_.c.password == kept)
    await connection.execute(user_.update().where(*same).values(password=fresh))


async def set_grants(connection: AsyncConnection, user_id: bytes, grants: Iterable[Grant]) -> None:
    """These and no others are granted to the user."""
    await connection.execute(delete(user_grant).where(user_grant.c.user_id == user_id))
    rows = [
        {"user_id": user_id, "place": place, "role": str(grant.role), "area_id": grant.area_id}
        for place, grant in enumerate(grants)
    ]
    if rows:
        await connection.execute(user_grant.insert(), rows)


async def any_at_all(connection: AsyncConnection) -> bool:
    """Whether there is a user, or ever was one."""
    return (await connection.execute(select(user_.c.id).limit(1))).first() is not None


async def administrators(connection: AsyncConnection, but: bytes) -> int:
    """How many can sign in and administer the whole system, beside one user."""
    everything = exists().where(
        user_grant.c.user_id == user_.c.id,
        user_grant.c.role == str(EVERYWHERE.role),
        user_grant.c.area_id.is_(None),
    )
    query = select(func.count()).select_from(user_).where(user_.c.disabled_ms.is_(None), user_.c.id != but)
    return (await connection.execute(query.where(everything))).scalar_one()


async def take_credentials(connection: AsyncConnection) -> int:
    """Nothing opens any account any more; how many something opened."""
    values: dict[str, Any] = {**NO_SECOND_FACTOR, "password": None, "version": user_.c.version + 1}
    opened = user_.update().where(user_.c.password.is_not(None)).values(values)
    await connection.execute(delete(recovery_code))
    return (await connection.execute(opened)).rowcount


async def use_counter(connection: AsyncConnection, user_id: bytes, counter: int) -> bool:
    """Write down that the code of this period was used; False when it, or a later one, was used before."""
    unused = or_(user_.c.totp_counter.is_(None), user_.c.totp_counter < counter)
    changed = await connection.execute(
        user_.update().where(user_.c.id == user_id, unused).values(totp_counter=counter)
    )
    return changed.rowcount == 1


async def set_recovery_codes(connection: AsyncConnection, user_id: bytes, hashes: Collection[bytes]) -> None:
    """These and no others are the user's recovery codes."""
    await connection.execute(delete(recovery_code).where(recovery_code.c.user_id == user_id))
    if hashes:
        rows = [{"user_id": user_id, "sha256": sha256} for sha256 in hashes]
        await connection.execute(recovery_code.insert(), rows)


async def use_recovery_code(connection: AsyncConnection, user_id: bytes, sha256: bytes) -> bool:
    """Take a recovery code away; False when there is none."""
    mine = (recovery_code.c.user_id == user_id, recovery_code.c.sha256 == sha256)
    return (await connection.execute(delete(recovery_code).where(*mine))).rowcount == 1


async def recovery_codes(connection: AsyncConnection, user_id: bytes) -> int:
    """How many recovery codes the user has left."""
    query = select(func.count()).select_from(recovery_code).where(recovery_code.c.user_id == user_id)
    return (await connection.execute(query)).scalar_one()
