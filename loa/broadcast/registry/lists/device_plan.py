"""What importing a list of devices comes to: a code for each that is not there yet. Pure, and it never removes.

A device is known by its name in its area: whoever is enrolled there under it, or has a code that is still good, is
not given another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from loa.broadcast.geometry import Position
from loa.broadcast.names import fold
from loa.broadcast.records import Area, Endpoint, Enrolment
from loa.broadcast.registry.lists.rows import DeviceList, DeviceRow, RowError
from loa.errors import PlaceError
from loa.model import id_text

_SAME_NAMES = 100


class DeviceAction(StrEnum):
    """What becomes of a row: a new code; a device that is there is placed anew; nothing, for it is enrolled, or its
    code is waiting."""

    CODE = "code"
    PLACE = "place"
    ENROLLED = "enrolled"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """What a row comes to."""

    line: int
    action: DeviceAction
    name: str
    area: Area
    position: Position | None
    endpoint: Endpoint | None = None
    replaces: Enrolment | None = None
    """A code that is still good, and is not any more when this one is given."""


@dataclass(frozen=True, slots=True)
class DeviceImportPlan:
    """What all rows come to. It can be applied when there are no errors."""

    devices: tuple[PlannedDevice, ...]
    errors: tuple[RowError, ...]

    def of(self, action: DeviceAction) -> list[PlannedDevice]:
        """The rows of which this becomes."""
        return [each for each in self.devices if each.action is action]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each."""
        return {**{str(action): len(self.of(action)) for action in DeviceAction}, "errors": len(self.errors)}

    @property
    def touched(self) -> frozenset[bytes]:
        """The areas in which something is made or changed."""
        changing = (DeviceAction.CODE, DeviceAction.PLACE)
        return frozenset(each.area.id for each in self.devices if each.action in changing)

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits: the same as long as the list and what it touches are the same."""
        said = [
            [
                each.line,
                each.action,
                each.name,
                id_text(each.area.id),
                each.position and [each.position.lat, each.position.lon],
                each.endpoint and [id_text(each.endpoint.id), each.endpoint.version],
                each.replaces and id_text(each.replaces.id),
            ]
            for each in self.devices
        ]
        errors = [[each.line, each.message] for each in self.errors]
        text = json.dumps([said, errors], ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def plan_devices(
    given: DeviceList,
    areas: Mapping[bytes, Area],
    endpoints: Iterable[Endpoint],
    codes: Iterable[Enrolment],
    *,
    under: bytes | None,
    renew: bool,
    now_ms: int,
) -> DeviceImportPlan:
    """The plan of a list.

    `areas`: all open ones that a row may name. `endpoints`: those that stand in them; `codes`: those waiting there.
    `under`: the area of rows that name none; PlaceError when it is not one of `areas`. `renew`: who has a code that
    nobody has claimed gets another in its place, for when the first were lost.
    """
    if under is not None and under not in areas:
        raise PlaceError("the devices cannot be put into an area that is closed or not there")
    by_code = {area.code: area for area in areas.values() if area.code is not None}
    by_name: dict[str, list[Area]] = {}
    for area in areas.values():
        by_name.setdefault(fold(area.name), []).append(area)
    enrolled = {(each.area_id, each.name): each for each in endpoints if each.revoked_ms is None}
    waiting = {(each.area_id, each.name): each for each in codes if each.expires_ms >= now_ms}
    planned: list[PlannedDevice] = []
    errors = list(given.errors)
    lines: dict[tuple[bytes, str], int] = {}
    for row in given.rows:
        area_or_problem = _area(row, by_code, by_name, None if under is None else areas[under])
        if isinstance(area_or_problem, str):
            errors.append(RowError(row.line, area_or_problem))
            continue
        key = (area_or_problem.id, row.name)
        first = lines.setdefault(key, row.line)
        if first != row.line:
            errors.append(RowError(row.line, f"line {first} is about the same name in the same area"))
            continue
        planned.append(_planned(row, area_or_problem, enrolled.get(key), waiting.get(key), renew))
    return DeviceImportPlan(tuple(planned), tuple(sorted(errors, key=lambda each: each.line)))


def _area(
    row: DeviceRow, by_code: Mapping[str, Area], by_name: Mapping[str, list[Area]], under: Area | None
) -> Area | str:
    """The row's area, or what is wrong."""
    if row.area is None:
        return under or "it names no area"
    if row.area in by_code:
        return by_code[row.area]
    same = by_name.get(fold(row.area), [])[:_SAME_NAMES]
    exact = [area for area in same if area.name == row.area]
    found = exact or same
    if len(found) == 1:
        return found[0]
    if found:
        return f"there are {len(found)} areas called {row.area}: name it by a code"
    return f"no area has the code or the name {row.area}"


def _planned(
    row: DeviceRow, area: Area, endpoint: Endpoint | None, waiting: Enrolment | None, renew: bool
) -> PlannedDevice:
    if endpoint is not None:
        differs = row.position is not None and row.position != endpoint.position
        action = DeviceAction.PLACE if differs else DeviceAction.ENROLLED
        return PlannedDevice(row.line, action, row.name, area, row.position, endpoint)
    if waiting is not None and not renew:
        return PlannedDevice(row.line, DeviceAction.WAITING, row.name, area, row.position)
    return PlannedDevice(row.line, DeviceAction.CODE, row.name, area, row.position, replaces=waiting)
