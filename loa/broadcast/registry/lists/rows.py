"""What lists of places come to: rows with the line each stood on, and what was wrong with the others. Values
only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loa.broadcast.geometry import Outline, Position

MAX_ROWS = 20_000
MAX_LIST_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with one row. `line` counts from 1; in GeoJSON it is the number of the feature."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class AreaRow:
    """An area as a list tells of it. What is None is not said, and stays as it is.

    `parent`: the code of the area above, or its name where that tells it; None: where the whole list is put.
    """

    line: int
    name: str
    code: str | None = None
    level: str | None = None
    parent: str | None = None
    position: Position | None = None
    outline: Outline | None = None
    valid_from_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device as a list tells of it. `area`: its area's code, or its name where that tells it."""

    line: int
    name: str
    area: str | None = None
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class AreaList:
    """The rows of a list, in its order, and the errors of those that are none."""

    rows: Sequence[AreaRow]
    errors: Sequence[RowError] = ()


@dataclass(frozen=True, slots=True)
class DeviceList:
    """The rows of a list, in its order, and the errors of those that are none."""

    rows: Sequence[DeviceRow]
    errors: Sequence[RowError] = ()
