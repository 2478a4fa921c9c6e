"""Programmes as they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from loa.broadcast.records import Programme, ProgrammeClass
from loa.control_api.models.base import Name, PageQuery, Strict, utc
from loa.model import id_text


class ProgrammeOut(Strict):
    """Stored sound, ready to go on air. It belongs to an area, or to the whole city; `owner` made it."""

    id: str
    title: str
    programme_class: ProgrammeClass = Field(serialization_alias="class")
    area_id: str | None
    owner: str
    version: int
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
            area_id=None if programme.area_id is None else id_text(programme.area_id),
            owner=programme.owner,
            version=programme.version,
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
    area_id: UUID | None = Field(default=None, description="Whose it is; without it, the whole city's.")
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="The file's, to be sure that it came as it was sent."
    )


class ProgrammeChange(Strict):
    """What is to be another; what is left out stays."""

    title: Name | None = None
    programme_class: ProgrammeClass | None = Field(default=None, alias="class")

    @model_validator(mode="after")
    def _something(self) -> ProgrammeChange:
        if self.title is None and self.programme_class is None:
            raise ValueError("name something to change")
        return self


class ProgrammesQuery(PageQuery):
    """Which programmes, made when (`since` <= t < `until`); of an area means of those below it too."""

    sort: Literal["created", "-created", "title", "-title", "duration", "-duration"] = "created"
    programme_class: ProgrammeClass | None = Field(default=None, alias="class")
    area_id: UUID | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
