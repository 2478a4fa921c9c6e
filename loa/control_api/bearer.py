"""Bearer tokens as the HTTP face gives and takes them: 32 random bytes as text, of which only a hash is kept."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.journal.act import Act
from loa.broadcast.people.authority import require_to_give
from loa.broadcast.people.rights import Grant, Principal, Role
from loa.broadcast.records import Token
from loa.broadcast.store.paging import FIRST, Page
from loa.broadcast.store.tokens import Tokens
from loa.model import id_text, new_id


class BearerTokens:
    """Makes and checks bearer tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def any(self) -> bool:
        """Whether there is a token at all."""
        return bool(await self._tokens.list(Page(limit=1)))

    async def create(
        self,
        name: str,
        role: Role,
        act: Act,
        *,
        by: Principal | None = None,
        area_id: bytes | None = None,
        expires_ms: int | None = None,
    ) -> tuple[Token, str]:
        """A new token, and its text: told here and never again. NotFound for an area that does not exist.

        `by`: who makes it. It is theirs, and never gives more than they have (Forbidden).
        """
        text = self.new_text()
        return await self.store(text, name, role, act, by=by, area_id=area_id, expires_ms=expires_ms), text

    @staticmethod
    def new_text() -> str:
        """A text that is good for nothing until it is stored."""
        return "loa_" + secrets.token_urlsafe(32)

    async def store(
        self,
        text: str,
        name: str,
        role: Role,
        act: Act,
        *,
        by: Principal | None = None,
        area_id: bytes | None = None,
        expires_ms: int | None = None,
    ) -> Token:
        """From now on `text` is a token; durable when this returns. Conflict when it is one already."""
        token = Token(
            new_id(act.now_ms),
            name,
            role,
            _hash(text),
            act.now_ms,
            expires_ms=expires_ms,
            area_id=area_id,
            user_id=None if by is None else by.user_id,
        )

        async def allowed(connection: AsyncConnection) -> None:
            if by is not None:
                await require_to_give(connection, by, [Grant(role, area_id)])

        await self._tokens.create(token, act, allowed)
        return token

    async def list(self, page: Page = FIRST, user_id: bytes | None = None) -> list[Token]:
        """A page of the tokens, those that no longer hold too; BadCursor. With `user_id`, that user's."""
        return await self._tokens.list(page, user_id)

    async def get(self, token_id: bytes) -> Token:
        """The token, whether it still holds or not; NotFound."""
        return await self._tokens.get(token_id)

    async def revoke(self, token_id: bytes, act: Act) -> Token:
        """From now on the token is good for nothing; NotFound. Durable when this returns."""
        return await self._tokens.revoke(token_id, act)

    async def revoke_all(self, act: Act) -> int:
        """From now on no token is good for anything; how many still were. Durable when this returns."""
        return await self._tokens.revoke_all(act)

    async def check(self, text: str, now_ms: int) -> Principal | None:
        """Whom the token stands for, if it is known, not revoked, and not expired."""
        token = await self._tokens.by_sha256(_hash(text))
        if token is None or token.revoked_ms is not None:
            return None
        if token.expires_ms is not None and now_ms > token.expires_ms:
            return None
        grants = (Grant(token.role, token.area_id),)
        return Principal(f"token:{id_text(token.id)}", token.name, grants, user_id=token.user_id)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
