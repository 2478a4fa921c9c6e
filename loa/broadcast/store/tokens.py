"""Bearer tokens in the store: their SHA-256, never their text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.people.rights import Role
from loa.broadcast.records import Token
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import FIRST, Page, paged
from loa.broadcast.store.remembered import Remembered
from loa.broadcast.store.tables import token
from loa.errors import Conflict, NotFound
from loa.model import id_text

MAX_LIVE = 50
"""Tokens that one user may have at once."""

Check = Callable[[AsyncConnection], Awaitable[None]]


def _token(row: Row[Any]) -> Token:
    values = dict(row._mapping)
    return Token(**{**values, "role": Role(values["role"])})


class Tokens:
    """Who may ask for what over HTTP."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known = Remembered(db, self._by_sha256)

    async def create(self, new: Token, act: Act, allowed: Check | None = None) -> None:
        """Write a new token down, if `allowed` raises nothing in the same transaction.

        Conflict when its text is not new, or its user has MAX_LIVE already.
        """
        async with self._db.write() as connection:
            if allowed is not None:
                await allowed(connection)
            if new.user_id is not None and await _live(connection, new.user_id, act.now_ms) >= MAX_LIVE:
                raise Conflict(f"one user may have {MAX_LIVE} tokens at once: revoke some")
            await connection.execute(
                token.insert().values(
                    id=new.id,
                    name=new.name,
                    role=str(new.role),
                    sha256=new.sha256,
                    created_ms=new.created_ms,
                    expires_ms=new.expires_ms,
                    revoked_ms=new.revoked_ms,
                    area_id=new.area_id,
                    user_id=new.user_id,
                )
            )
            await journal.record(
                connection,
                act,
                "token.create",
                f"token:{id_text(new.id)}",
                areas=[] if new.area_id is None else [new.area_id],
                after={"name": new.name, "role": str(new.role), "expires_ms": new.expires_ms},
            )

    async def by_sha256(self, sha256: bytes) -> Token | None:
        """The token whose text has this SHA-256, expired and revoked ones too, as it is or was a moment ago."""
        return await self._known.get(sha256)

    async def _by_sha256(self, sha256: bytes) -> Token | None:
        async with self._db.read() as connection:
            row = (await connection.execute(select(token).where(token.c.sha256 == sha256))).one_or_none()
        return None if row is None else _token(row)

    async def list(self, page: Page = FIRST, user_id: bytes | None = None) -> list[Token]:
        """A page of the tokens, those that no longer hold too; BadCursor. With `user_id`, that user's."""
        query = select(token) if user_id is None else select(token).where(token.c.user_id == user_id)
        async with self._db.read() as connection:
            return [_token(row) for row in await connection.execute(paged(query, token, page))]

    async def get(self, token_id: bytes) -> Token:
        """The token, expired and revoked ones too; NotFound."""
        async with self._db.read() as connection:
            return await _get(connection, token_id)

    async def revoke(self, token_id: bytes, act: Act) -> Token:
        """From now on the token is good for nothing; NotFound. The first time stays."""
        async with self._db.write() as connection:
            found = await _get(connection, token_id)
            if found.revoked_ms is not None:
                return found
            await revoke(connection, found, act)
        return replace(found, revoked_ms=act.now_ms)

    async def revoke_all(self, act: Act) -> int:
        """From now on none of the tokens there are is good for anything; how many still were."""
        async with self._db.write() as connection:
            good = select(token).where(token.c.revoked_ms.is_(None))
            good = good.where(token.c.expires_ms.is_(None) | (token.c.expires_ms >= act.now_ms))
            found = [_token(row) for row in await connection.execute(good.order_by(token.c.id))]
            for each in found:
                await revoke(connection, each, act)
        return len(found)

    async def forget(self, before_ms: int, most: int) -> int:
        """Forget tokens that were good for nothing before then, at most so many; how many.

        The newest stays, so that a store that has had tokens never looks new.
        """
        newest = select(token.c.id).order_by(token.c.id.desc()).limit(1).scalar_subquery()
        ended = or_(token.c.revoked_ms < before_ms, token.c.expires_ms < before_ms)
        old = select(token.c.id).where(ended, token.c.id != newest).order_by(token.c.id).limit(most)
        async with self._db.write() as connection:
            return (await connection.execute(delete(token).where(token.c.id.in_(old)))).rowcount


async def revoke(connection: AsyncConnection, found: Token, act: Act) -> None:
    """From now on the token is good for nothing; in the caller's transaction."""
    await connection.execute(token.update().where(token.c.id == found.id).values(revoked_ms=act.now_ms))
    areas = [] if found.area_id is None else [found.area_id]
    await journal.record(connection, act, "token.revoke", f"token:{id_text(found.id)}", areas=areas)


async def _live(connection: AsyncConnection, user_id: bytes, now_ms: int) -> int:
    not_over = or_(token.c.expires_ms.is_(None), token.c.expires_ms >= now_ms)
    mine = select(func.count()).select_from(token).where(token.c.user_id == user_id, token.c.revoked_ms.is_(None))
    return (await connection.execute(mine.where(not_over))).scalar_one()


async def live_of_user(connection: AsyncConnection, user_id: bytes) -> list[Token]:
    """The user's tokens that are not revoked, in the caller's transaction; expired ones too."""
    query = select(token).where(token.c.user_id == user_id, token.c.revoked_ms.is_(None)).order_by(token.c.id)
    return [_token(row) for row in await connection.execute(query)]


async def _get(connection: AsyncConnection, token_id: bytes) -> Token:
    row = (await connection.execute(select(token).where(token.c.id == token_id))).one_or_none()
    if row is None:
        raise NotFound(f"no token {id_text(token_id)}")
    return _token(row)
