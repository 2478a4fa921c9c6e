"""The audit log as it is shown."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from loa.broadcast.records import AuditEntry
from loa.control_api.models.base import LINE, Number, PageQuery, Strict, utc

_Text = Annotated[str, Field(max_length=80, pattern=LINE)]


class AuditQuery(PageQuery):
    """Which entries: by whom, of what, when (`since` ≤ t < `until`)."""

    sort: Literal["seq", "-seq"] = "-seq"
    actor: _Text | None = None
    action: _Text | None = None
    subject: _Text | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class AuditExportQuery(Strict):
    """Where the export begins."""

    after: Annotated[Number, Field(ge=0, lt=1 << 63, description="The number of the last entry you have.")] = 0


class AuditOut(Strict):
    """One entry. `hash` covers `entry`, as it was written, and the hash of the entry before."""

    seq: int
    at: datetime | None
    actor: str
    name: str
    origin: str
    request_id: str
    action: str
    subject: str
    areas: list[str]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    entry: str
    hash: str

    @classmethod
    def of(cls, row: AuditEntry) -> AuditOut:
        """As it is shown."""
        said = json.loads(row.entry)
        return cls(
            seq=row.seq,
            at=utc(row.at_ms),
            **{name: said[name] for name in ("actor", "name", "origin", "request_id", "action", "subject")},
            areas=said["areas"],
            before=said["before"],
            after=said["after"],
            entry=row.entry,
            hash=row.hash.hex(),
        )
