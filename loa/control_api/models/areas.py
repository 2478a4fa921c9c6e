"""Areas as they are asked for, changed and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from loa.broadcast.records import Area, AreaChange, AreaVersion, ChangeKind, Lineage
from loa.broadcast.registry.areas import AreaHistory
from loa.control_api.models.base import Name, PageQuery, Strict, Word, utc
from loa.control_api.models.places import Instant, Outline, Position
from loa.model import id_text

Code = Word


class AreaIn(Strict):
    """A new area, valid from now on or from an earlier day."""

    name: Name
    level: Word
    parent_id: UUID | None = None
    code: Code | None = None
    valid_from: Instant | None = None
    position: Position | None = None
    outline: Outline | None = None


class AreaPatch(Strict):
    """Changes of an area, in force from now on or from an earlier day. What is left out stays; null takes away."""

    name: Name | None = None
    level: Word | None = None
    parent_id: UUID | None = None
    code: Code | None = None
    position: Position | None = None
    outline: Outline | None = None
    at: Instant | None = None


class AreaCloseIn(Strict):
    """From when on the area is no more."""

    at: Instant | None = None


class AreaOut(Strict):
    """An area. One that has been closed has a `valid_until`, and its code may be another's by now."""

    id: str
    name: str
    level: str
    parent_id: str | None
    code: str | None
    created_at: datetime | None
    valid_from: datetime | None
    valid_until: datetime | None
    position: Position | None
    version: int

    @classmethod
    def of(cls, area: Area) -> AreaOut:
        """As it is shown."""
        return cls(
            id=id_text(area.id),
            name=area.name,
            level=area.level,
            parent_id=id_text(area.parent_id) if area.parent_id else None,
            code=area.code,
            created_at=utc(area.created_ms),
            valid_from=utc(area.valid_from_ms),
            valid_until=utc(area.valid_until_ms),
            position=Position.of(area.position),
            version=area.version,
        )


class AreasQuery(PageQuery):
    """Which areas. `q`: part of a name, marks and case left out or not, or a whole code. `within`: this one and
    below.

    With `at` the list is of then: names, codes and parents too; it is sorted by `created`, and `q`, `state` and
    `within` do not go with it.
    """

    sort: Literal["created", "-created", "name", "-name", "level", "-level"] = "created"
    q: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    parent_id: UUID | None = None
    level: Word | None = None
    code: Code | None = None
    state: Literal["open", "closed"] | None = None
    within: UUID | None = None
    at: Instant | None = None


class AreaVersionOut(Strict):
    """What an area was from one instant until another; null: it still is."""

    since: datetime | None
    until: datetime | None
    name: str
    level: str
    code: str | None
    parent_id: str | None

    @classmethod
    def of(cls, version: AreaVersion) -> AreaVersionOut:
        """As it is shown."""
        return cls(
            since=utc(version.from_ms),
            until=utc(version.until_ms),
            name=version.name,
            level=version.level,
            code=version.code,
            parent_id=id_text(version.parent_id) if version.parent_id else None,
        )


class LineageOut(Strict):
    """By this change, at this instant and by this decree, one area became another, or a part of it did."""

    change_id: str
    kind: ChangeKind
    at: datetime | None
    decree: str
    from_id: str
    to_id: str

    @classmethod
    def of(cls, lineage: Lineage) -> LineageOut:
        """As it is shown."""
        return cls(
            change_id=id_text(lineage.change.id),
            kind=lineage.change.kind,
            at=utc(lineage.change.at_ms),
            decree=lineage.change.decree,
            from_id=id_text(lineage.from_id),
            to_id=id_text(lineage.to_id),
        )


class AreaHistoryOut(Strict):
    """All that an area has been, the first first; what it came from, and what it became."""

    versions: list[AreaVersionOut]
    came_from: list[LineageOut]
    became: list[LineageOut]

    @classmethod
    def of(cls, area_id: bytes, history: AreaHistory) -> AreaHistoryOut:
        """As it is shown."""
        return cls(
            versions=[AreaVersionOut.of(version) for version in history.versions],
            came_from=[LineageOut.of(each) for each in history.lineage if each.to_id == area_id],
            became=[LineageOut.of(each) for each in history.lineage if each.from_id == area_id],
        )


class ChangeOut(Strict):
    """A change of many areas at once that was made. `became`: which area became which."""

    id: str
    kind: ChangeKind
    at: datetime | None
    recorded_at: datetime | None
    decree: str
    counts: dict[str, int]
    became: list[LineageOut]

    @classmethod
    def of(cls, change: AreaChange, lineage: list[Lineage]) -> ChangeOut:
        """As it is shown."""
        return cls(
            id=id_text(change.id),
            kind=change.kind,
            at=utc(change.at_ms),
            recorded_at=utc(change.recorded_ms),
            decree=change.decree,
            counts=change.counts,
            became=[LineageOut.of(each) for each in lineage],
        )


class GeoJsonQuery(Strict):
    """What is on the map. `within`: this area and below. `devices`: with the devices that the caller may see."""

    within: UUID | None = None
    devices: bool = True
