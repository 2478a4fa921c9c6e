"""Enrolment codes, and the claims of devices."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from loa.broadcast.records import Enrolment
from loa.control_api.models.base import Name, PageQuery, Strict, utc
from loa.control_api.models.places import Position
from loa.model import EndpointKind, id_text


class EnrolmentIn(Strict):
    """Whom a one-time code shall enrol."""

    area_id: UUID
    name: Name
    kind: Literal[EndpointKind.SPEAKER] = EndpointKind.SPEAKER
    position: Position | None = None
    valid_s: Annotated[int, Field(ge=1, le=30 * 86_400)] | None = None


class EnrolmentOut(Strict):
    """A one-time code without its secret. `endpoint_id`: what it has become."""

    id: str
    area_id: str
    kind: EndpointKind
    name: str
    position: Position | None
    created_at: datetime | None
    expires_at: datetime | None
    wrong_claims: int
    endpoint_id: str | None

    @classmethod
    def of(cls, enrolment: Enrolment) -> EnrolmentOut:
        """As it is shown."""
        return cls(
            id=id_text(enrolment.id),
            area_id=id_text(enrolment.area_id),
            kind=enrolment.kind,
            name=enrolment.name,
            position=Position.of(enrolment.position),
            created_at=utc(enrolment.created_ms),
            expires_at=utc(enrolment.expires_ms),
            wrong_claims=enrolment.wrong_claims,
            endpoint_id=None if enrolment.endpoint_id is None else id_text(enrolment.endpoint_id),
        )


class EnrolmentMadeOut(EnrolmentOut):
    """A new code: shown once, never kept, so it is null when the same request comes again."""

    code: str | None


class EnrolmentsQuery(PageQuery):
    """Which enrolments. `area_id`: in this area or below it."""

    sort: Literal["created", "-created", "name", "-name"] = "created"
    area_id: UUID | None = None


class ClaimIn(Strict):
    """A device's claim (docs/protocol.md, *Enrolment*). Bytes are base64url without padding."""

    code_id: Annotated[str, Field(min_length=5, max_length=5)]
    device_key: Annotated[str, Field(max_length=64)]
    nonce: Annotated[str, Field(max_length=64)]
    kind: Annotated[str, Field(max_length=16)]
    mac: Annotated[str, Field(max_length=64)]


class ClaimOut(Strict):
    """The answer to a claim."""

    endpoint_id: str
    root_key: str
    key_list: str
    placement: str
    mac: str
