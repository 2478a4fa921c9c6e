"""The official units of Viet Nam since 1 July 2025, from the package vietnam-provinces: provinces and their
communes.

Codes are written as the General Statistics Office writes them: two digits for a province, five for what is below,
so that no two units share one.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from datetime import date
from typing import Any

from vietnam_provinces import NESTED_DIVISIONS_JSON_PATH

from loa.broadcast.registry.lists.rows import AreaList, AreaRow
from loa.errors import NotFound
from loa.timing.local_days import day_begins_ms

VALID_FROM_MS = day_begins_ms(date(2025, 7, 1))
DECREE = "Quyết định 19/2025/QĐ-TTg"
"""By which the codes are made known."""
LEVELS = {
    "thành phố trung ương": "city",
    "tỉnh": "province",
    "phường": "ward",
    "xã": "commune",
    "đặc khu": "special-zone",
}


@functools.cache
def _provinces() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(NESTED_DIVISIONS_JSON_PATH.read_bytes()))


def provinces() -> list[tuple[str, str]]:
    """The code and name of each province and centrally run city. Reads a file the first time."""
    return [(_province_code(each), each["name"]) for each in _provinces()]


def official_units(province_codes: Iterable[str] | None = None) -> AreaList:
    """These provinces with all below them, or all provinces; NotFound for a code that is none."""
    by_code = {_province_code(each): each for each in _provinces()}
    rows: list[AreaRow] = []
    for code in by_code if province_codes is None else dict.fromkeys(each.zfill(2) for each in province_codes):
        if code not in by_code:
            raise NotFound(f"no province has the code {code[:8]!r}")
        rows += _rows(len(rows) + 1, code, by_code[code])
    return AreaList(rows)


def _province_code(province: dict[str, Any]) -> str:
    return f"{province['code']:02d}"


def _rows(first: int, code: str, province: dict[str, Any]) -> Iterable[AreaRow]:
    yield AreaRow(first, province["name"], code, LEVELS[province["division_type"]], valid_from_ms=VALID_FROM_MS)
    for number, unit in enumerate(province["wards"], first + 1):
        level = LEVELS[unit["division_type"]]
        yield AreaRow(number, unit["name"], f"{unit['code']:05d}", level, code, valid_from_ms=VALID_FROM_MS)
