"""Areas and devices from CSV and GeoJSON, and the official units: rows that are whole, and errors that name their
line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.registry.lists.from_csv import areas_from_csv, devices_from_csv
from loa.broadcast.registry.lists.from_geojson import MAX_BRACKETS, areas_from_geojson
from loa.broadcast.registry.lists.official_units import official_units, provinces
from loa.broadcast.registry.lists.rows import MAX_LIST_BYTES, MAX_ROWS, AreaRow, DeviceRow, RowError
from loa.errors import NotFound, PlaceError

FIRST_OF_JULY_MS = 1_751_302_800_000


def test_areas_of_a_table() -> None:
    data = (
        "Mã;Tên;Cấp;Trực thuộc;Vĩ độ;Kinh độ;Từ ngày\n"
        "31;Hải Phòng;city;;;;01/07/2025\n"
        ";  Thôn   Đồng ;hamlet;Phù Liễn;20,8012345678;106.6;2025-07-01\n"
    ).encode()
    assert areas_from_csv(data).rows == [
        AreaRow(2, "Hải Phòng", "31", "city", None, None, None, FIRST_OF_JULY_MS),
        AreaRow(3, "Thôn Đồng", None, "hamlet", "Phù Liễn", Position(20.8012346, 106.6), None, FIRST_OF_JULY_MS),
    ]


def test_devices_of_a_table() -> None:
    found = devices_from_csv("Tên cụm loa,Mã xã,lat,lon\nLoa 1,11359,20.8,106.6\nLoa 2,,,\n".encode())
    assert found.rows == [DeviceRow(2, "Loa 1", "11359", Position(20.8, 106.6)), DeviceRow(3, "Loa 2")]
    assert found.errors == []


def test_a_wrong_row_does_not_hide_the_others() -> None:
    rows = ["a,20,106", ",20,106", "b,91,106", "c,20,", "d,x,1", "e,nan,1", "f,1e999,1", "g,1_0,1", "h,٣,١"]
    rows.append("i,0x1,1")
    found = devices_from_csv(("ten,lat,lon\n" + "\n".join([*rows, "j,-2e1,1"])).encode())
    assert [row.name for row in found.rows] == ["a", "j"]
    assert [error.line for error in found.errors] == list(range(3, 12))
    days = ["2025-13-01", "01/13/2025", "hôm nay", "2025-07-01T00:00", "x" * 1000, "1/2/3/4", "0/0/0"]
    found_areas = areas_from_csv(("ten,tu ngay\n" + "\n".join(f"a,{day}" for day in days)).encode())
    assert (found_areas.rows, [error.line for error in found_areas.errors]) == ([], list(range(2, 9)))


@given(st.binary(max_size=100))
def test_any_bytes_are_a_list_or_told_not_to_be(data: bytes) -> None:
    for parse in (areas_from_csv, devices_from_csv, areas_from_geojson):
        for prefix in (b"", b"ten,ma,lat,lon,tu ngay\n", b'{"type":"FeatureCollection","features":['):
            try:
                found = parse(prefix + data)
            except PlaceError:
                continue
            assert all(row.name.strip() for row in found.rows)


RING = [[106.0, 20.0], [107.0, 20.0], [107.0, 21.0], [106.0, 20.0]]


def collection(*features: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def feature(geometry: Any = None, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def test_areas_of_a_feature_collection() -> None:
    polygon = {"type": "Polygon", "coordinates": [RING]}
    found = areas_from_geojson(
        b"\xef\xbb\xbf"
        + collection(
            feature(polygon, name="Phù Liễn", code=11359, level="ward", parent="31", population=[1, {"a": None}]),
            feature({"type": "Point", "coordinates": [106.6, 20.8, 12]}, TEN="Thôn Đồng", MA=None, cap=""),
            feature(None, Name="Văn Đẩu", lat="not read here"),
        )
    )
    assert found.errors == []
    assert found.rows == [
        AreaRow(1, "Phù Liễn", "11359", "ward", "31", None, Outline.of(polygon)),
        AreaRow(2, "Thôn Đồng", position=Position(20.8, 106.6)),
        AreaRow(3, "Văn Đẩu"),
    ]


@given(st.text(max_size=5).map(str.split).map("".join), st.sampled_from(["", " ", "\n\t\r"]), st.booleans())
def test_members_may_stand_in_any_order_with_any_blanks(name: str, blank: str, first: bool) -> None:
    more = {"crs": {"features": [1]}, f"x{name}": [[]]}
    kind, features = {"type": "FeatureCollection"}, {"features": [feature(None, name="a"), feature(None, name="b")]}
    members = (features | more | kind) if first else (kind | more | features)
    text = json.dumps(members, separators=(f"{blank},{blank}", f"{blank}:{blank}"))
    assert [row.name for row in areas_from_geojson(f"{blank}{text}{blank}".encode()).rows] == ["a", "b"]


def test_a_wrong_feature_does_not_hide_the_others() -> None:
    wrong: list[Any] = [
        None,
        [],
        {"type": "Feature"},
        feature(None),
        feature(None, name=["a"]),
        feature(None, name=True),
        feature(None, name="a", ten="b"),
        feature(None, name="a\ud800"),
        feature({"type": "Point", "coordinates": []}, name="a"),
        feature({"type": "Point", "coordinates": ["a", None]}, name="a"),
        feature({"type": "LineString", "coordinates": RING}, name="a"),
        feature({"type": "GeometryCollection", "geometries": []}, name="a"),
        feature({"type": "Polygon", "coordinates": [[[1e300, 0]] * 4]}, name="a"),
        feature({"type": "Polygon", "coordinates": [[[[[0]]]]]}, name="a"),
        feature("x", name="a"),
        feature(None, name="a", **{f"p{n}": 1 for n in range(300)}),
    ]
    found = areas_from_geojson(collection(*wrong, feature(None, name="good")))
    assert [row.name for row in found.rows] == ["good"]
    assert [error.line for error in found.errors] == list(range(1, len(wrong) + 1))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b'{"type":"FeatureCollection","features":[NaN]}', "NaN"),
        (b'{"type":"FeatureCollection","features":[-Infinity]}', "Infinity"),
        (b'{"type":"FeatureCollection","features":[' + b"9" * 10_000 + b"]}", "digits"),
        (b"[" * (MAX_BRACKETS + 1), "too many points"),
        (b"[" + b"1," * 3_000_001, "too many points"),
        (b" " * (MAX_LIST_BYTES + 1), "bytes"),
        (b'"text"', "FeatureCollection"),
        (b"nul", "not JSON"),
        (b'{"features":[],"type":"FeatureCollection"} x', "behind its end"),
        (b'{"features":[],"features":[]}', "each once"),
        (b'{"features":[1 2]}', "missing"),
        (b'{"features":[1,]}', "not JSON"),
        (b'{"features":[]', "not JSON"),
        (b'{"type":"FeatureCollection" "features":[]}', "missing"),
        (b"{1:2}", "names"),
        (b'{"type":"Feature"}', "FeatureCollection"),
        (b'{"type":"FeatureCollection"}', "list"),
        (b'{"type":"FeatureCollection","features":{}}', "list"),
        (b'{"type":"FeatureCollection","features":[' + b"1," * MAX_ROWS + b"1]}", "at most"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_feature_collection_is_told_so(data: bytes, match: str) -> None:
    with pytest.raises(PlaceError, match=match):
        areas_from_geojson(data)


def test_hai_phong_is_one_city_with_114_units_below_it() -> None:
    found = official_units(["31"])
    assert found.rows[0].name == "Thành phố Hải Phòng"
    assert (found.rows[0].code, found.rows[0].level, found.rows[0].parent) == ("31", "city", None)
    below = found.rows[1:]
    assert len(below) == 114
    assert {row.parent for row in below} == {"31"}
    assert {row.level for row in below} == {"ward", "commune", "special-zone"}
    assert {row.name for row in below if row.level == "special-zone"} == {"Đặc khu Cát Hải", "Đặc khu Bạch Long Vĩ"}


def test_the_whole_country_has_3321_units_whose_codes_are_their_own() -> None:
    found = official_units()
    codes = [row.code for row in found.rows]
    assert len(provinces()) == 34
    assert len(codes) == len(set(codes)) == 34 + 3321
    assert {len(code) for code in codes if code is not None} == {2, 5}
    assert official_units(["1", "01"]).rows == official_units(["01"]).rows
    with pytest.raises(NotFound, match="no province"):
        official_units(["99"])


def test_an_error_is_told_with_its_line() -> None:
    assert areas_from_csv(b"ten,lat,lon\nA,99,1\n").errors == [
        RowError(2, "longitude is -180 to 180 and latitude -90 to 90 degrees")
    ]
