"""Rows as bytes: the same row comes back, and what is none is refused in bounds."""

from __future__ import annotations

import gzip
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.store.row_format import (
    MAX_LINE_BYTES,
    MAX_PART_BYTES,
    Column,
    Kind,
    RowPacker,
    Value,
    decode_row,
    encode_row,
    unpack_rows,
)
from loa.errors import WireError

_VALUES: dict[Kind, st.SearchStrategy[Value]] = {
    Kind.BOOL: st.booleans(),
    Kind.BYTES: st.binary(max_size=40),
    Kind.INT: st.integers(-(1 << 63), (1 << 63) - 1),
    Kind.REAL: st.floats(allow_nan=False, allow_infinity=False),
    Kind.TEXT: st.text(st.characters(codec="utf-8"), max_size=20),
}


@st.composite
def _rows(draw: st.DrawFn) -> tuple[list[Column], list[Value]]:
    kinds = draw(st.lists(st.sampled_from(Kind), min_size=1, max_size=8))
    values: list[Value] = [draw(st.none() | _VALUES[kind]) for kind in kinds]
    return [Column(f"c{at}", kind) for at, kind in enumerate(kinds)], values


@given(_rows())
def test_a_row_comes_back_as_it_was(row: tuple[list[Column], list[Value]]) -> None:
    columns, values = row
    line = encode_row(values, columns)
    back = decode_row(line, columns)
    assert back == tuple(values)
    assert [type(value) for value in back] == [type(value) for value in values]
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert encode_row(back, columns) == line


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.lists(st.sampled_from(Kind), max_size=4))
def test_any_line_is_read_or_refused(line: bytes, kinds: list[Kind]) -> None:
    columns = [Column("c", kind) for kind in kinds]
    try:
        values = decode_row(line, columns)
    except WireError:
        return
    assert decode_row(encode_row(values, columns), columns) == values


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"[1]", Kind.BOOL),
        (b"[true]", Kind.INT),
        (b"[1.0]", Kind.INT),
        (b"[9223372036854775808]", Kind.INT),
        (b"[" + b"9" * 5000 + b"]", Kind.INT),
        (b"[1]", Kind.REAL),
        (b"[NaN]", Kind.REAL),
        (b"[1e999]", Kind.REAL),
        (b"[1]", Kind.TEXT),
        (b'["\\ud800"]', Kind.TEXT),
        (b'["\xff"]', Kind.TEXT),
        (b'["a"]', Kind.BYTES),
        (b'["a b="]', Kind.BYTES),
        ('["é"]'.encode(), Kind.BYTES),
        (b"[1, 2]", Kind.INT),
        (b"[]", Kind.INT),
        (b"{}", Kind.INT),
        (b"1", Kind.INT),
        (b"[1] [2]", Kind.INT),
        (b"[" * 100_000, Kind.INT),
        (b"", Kind.INT),
    ],
)
def test_what_is_no_row_is_refused(line: bytes, kind: Kind) -> None:
    with pytest.raises(WireError):
        decode_row(line, [Column("c", kind)])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, Kind.TEXT),
        ("x", Kind.INT),
        (True, Kind.INT),
        (1 << 63, Kind.INT),
        (math.nan, Kind.REAL),
        ("\ud800", Kind.TEXT),
    ],
)
def test_a_value_of_another_kind_is_not_written(value: Value, kind: Kind) -> None:
    with pytest.raises(ValueError, match=r".+"):
        encode_row([value], [Column("c", kind)])


def test_a_row_of_no_bound_is_not_written() -> None:
    with pytest.raises(ValueError, match="a row of"):
        encode_row(["x" * MAX_LINE_BYTES], [Column("c", Kind.TEXT)])


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"") + b"\n"), min_size=1, max_size=20))
def test_lines_come_out_of_a_part_as_they_went_in(lines: list[bytes]) -> None:
    packer = RowPacker()
    assert [packer.add(line) for line in lines] == [None] * len(lines)
    part = packer.rest()
    assert part is not None
    assert [line + b"\n" for line in unpack_rows(part)] == lines
    assert packer.rest() is None


def test_a_part_is_given_when_it_is_full() -> None:
    packer = RowPacker()
    line = b"x" * (MAX_LINE_BYTES - 1) + b"\n"
    assert packer.add(b"a\n") is None
    part = packer.add(line)
    assert part is not None
    assert [len(each) for each in unpack_rows(part)] == [1, MAX_LINE_BYTES - 1]
    assert packer.rest() is None


@given(st.binary(max_size=200))
def test_any_part_is_read_or_refused(part: bytes) -> None:
    try:
        list(unpack_rows(part))
    except WireError:
        return


@given(st.data())
def test_a_part_that_was_cut_off_or_changed_is_refused(data: st.DataObject) -> None:
    part = gzip.compress(b"".join(b"[%d]\n" % at for at in range(100)), mtime=0)
    at = data.draw(st.integers(0, len(part) - 1))
    with pytest.raises(WireError):
        list(unpack_rows(part[:at]))
    with pytest.raises(WireError):
        list(unpack_rows(part + part[: at + 1]))


@pytest.mark.parametrize("content", [bytes(MAX_PART_BYTES) + b"\n", b"[1]\n" * (MAX_PART_BYTES // 4 + 1)])
def test_a_bomb_is_refused(content: bytes) -> None:
    part = gzip.compress(content)
    assert len(part) < 100_000
    with pytest.raises(WireError, match="more than"):
        list(unpack_rows(part))
