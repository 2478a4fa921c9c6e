"""Endpoints as they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from loa.broadcast.records import Endpoint
from loa.control_api.models.base import PageQuery, Strict, utc
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
    """An enrolled device."""

    id: str
    kind: EndpointKind
    name: str
    area_id: str
    enrolled_at: datetime | None
    revoked_at: datetime | None
    linked: bool
    media_bound: bool
    status: StatusOut | None

    @classmethod
    def of(cls, endpoint: Endpoint, *, linked: bool, media_bound: bool, status: StatusOut | None) -> EndpointOut:
        """As it is shown."""
        return cls(
            id=id_text(endpoint.id),
            kind=endpoint.kind,
            name=endpoint.name,
            area_id=id_text(endpoint.area_id),
            enrolled_at=utc(endpoint.enrolled_ms),
            revoked_at=utc(endpoint.revoked_ms),
            linked=linked,
            media_bound=media_bound,
            status=status,
        )


class EndpointsQuery(PageQuery):
    """Which endpoints. `area_id`: in this area or below it."""

    sort: Literal["created", "-created", "name", "-name"] = "created"
    area_id: UUID | None = None
    kind: EndpointKind | None = None
    revoked: bool | None = None
