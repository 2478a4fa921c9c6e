"""Broadcasts as they are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from loa.broadcast.records import Broadcast, ProgrammeClass
from loa.control_api.models.base import PageQuery, Strict, utc
from loa.model import EMERGENCY_PRIORITY, BroadcastState, id_text


class Targets(Strict):
    """Who is meant: areas with all below them, and endpoints by name."""

    areas: Annotated[list[UUID], Field(max_length=64, default_factory=list)]
    endpoints: Annotated[list[UUID], Field(max_length=500, default_factory=list)]

    @model_validator(mode="after")
    def _somebody(self) -> Targets:
        if not self.areas and not self.endpoints:
            raise ValueError("name at least one area or endpoint")
        return self


class BroadcastIn(Strict):
    """A programme, on air now. Without a priority: 64 routine, 128 priority, 224 emergency."""

    programme_id: UUID
    targets: Targets
    priority: Annotated[int, Field(ge=0, le=255)] | None = None
    volume: Annotated[int, Field(ge=0, le=100)] = 100
    play_delay_ms: Annotated[int, Field(ge=50, le=10_000)] | None = None


DEFAULT_PRIORITY = {
    ProgrammeClass.ROUTINE: 64,
    ProgrammeClass.PRIORITY: 128,
    ProgrammeClass.EMERGENCY: EMERGENCY_PRIORITY,
}


class PreEmptionOut(Strict):
    """From when until when (null: it goes on) so many of a broadcast's endpoints, or fewer at times, were sent
    another one, which goes before it. Both instants are of sending: what is heard comes a play delay later."""

    from_at: datetime | None
    to_at: datetime | None
    endpoints: int


class BroadcastOut(Strict):
    """A broadcast. `reason` says how it ended; `frames_aired` is what is known to have been sent.

    `pre_empted`: in the order of time, at most 64; further ones prolong the last. Title and SHA-256 are the
    programme's when it went on air; the programme itself may be gone.
    """

    id: str
    programme_id: str
    programme_title: str
    programme_sha256: str
    state: BroadcastState
    reason: str
    priority: int
    volume: int
    play_delay_ms: int
    areas: list[str]
    endpoints: list[str]
    generation: int
    frames_total: int
    frames_aired: int
    created_at: datetime | None
    start_at: datetime | None
    ended_at: datetime | None
    pre_empted: list[PreEmptionOut]
    receipts: dict[str, int] | None = None

    @classmethod
    def of(cls, broadcast: Broadcast, receipts: dict[str, int] | None = None) -> BroadcastOut:
        """As it is shown."""
        return cls(
            id=id_text(broadcast.id),
            programme_id=id_text(broadcast.programme_id),
            programme_title=broadcast.programme_title,
            programme_sha256=broadcast.programme_sha256.hex(),
            state=broadcast.state,
            reason=broadcast.reason,
            priority=broadcast.priority,
            volume=broadcast.volume,
            play_delay_ms=broadcast.play_delay_ms,
            areas=[id_text(area) for area in broadcast.areas],
            endpoints=[id_text(endpoint) for endpoint in broadcast.endpoints],
            generation=broadcast.generation,
            frames_total=broadcast.frames_total,
            frames_aired=broadcast.frames_aired,
            created_at=utc(broadcast.created_ms),
            start_at=utc(broadcast.start_utc_ms),
            ended_at=utc(broadcast.ended_utc_ms),
            pre_empted=[
                PreEmptionOut(from_at=utc(each.from_ms), to_at=utc(each.to_ms), endpoints=each.endpoints)
                for each in broadcast.pre_empted
            ],
            receipts=receipts,
        )


class BroadcastsQuery(PageQuery):
    """Which broadcasts, made when (`since` <= t < `until`).

    `area_id`: that were for this area, for something in it, or for all of an area above it.
    """

    sort: Literal["created", "-created", "priority", "-priority"] = "created"
    state: BroadcastState | None = None
    programme_id: UUID | None = None
    area_id: UUID | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
