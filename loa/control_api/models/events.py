"""Events as they are watched."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from loa.control_api.models.base import Number, Strict


class EventsQuery(Strict):
    """Where to begin."""

    after: Annotated[Number, Field(ge=0, lt=1 << 63, description="The last event seen.")] | None = None


class EventOut(Strict):
    """Something that has happened to `subject` ("area:<uuid>"); `data` belongs to the kind."""

    seq: int
    at: datetime | None
    kind: str
    subject: str
    data: dict[str, Any]
