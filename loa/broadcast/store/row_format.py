"""Rows as bytes that no database owns: one line of JSON a row, and lines together in compressed parts.

    ["YWJj", 12, "Phường Phù Liễn", null, true]

The manifest says which columns these are, and of what kind. Bytes are base64. Lines are UTF-8 and end with \\n.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from loa.errors import WireError

Value = None | bool | int | float | str | bytes
MAX_LINE_BYTES = 8 * 2**20
PART_BYTES = 8 * 2**20
"""A part is full when its lines have as many bytes."""
MAX_PART_BYTES = PART_BYTES + MAX_LINE_BYTES
_INT64 = 1 << 63
_GZIP = 31


class Kind(StrEnum):
    """What a column holds, beside nothing (null)."""

    BOOL = "bool"
    BYTES = "bytes"
    INT = "int"
    REAL = "real"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """A column, as it is told to another database."""

    name: str
    kind: Kind


def encode_row(values: Sequence[Any], columns: Sequence[Column]) -> bytes:
    """The line of a row; ValueError for a value that is not of its column's kind, or a line over MAX_LINE_BYTES."""
    cells = [_encoded(value, column) for value, column in zip(values, columns, strict=True)]
    line = json.dumps(cells, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"a row of {len(line)} bytes")
    return line


def _encoded(value: Any, column: Column) -> Any:
    match column.kind, value:
        case (_, None) | (Kind.BOOL, bool()) | (Kind.TEXT, str()):
            return value
        case Kind.INT, int() if type(value) is int and -_INT64 <= value < _INT64:
            return value
        case Kind.REAL, float():
            return value
        case Kind.BYTES, bytes():
            return base64.b64encode(value).decode("ascii")
        case _:
            raise ValueError(f"{column.name} holds a {type(value).__name__} that is no {column.kind}")


def decode_row(line: bytes, columns: Sequence[Column]) -> tuple[Value, ...]:
    """The row that a line holds, with or without its \\n; WireError when it holds none of these columns."""
    try:
        cells = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise WireError("a line that is no row") from error
    if type(cells) is not list or len(cells) != len(columns):
        raise WireError(f"a line that is no row of {len(columns)} columns")
    return tuple(_decoded(cell, column) for cell, column in zip(cells, columns, strict=True))


def _decoded(cell: Any, column: Column) -> Value:
    given: Value = None
    match column.kind, cell:
        case _, None:
            return None
        case Kind.BOOL, bool():
            given = cell
        case Kind.INT, int() if type(cell) is int and -_INT64 <= cell < _INT64:
            given = cell
        case Kind.REAL, float() if math.isfinite(cell):
            given = cell
        case Kind.TEXT, str():
            given = cell
        case Kind.BYTES, str():
            try:
                given = base64.b64decode(cell, validate=True)
            except ValueError as error:
                raise WireError(f"{column.name} holds no base64") from error
        case _:
            raise WireError(f"{column.name} holds something that is no {column.kind}")
    if isinstance(given, str) and any("\ud800" <= character <= "\udfff" for character in given):
        raise WireError(f"{column.name} holds half a character")
    return given


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


class RowPacker:
    """Gathers lines, and gives a compressed part whenever there are enough."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> bytes | None:
        """Take a line; a part when it is full."""
        self._lines.append(line)
        self._size += len(line)
        return self.rest() if self._size >= PART_BYTES else None

    def rest(self) -> bytes | None:
        """A part of what has been gathered, if there is any."""
        if not self._lines:
            return None
        part = gzip.compress(b"".join(self._lines), compresslevel=6, mtime=0)
        self._lines, self._size = [], 0
        return part


def unpack_rows(part: bytes) -> Iterator[bytes]:
    """The lines of a part; WireError when it is not whole, or holds more than MAX_PART_BYTES."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        data = unpacker.decompress(part, MAX_PART_BYTES + 1)
    except zlib.error as error:
        raise WireError("rows that are not compressed as they should be") from error
    if len(data) > MAX_PART_BYTES:
        raise WireError(f"rows of more than {MAX_PART_BYTES} bytes in one part")
    if not unpacker.eof or unpacker.unused_data or not data.endswith(b"\n"):
        raise WireError("rows that end in their middle")
    start = 0
    while start < len(data):
        end = data.index(b"\n", start)
        if end - start >= MAX_LINE_BYTES:
            raise WireError(f"a row of more than {MAX_LINE_BYTES} bytes")
        yield data[start:end]
        start = end + 1
