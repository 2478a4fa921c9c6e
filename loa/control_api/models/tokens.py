"""Bearer tokens as they are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from loa.broadcast.people.rights import Role
from loa.broadcast.records import Token
from loa.control_api.models.base import Name, PageQuery, Strict, utc
from loa.model import id_text


class TokenIn(Strict):
    """A token to be made: a role in `area_id` and all below it, or everywhere, for `valid_s` seconds."""

    name: Name
    role: Role
    area_id: UUID | None = None
    valid_s: Annotated[int, Field(ge=1, le=366 * 86_400)] = 90 * 86_400


class TokenOut(Strict):
    """A token without its text. `user_id`: whose it is, and with whom it ends, if it is anybody's."""

    id: str
    name: str
    role: Role
    area_id: str | None
    user_id: str | None
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, token: Token) -> TokenOut:
        """As it is shown."""
        return cls(
            id=id_text(token.id),
            name=token.name,
            role=token.role,
            area_id=id_text(token.area_id) if token.area_id else None,
            user_id=id_text(token.user_id) if token.user_id else None,
            created_at=utc(token.created_ms),
            expires_at=utc(token.expires_ms),
            revoked_at=utc(token.revoked_ms),
        )


class TokenMadeOut(TokenOut):
    """A new token with its text: shown once, never kept, so it is null when the same request comes again."""

    token: str | None


class TokensQuery(PageQuery):
    """Which tokens."""

    sort: Literal["created", "-created", "name", "-name"] = "created"
