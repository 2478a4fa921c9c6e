"""Cursors: where a list goes on, as text that callers hand back and need not understand."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

from loa.broadcast.store.paging import Page, Paged, position
from loa.control_api.models.base import PageQuery
from loa.control_api.problems import Problem

_BAD = "`after` must be what `next` gave, with the same sort"


def page_of(query: PageQuery, sorts: Mapping[str, str]) -> Page:
    """The page that a query asks for. `sorts`: the column behind each word for sorting; Problem 422 otherwise.

    A `-` before the word sorts downwards.
    """
    by = sorts.get(query.sort.removeprefix("-"))
    if by is None:
        raise Problem(422, "invalid", f"sort: one of {', '.join(sorts)}, with a - before it for downwards")
    page = Page(limit=query.limit, by=by, descending=query.sort.startswith("-"))
    return page if query.after is None else page.after(*_read(query.after, by))


def cursor(page: Page, row: Paged) -> str:
    """Where the list goes on after `row`."""
    value, row_id = position(page, row)
    said = [page.by, value.hex() if isinstance(value, bytes) else value, row_id.hex()]
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _read(text: str, by: str) -> tuple[int | str | bytes, bytes]:
    try:
        said = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        name, value, row_id = said
        if name != by or not isinstance(value, int | str) or isinstance(value, bool):
            raise ValueError(name)
        row = bytes.fromhex(row_id)
        return (row if by == "id" else value), row
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise Problem(422, "invalid", _BAD) from error
