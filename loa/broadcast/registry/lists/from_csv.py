"""Areas and devices from CSV. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from loa.broadcast.geometry import Position
from loa.broadcast.names import MAX_NAME, clean, clean_code, clean_level
from loa.broadcast.registry.lists.csv_table import read_table
from loa.broadcast.registry.lists.rows import AreaList, AreaRow, DeviceList, DeviceRow, RowError
from loa.errors import PlaceError
from loa.timing.local_days import instant_ms

# Folded headings; the columns that a row may have are the values.
AREA_COLUMNS = {
    "code": "code", "ma": "code", "ma dvhc": "code", "ma xa": "code",
    "name": "name", "ten": "name", "ten dvhc": "name", "ten don vi": "name",
    "level": "level", "cap": "level", "loai": "level",
    "parent": "parent", "parent code": "parent", "ma cha": "parent", "cha": "parent",
    "cap tren": "parent", "truc thuoc": "parent",
    "lat": "lat", "latitude": "lat", "vi do": "lat",
    "lon": "lon", "lng": "lon", "longitude": "lon", "kinh do": "lon",
    "valid from": "valid_from", "tu ngay": "valid_from", "hieu luc tu": "valid_from",
}  # fmt: skip
DEVICE_COLUMNS = {
    "name": "name", "ten": "name", "ten cum loa": "name", "ten thiet bi": "name",
    "area": "area", "area code": "area", "ma": "area", "ma dvhc": "area", "ma xa": "area", "don vi": "area",
    "lat": "lat", "latitude": "lat", "vi do": "lat",
    "lon": "lon", "lng": "lon", "longitude": "lon", "kinh do": "lon",
}  # fmt: skip

Row = TypeVar("Row")


def areas_from_csv(data: bytes) -> AreaList:
    """The areas of a table; PlaceError when it is none, or has no column for names."""
    return AreaList(*_rows(data, AREA_COLUMNS, _area_row))


def devices_from_csv(data: bytes) -> DeviceList:
    """The devices of a table; PlaceError when it is none, or has no column for names."""
    return DeviceList(*_rows(data, DEVICE_COLUMNS, _device_row))


def _rows(
    data: bytes, columns: Mapping[str, str], make: Callable[[int, Mapping[str, str]], Row]
) -> tuple[list[Row], list[RowError]]:
    rows: list[Row] = []
    errors: list[RowError] = []
    for line in read_table(data, columns):
        try:
            rows.append(make(line.number, line.fields))
        except PlaceError as error:
            errors.append(RowError(line.number, str(error)))
    return rows, errors


def _area_row(line: int, fields: Mapping[str, str]) -> AreaRow:
    return area_row(line, fields, _position(fields))


def area_row(line: int, fields: Mapping[str, str], position: Position | None) -> AreaRow:
    """An area from its fields as text; PlaceError."""
    level, parent, begins = fields.get("level"), fields.get("parent"), fields.get("valid_from")
    return AreaRow(
        line,
        name=clean(fields.get("name", ""), "the name"),
        code=clean_code(fields.get("code")),
        level=None if level is None else clean_level(level),
        parent=None if parent is None else clean(parent, "the parent", MAX_NAME),
        position=position,
        valid_from_ms=None if begins is None else _instant(begins),
    )


def _device_row(line: int, fields: Mapping[str, str]) -> DeviceRow:
    area = fields.get("area")
    return DeviceRow(
        line,
        name=clean(fields.get("name", ""), "the name"),
        area=None if area is None else clean(area, "the area", MAX_NAME),
        position=_position(fields),
    )


def _position(fields: Mapping[str, str]) -> Position | None:
    lat, lon = fields.get("lat"), fields.get("lon")
    if lat is None and lon is None:
        return None
    if lat is None or lon is None:
        raise PlaceError("a position is a latitude and a longitude")
    return Position.of(_degrees(lat), _degrees(lon))


def _degrees(text: str) -> float:
    # Where commas divide nothing, spreadsheets write decimals with them.
    try:
        plain = len(text) <= 32 and text.isascii() and "_" not in text
        return float(text.replace(",", ".")) if plain else float("nan")
    except ValueError as error:
        raise PlaceError(f"{text[:32]!r} is no number of degrees") from error


def _instant(text: str) -> int:
    day, _, rest = text.partition("/")
    month, _, year = rest.partition("/")
    if year:  # 01/07/2025, as days are written here
        text = f"{year}-{month.zfill(2)}-{day.zfill(2)}"
    try:
        return instant_ms(text)
    except (ValueError, OverflowError) as error:
        raise PlaceError(f"{text[:40]!r} is no day: write 2025-07-01 or 01/07/2025") from error
