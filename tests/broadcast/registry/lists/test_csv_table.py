"""CSV as spreadsheets write it, and as enemies do."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loa.broadcast.registry.lists.csv_table import MAX_FIELD, read_table, write_table
from loa.broadcast.registry.lists.rows import MAX_LIST_BYTES, MAX_ROWS
from loa.errors import PlaceError

COLUMNS = {"ten": "name", "name": "name", "ma": "code", "code": "code"}
TABLE = [("Phù Liễn", "11359"), ("Văn Đẩu", "11356")]


def lines(data: bytes) -> list[tuple[int, dict[str, str]]]:
    return [(line.number, dict(line.fields)) for line in read_table(data, COLUMNS)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("heading", ["Tên", "ten", "NAME", " TÊN "])
def test_a_table_is_read_however_it_was_written(end: str, delimiter: str, encoding: str, heading: str) -> None:
    text = end.join(delimiter.join(row) for row in [(heading, "Mã"), *TABLE]) + end
    assert lines(text.encode(encoding)) == [
        (number, {"name": name, "code": code}) for number, (name, code) in enumerate(TABLE, 2)
    ]


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    data = 'ten,ghi chu\n\n"Phù\nLiễn",x\n,\nVăn Đẩu\n'.encode()
    assert lines(data) == [(3, {"name": "Phù\nLiễn"}), (6, {"name": "Văn Đẩu"})]


def test_what_no_column_is_known_for_is_passed_over() -> None:
    assert lines("x,ten,y\n1,Phù Liễn,2\n".encode()) == [(2, {"name": "Phù Liễn"})]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "empty"),
        (b"\n\n ,\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        ("tên\nPhù Liễn".encode("cp1258", "replace"), "UTF-8"),
        ("tên\nPhù Liễn".encode("utf-16"), "line 1: this is not UTF-8"),
        (b"ten\nab\0c", "line 2: .* NUL"),
        (b"ten\na,b", "line 2: 2 fields, but 1 columns"),
        (b'ten\n"a', "line 2"),
        (b'ten\n"a"b', "line 2"),
        (b"ten\n" + b"x" * (MAX_FIELD + 1), "line 2: a field"),
        (b"ten\n" + b'"' + b"x" * 200_000 + b'"', "line 2"),
        (b"," * 64, "64 columns"),
        (b"ten,name\na,b", "two columns say the name"),
        (b"ten\n" + b"x\n" * (MAX_ROWS + 1), f"at most {MAX_ROWS} rows"),
        (b"x" * (MAX_LIST_BYTES + 1), "bytes"),
    ],
    ids=str,
)
def test_what_is_no_table_is_told_so_and_where(data: bytes, match: str) -> None:
    with pytest.raises(PlaceError, match=match):
        lines(data)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b'ten\n"')
@example(b"\xff\xfe")
def test_any_bytes_are_a_table_or_told_not_to_be(data: bytes) -> None:
    try:
        found = lines(data)
    except PlaceError:
        return
    assert all(number > 1 and all(fields.values()) for number, fields in found)


_cells = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20)


@given(st.lists(st.tuples(_cells, _cells), max_size=8))
def test_what_is_written_no_spreadsheet_takes_for_a_formula(rows: list[tuple[str, str]]) -> None:
    data = write_table(("ten", "code"), rows)
    read = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert len(read) == len(rows) + 1
    for cells, given_ in zip(read[1:], rows, strict=True):
        for cell, value in zip(cells, given_, strict=True):
            assert cell in (value, f"'{value}")
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))


def test_numbers_are_written_as_they_are() -> None:
    data = write_table(("ten", "lat"), [("=HYPERLINK(1)", -20.5)])
    assert data.decode("utf-8-sig") == "ten,lat\r\n'=HYPERLINK(1),-20.5\r\n"
