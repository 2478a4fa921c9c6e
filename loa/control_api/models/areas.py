"""Areas as they are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from loa.broadcast.records import Area
from loa.control_api.models.base import Name, PageQuery, Strict, Word, utc
from loa.model import id_text


class AreaIn(Strict):
    """A new area."""

    name: Name
    level: Word
    parent_id: UUID | None = None
    code: Word | None = None


class AreaOut(Strict):
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


class AreasQuery(PageQuery):
    """Which areas."""

    sort: Literal["created", "-created", "name", "-name", "level", "-level"] = "created"
    parent_id: UUID | None = None
    level: Word | None = None
    code: Word | None = None
