"""Areas from GeoJSON: a FeatureCollection whose properties say what a table's columns would. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.names import fold
from loa.broadcast.registry.lists.feature_scan import features
from loa.broadcast.registry.lists.from_csv import AREA_COLUMNS, area_row
from loa.broadcast.registry.lists.rows import MAX_LIST_BYTES, MAX_ROWS, AreaList, AreaRow, RowError
from loa.errors import PlaceError

MAX_BRACKETS = 1_000_000
MAX_COMMAS = 3_000_000
MAX_PROPERTIES = 256


def areas_from_geojson(data: bytes) -> AreaList:
    """The areas of a FeatureCollection: a Polygon or MultiPolygon is an outline, a Point a position.

    `AreaRow.line` is the number of the feature. PlaceError when it is no FeatureCollection.
    """
    rows: list[AreaRow] = []
    errors: list[RowError] = []
    for number, feature in enumerate(features(_text(data)), 1):
        if number > MAX_ROWS:
            raise PlaceError(f"a list has at most {MAX_ROWS} features")
        try:
            rows.append(_row(number, feature))
        except PlaceError as error:
            errors.append(RowError(number, str(error)))
    return AreaList(rows, errors)


def _text(data: bytes) -> str:
    if len(data) > MAX_LIST_BYTES:
        raise PlaceError(f"a list has at most {MAX_LIST_BYTES} bytes")
    # What a parser makes of many small things is many times as large as they are: they are counted first.
    if data.count(b"[") + data.count(b"{") > MAX_BRACKETS or data.count(b",") > MAX_COMMAS:
        raise PlaceError("the list has too many points; simplify the outlines")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlaceError("the list is not JSON: it is not UTF-8") from error


def _row(number: int, feature: object) -> AreaRow:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise PlaceError("this is no Feature")
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        raise PlaceError("a feature has properties: name, and code, level, parent")
    position, outline = _geometry(feature.get("geometry"))
    made = area_row(number, _fields(properties), position)
    return AreaRow(number, made.name, made.code, made.level, made.parent, position, outline, made.valid_from_ms)


def _geometry(geometry: object) -> tuple[Position | None, Outline | None]:
    if geometry is None:
        return None, None
    if isinstance(geometry, dict) and geometry.get("type") == "Point":
        coordinates = geometry.get("coordinates")
        if not isinstance(coordinates, list) or len(coordinates) not in (2, 3):
            raise PlaceError("a point is a longitude and a latitude")
        return Position.of(coordinates[1], coordinates[0]), None
    return None, Outline.of(geometry)


def _fields(properties: Mapping[str, Any]) -> dict[str, str]:
    if len(properties) > MAX_PROPERTIES:
        raise PlaceError(f"a feature has at most {MAX_PROPERTIES} properties")
    fields: dict[str, str] = {}
    for name, value in properties.items():
        column = AREA_COLUMNS.get(fold(name[:80]).replace("_", " "))
        # A position is the geometry's to say.
        if column is None or column in ("lat", "lon") or value is None or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise PlaceError(f"the {column} is a text")
        if column in fields:
            raise PlaceError(f"two properties say the {column}")
        fields[column] = str(value)
    return fields
