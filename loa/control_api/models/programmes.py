"""Programmes as they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from loa.broadcast.records import Programme, ProgrammeClass
from loa.control_api.models.base import Name, PageQuery, Strict, utc
from loa.model import id_text


class ProgrammeOut(Strict):
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


class ProgrammeForm(Strict):
    """A new programme: these fields, and after them the part `file`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, str_strip_whitespace=True)

    title: Name
    programme_class: ProgrammeClass = Field(default=ProgrammeClass.ROUTINE, alias="class")


class ProgrammesQuery(PageQuery):
    """Which programmes."""

    sort: Literal["created", "-created", "title", "-title", "duration", "-duration"] = "created"
    programme_class: ProgrammeClass | None = Field(default=None, alias="class")
