"""Tables in CSV as spreadsheets write them here, and as they may read them. Pure.

UTF-8 with or without a byte order mark; commas, semicolons or tabs, whichever the first line has most of; the first
line names the columns, in English or Vietnamese, with or without marks.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from loa.broadcast.names import fold
from loa.broadcast.registry.lists.rows import MAX_LIST_BYTES, MAX_ROWS
from loa.errors import PlaceError

MAX_COLUMNS = 64
MAX_FIELD = 2_000
_DELIMITERS = ",;\t"
# A spreadsheet takes what begins so for a formula, even in quotes.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: its fields by column, without those that are empty."""

    number: int
    fields: Mapping[str, str]


def read_table(data: bytes, columns: Mapping[str, str]) -> Iterator[Line]:
    """The lines of the table, one by one; a line on which nothing stands is left out.

    `columns`: the column that each folded heading names; other headings are passed over. PlaceError for what is no
    such table, at the line where it stops being one.
    """
    text = _text(data)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    headings: list[str | None] | None = None
    began = rows = 0
    while True:
        began = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise PlaceError(f"line {began}: {error}") from error
        _check(began, fields)
        if not any(field.strip() for field in fields):
            continue
        if headings is None:
            headings = _headings(began, fields, columns)
            continue
        rows += 1
        if rows > MAX_ROWS:
            raise PlaceError(f"a list has at most {MAX_ROWS} rows")
        if len(fields) > len(headings):
            raise PlaceError(f"line {began}: {len(fields)} fields, but {len(headings)} columns")
        named = zip(headings, fields, strict=False)
        yield Line(began, {name: field.strip() for name, field in named if name is not None and field.strip()})
    if headings is None:
        raise PlaceError("the list is empty: its first line names the columns")


def _text(data: bytes) -> str:
    if len(data) > MAX_LIST_BYTES:
        raise PlaceError(f"a list has at most {MAX_LIST_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PlaceError(f"line {line}: this is not UTF-8; save the list as “CSV UTF-8”") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise PlaceError(f"line {line}: a list is text, and this holds a NUL")
    return text


def _delimiter(text: str) -> str:
    first = next((line for line in text[: MAX_FIELD * MAX_COLUMNS].splitlines() if line.strip()), "")
    return max(_DELIMITERS, key=first.count)


def _check(line: int, fields: Sequence[str]) -> None:
    if len(fields) > MAX_COLUMNS:
        raise PlaceError(f"line {line}: a list has at most {MAX_COLUMNS} columns")
    if any(len(field) > MAX_FIELD for field in fields):
        raise PlaceError(f"line {line}: a field has at most {MAX_FIELD} characters")


def _headings(line: int, fields: Sequence[str], columns: Mapping[str, str]) -> list[str | None]:
    headings = [columns.get(fold(field).replace("_", " ")) for field in fields]
    known = [heading for heading in headings if heading is not None]
    for heading in known:
        if known.count(heading) > 1:
            raise PlaceError(f"line {line}: two columns say the {heading}")
    return headings


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table that spreadsheets open as it is: UTF-8 with a byte order mark, commas, CRLF.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _plain(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
