"""Bodies of requests and answers. Unknown fields are an error; identifiers are UUIDs; times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from loa.broadcast.people.rights import Role
from loa.broadcast.records import (
    Area,
    Broadcast,
    Endpoint,
    Programme,
    ProgrammeClass,
    ReceiptRow,
    StoredOrder,
    Token,
)
from loa.codecs.enrolment_wire import to_base64
from loa.codecs.order_wire import Action
from loa.model import EMERGENCY_PRIORITY, EndpointKind, id_text

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def utc(ms: int | None) -> datetime | None:
    """Milliseconds since 1970 as a time. None stays None; so is a time after the year 9999, which none can show."""
    if ms is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return None


class AreaIn(_Strict):
    """A new area."""

    name: Name
    level: Annotated[str, Field(min_length=1, max_length=40)]
    parent_id: UUID | None = None
    code: Annotated[str, Field(max_length=40)] | None = None


class AreaOut(_Strict):
    """An area."""

    id: str
    name: str
    level: str
    parent_id: str | None
    code: str | None
    created_at: datetime | None

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
        )


class StatusOut(_Strict):
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


class EndpointOut(_Strict):
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


class EnrolmentIn(_Strict):
    """Whom a one-time code shall enrol."""

    area_id: UUID
    name: Name
    kind: Literal[EndpointKind.SPEAKER] = EndpointKind.SPEAKER
    valid_s: Annotated[int, Field(ge=1, le=30 * 86_400)] | None = None


class EnrolmentOut(_Strict):
    """The code: shown once, never kept."""

    id: str
    code: str
    expires_at: datetime | None


class ClaimIn(_Strict):
    """A device's claim (docs/protocol.md, *Enrolment*). Bytes are base64url without padding."""

    code_id: Annotated[str, Field(min_length=5, max_length=5)]
    device_key: Annotated[str, Field(max_length=64)]
    nonce: Annotated[str, Field(max_length=64)]
    kind: Annotated[str, Field(max_length=16)]
    mac: Annotated[str, Field(max_length=64)]


class ClaimOut(_Strict):
    """The answer to a claim."""

    endpoint_id: str
    root_key: str
    key_list: str
    placement: str
    mac: str


class ProgrammeOut(_Strict):
    """Stored sound, ready to go on air."""

    id: str
    title: str
    programme_class: ProgrammeClass = Field(serialization_alias="class")
    duration_s: float
    frames: int
    loudness_lufs: float
    size_bytes: int
    sha256: str
    created_at: datetime | None

    @classmethod
    def of(cls, programme: Programme) -> ProgrammeOut:
        """As it is shown."""
        return cls(
            id=id_text(programme.id),
            title=programme.title,
            programme_class=programme.klass,
            duration_s=programme.duration_ms / 1000,
            frames=programme.frames,
            loudness_lufs=programme.loudness_lufs / 100,
            size_bytes=programme.size_bytes,
            sha256=programme.sha256.hex(),
            created_at=utc(programme.created_ms),
        )


class Targets(_Strict):
    """Who is meant: areas with all below them, and endpoints by name."""

    areas: Annotated[list[UUID], Field(max_length=64)] = []
    endpoints: Annotated[list[UUID], Field(max_length=500)] = []

    @model_validator(mode="after")
    def _somebody(self) -> Targets:
        if not self.areas and not self.endpoints:
            raise ValueError("name at least one area or endpoint")
        return self


class BroadcastIn(_Strict):
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


class BroadcastOut(_Strict):
    """A broadcast. `reason` says how it ended; `frames_aired` is what is known to have been sent."""

    id: str
    programme_id: str
    state: str
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
    receipts: dict[str, int] | None = None

    @classmethod
    def of(cls, broadcast: Broadcast, receipts: dict[str, int] | None = None) -> BroadcastOut:
        """As it is shown."""
        return cls(
            id=id_text(broadcast.id),
            programme_id=id_text(broadcast.programme_id),
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
            receipts=receipts,
        )


class OrderOut(_Strict):
    """A signed order. `bundle` is docs/protocol.md's, base64url without padding: anyone can verify it."""

    order_id: str
    action: str
    issued_at: datetime | None
    expires_at: datetime | None
    bundle: str

    @classmethod
    def of(cls, order: StoredOrder) -> OrderOut:
        """As it is shown."""
        return cls(
            order_id=order.order_id.hex(),
            action=Action(order.action).name.lower(),
            issued_at=utc(order.issued_ms),
            expires_at=utc(order.expires_ms),
            bundle=to_base64(order.bundle),
        )


class OrdersOut(_Strict):
    """The orders of one broadcast, oldest first."""

    items: list[OrderOut]


class ReceiptOut(_Strict):
    """How far one order came at one endpoint. `action` is tune or stop; `presented_ns` is origin time."""

    order_id: str
    action: str
    endpoint_id: str
    state: str
    reason: str
    received_at: datetime | None
    accepted_at: datetime | None
    refused_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    presented_ns: int | None
    index: int | None
    clock_error_ms: float | None
    played: int | None
    repaired: int | None
    recovered: int | None
    concealed: int | None
    unsigned: int | None
    result: str

    @classmethod
    def of(cls, row: ReceiptRow, action: str) -> ReceiptOut:
        """As it is shown."""
        return cls(
            order_id=row.order_id.hex(),
            action=action,
            endpoint_id=id_text(row.endpoint_id),
            state=row.state.name.lower(),
            reason=row.reason,
            received_at=utc(row.received_ms),
            accepted_at=utc(row.accepted_ms),
            refused_at=utc(row.refused_ms),
            started_at=utc(row.started_ms),
            finished_at=utc(row.finished_ms),
            presented_ns=row.presented_ns,
            index=row.index,
            clock_error_ms=None if row.error_ns is None else row.error_ns / 1e6,
            played=row.played,
            repaired=row.repaired,
            recovered=row.recovered,
            concealed=row.concealed,
            unsigned=row.unsigned,
            result=row.result_reason,
        )


class TokenIn(_Strict):
    """A token to be made: a role in `area_id` and all below it, or everywhere, for `valid_s` seconds."""

    name: Name
    role: Role
    area_id: UUID | None = None
    valid_s: Annotated[int, Field(ge=1, le=366 * 86_400)] = 90 * 86_400


class TokenOut(_Strict):
    """A token without its text."""

    id: str
    name: str
    role: Role
    area_id: str | None
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, token: Token) -> TokenOut:
        """As it is shown."""
        return cls(
            id=id_text(token.id),
            name=token.name,
            role=token.role,
            area_id=id_text(token.area_id) if token.area_id else None,
            created_at=utc(token.created_ms),
            expires_at=utc(token.expires_ms),
            revoked_at=utc(token.revoked_ms),
        )


class TokenMadeOut(TokenOut):
    """A new token with its text: shown once, never kept."""

    token: str
