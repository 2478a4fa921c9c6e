"""Bearer tokens as the HTTP face gives and takes them: 32 random bytes as text, of which only a hash is kept."""

from __future__ import annotations

import hashlib
import secrets

from loa.broadcast.records import Token
from loa.broadcast.store.tokens import Tokens
from loa.model import new_id


class BearerTokens:
    """Makes and checks bearer tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def any(self) -> bool:
        """Whether there is a token at all."""
        return bool(await self._tokens.list(limit=1))

    async def create(self, name: str, role: str, now_ms: int) -> str:
        """A new token's text: told here and never again."""
        text = self.new_text()
        await self.store(text, name, role, now_ms)
        return text

    @staticmethod
    def new_text() -> str:
        """A text that is good for nothing until it is stored."""
        return "loa_" + secrets.token_urlsafe(32)

    async def store(self, text: str, name: str, role: str, now_ms: int) -> None:
        """From now on `text` is a token; durable when this returns. Conflict when it is one already."""
        await self._tokens.create(Token(new_id(now_ms), name, role, _hash(text), now_ms))

    async def check(self, text: str, now_ms: int) -> Token | None:
        """The token, if it is known, not revoked, and not expired."""
        token = await self._tokens.by_sha256(_hash(text))
        if token is None or token.revoked_ms is not None:
            return None
        if token.expires_ms is not None and now_ms > token.expires_ms:
            return None
        return token


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
