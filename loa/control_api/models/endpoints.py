"""Endpoints as they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from loa.broadcast.air.door import Door
from loa.broadcast.records import AreaVersion, Endpoint
from loa.broadcast.registry.endpoints import StoodAt
from loa.control_api.models.base import Name, PageQuery, Strict, utc
from loa.control_api.models.places import Instant, Position
from loa.model import EndpointKind, id_text


class StatusOut(Strict):
    """What an endpoint last said of itself. `clock_error_ms` is null while its clock is not known."""

    clock_error_ms: float | None
    drift_ppm: float
    broadcast_id: str | None
    played: int
    repaired: int
    recovered: int
    concealed: int
    unsigned: int
    depth_ms: int
    dropped: int
    underruns: int
    hard_steps: int
    volume: int


class EndpointOut(Strict):
    """An enrolled device. `linked`, `media_bound` and `door` are null when it is not known how it is.

    `media_bound`: sound can reach it, since its address is bound or it hears by link. `door`: by which way it does:
    datagrams to its own address, to its area's multicast group, or messages over its link; null when by none.
    """

    id: str
    kind: EndpointKind
    name: str
    area_id: str
    position: Position | None
    note: str
    version: int
    enrolled_at: datetime | None
    revoked_at: datetime | None
    linked: bool | None
    media_bound: bool | None
    door: Door | None
    status: StatusOut | None

    @classmethod
    def of(
        cls,
        endpoint: Endpoint,
        *,
        linked: bool | None,
        media_bound: bool | None,
        door: Door | None,
        status: StatusOut | None,
    ) -> EndpointOut:
        """As it is shown."""
        return cls(
            id=id_text(endpoint.id),
            kind=endpoint.kind,
            name=endpoint.name,
            area_id=id_text(endpoint.area_id),
            position=Position.of(endpoint.position),
            note=endpoint.note,
            version=endpoint.version,
            enrolled_at=utc(endpoint.enrolled_ms),
            revoked_at=utc(endpoint.revoked_ms),
            linked=linked,
            media_bound=media_bound,
            door=door,
            status=status,
        )


class EndpointsQuery(PageQuery):
    """Which endpoints. `area_id`: in this area or below it. `q`: part of a name, marks and case left out or not.

    `placed`: whether its position is known.
    """

    sort: Literal["created", "-created", "name", "-name"] = "created"
    q: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    area_id: UUID | None = None
    kind: EndpointKind | None = None
    revoked: bool | None = None
    placed: bool | None = None


class EndpointPatch(Strict):
    """Changes of a device. What is left out stays; a null position takes it away. `at`: from when on it has
    moved."""

    name: Name | None = None
    area_id: UUID | None = None
    position: Position | None = None
    note: Annotated[str, Field(max_length=1000)] | None = None
    at: Instant | None = None


class EndpointsMoveIn(Strict):
    """Devices that come to stand in an area, together, from now on or from an earlier instant."""

    endpoints: Annotated[list[UUID], Field(min_length=1, max_length=500)]
    area_id: UUID
    at: Instant | None = None


class EndpointsMovedOut(Strict):
    """The devices that have moved: those that did not stand there yet."""

    moved: list[str]


class EndpointHistoryQuery(Strict):
    """Where a device stood at an instant only."""

    at: Instant | None = None


class PlaceOut(Strict):
    """An area as it was called then."""

    id: str
    name: str
    level: str
    code: str | None

    @classmethod
    def of(cls, version: AreaVersion) -> PlaceOut:
        """As it is shown."""
        return cls(id=id_text(version.area_id), name=version.name, level=version.level, code=version.code)


class StayOut(Strict):
    """A device stood in `area_id` from one instant until another; null: it still does.

    `path`: from the top of the tree down to it, as it was when it began, or at the instant that was asked for.
    """

    area_id: str
    since: datetime | None
    until: datetime | None
    path: list[PlaceOut]

    @classmethod
    def of(cls, stood: StoodAt) -> StayOut:
        """As it is shown."""
        return cls(
            area_id=id_text(stood.stay.area_id),
            since=utc(stood.stay.from_ms),
            until=utc(stood.stay.until_ms),
            path=[PlaceOut.of(area) for area in stood.path],
        )


class EndpointHistoryOut(Strict):
    """Where a device has stood, the first first; at most the last hundred stays."""

    stays: list[StayOut]
