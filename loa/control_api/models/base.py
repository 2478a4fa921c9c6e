"""What all bodies share. Unknown fields are an error; identifiers are UUIDs; times are RFC 3339 in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

LINE = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
"""One line that says something, without control characters: terminals obey them, and PostgreSQL takes no NUL."""

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=LINE)]
Word = Annotated[str, Field(min_length=1, max_length=40, pattern=LINE)]


def _digits(given: object) -> object:
    """Numbers in a query are digits and nothing else: no sign, no space, no other script's digits."""
    if isinstance(given, str) and not _DIGITS.fullmatch(given):
        raise ValueError("must be a whole number without a leading zero")
    return given


_DIGITS = re.compile("0|[1-9][0-9]{0,18}")
Number = Annotated[int, BeforeValidator(_digits)]
"""A whole number in a query."""
MIN_PAGE, MAX_PAGE, DEFAULT_PAGE = 1, 500, 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Strict(BaseModel):
    """A body in which nothing may stand that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_AFTER = "Where to go on: what `next` gave."


class PageQuery(Strict):
    """Which part of a list. A list that can be sorted or filtered says so in a query of its own."""

    limit: Annotated[Number, Field(ge=MIN_PAGE, le=MAX_PAGE, description="How many items.")] = DEFAULT_PAGE
    after: Annotated[str, Field(max_length=1024, pattern="^[A-Za-z0-9_-]+$", description=_AFTER)] | None = None
    sort: str = "created"


class Problem(BaseModel):
    """An error (RFC 9457). `type` is urn:loa:problem:<slug>; further members belong to the slug."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str


def utc(ms: int | None) -> datetime | None:
    """Milliseconds since 1970 as a time. None stays None; so is a time after the year 9999, which none can show."""
    if ms is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return None


def to_ms(at: datetime) -> int:
    """A time as milliseconds since 1970. One without a zone is taken as UTC."""
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
