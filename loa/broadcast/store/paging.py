"""Lists in parts: which rows come next, in the order of one column and then of the id, however the list grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select, Table, and_, or_

from loa.errors import BadCursor

Value = int | str | bytes
_MOST = (1 << 63) - 1
_Query = TypeVar("_Query", bound="Select[Any]")


class Paged(Protocol):
    """A record that can stand in a list."""

    @property
    def id(self) -> bytes:
        """Its identifier."""


@dataclass(frozen=True, slots=True)
class Page:
    """Up to `limit` rows in the order of the column `by` and of the id, after the position `start` if there is one.

    Columns are never null. Ids grow with time, so `by="id"` is the order in which things were made.
    """

    limit: int = 100
    by: str = "id"
    descending: bool = False
    start: tuple[Value, bytes] | None = None

    def after(self, value: Value, row_id: bytes) -> Page:
        """The page that goes on behind a row with this value and id."""
        return replace(self, start=(value, row_id))

    def behind(self, row: Paged) -> Page:
        """The page that goes on behind a record."""
        return self.after(*position(self, row))


FIRST = Page()


def position(page: Page, row: Paged) -> tuple[Value, bytes]:
    """Where a record stands in the order of the page. Records name their values as their columns are named."""
    value: Value = getattr(row, page.by)
    return value, row.id


def paged(query: _Query, table: Table, page: Page) -> _Query:
    """The query, ordered and cut; BadCursor for a position that cannot be one of the column."""
    column = table.c[page.by]
    unique = column.primary_key
    row_id = column if unique else table.c.id
    if page.start is not None:
        value, last_id = page.start
        _check(value, column.type.python_type)
        later = column < value if page.descending else column > value
        if unique:
            query = query.where(later)
        else:
            id_later = row_id < last_id if page.descending else row_id > last_id
            query = query.where(or_(later, and_(column == value, id_later)))
    order = [column] if unique else [column, row_id]
    return query.order_by(*(each.desc() if page.descending else each for each in order)).limit(page.limit)


def _check(value: Value, kind: type) -> None:
    if not isinstance(value, kind):
        raise BadCursor("the position is none of this list")
    if isinstance(value, int) and abs(value) > _MOST:
        raise BadCursor("the position is too large")
    if isinstance(value, str) and "\0" in value:
        raise BadCursor("the position holds a NUL")
