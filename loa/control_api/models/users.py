"""Users as they are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from loa.broadcast.people.person import Language, User
from loa.broadcast.people.rights import Grant, Role
from loa.control_api.models.base import Name, PageQuery, Strict, utc
from loa.model import id_text

MAX_GRANTS = 32

Login = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{1,63}$", description="In small letters.")]


class GrantModel(Strict):
    """A role in `area_id` and all below it, or everywhere."""

    role: Role
    area_id: UUID | None = None

    @classmethod
    def of(cls, grant: Grant) -> GrantModel:
        """As it is shown."""
        return cls(role=grant.role, area_id=None if grant.area_id is None else UUID(bytes=grant.area_id))

    def grant(self) -> Grant:
        """As it is meant."""
        return Grant(self.role, None if self.area_id is None else self.area_id.bytes)


Grants = Annotated[list[GrantModel], Field(max_length=MAX_GRANTS)]


class UserIn(Strict):
    """A new user."""

    login: Login
    name: Name
    language: Language = Language.VI
    grants: Grants = Field(default_factory=list)


class UserChangeIn(Strict):
    """What shall be otherwise; what is left out stays. Who is disabled has no session and no token any more."""

    name: Name | None = None
    language: Language | None = None
    grants: Grants | None = None
    disabled: bool | None = None


class UserOut(Strict):
    """A user."""

    id: str
    login: str
    name: str
    language: Language
    grants: list[GrantModel]
    second_factor: bool
    must_change_password: bool
    created_at: datetime | None
    disabled_at: datetime | None
    signed_in_at: datetime | None

    @classmethod
    def of(cls, user: User) -> UserOut:
        """As they are shown."""
        return cls(
            id=id_text(user.id),
            login=user.login,
            name=user.name,
            language=user.language,
            grants=[GrantModel.of(grant) for grant in user.grants],
            second_factor=user.second_factor,
            must_change_password=user.must_change_password,
            created_at=utc(user.created_ms),
            disabled_at=utc(user.disabled_ms),
            signed_in_at=utc(user.signed_in_ms),
        )


class UserMadeOut(UserOut):
    """A user with a one-time password: shown once, never kept, good for a week and one change."""

    password: str | None


class UsersQuery(PageQuery):
    """Which users. `area_id`: with a role there or below."""

    sort: Literal["created", "-created", "login", "-login", "name", "-name"] = "created"
    area_id: UUID | None = None
    disabled: bool | None = None
