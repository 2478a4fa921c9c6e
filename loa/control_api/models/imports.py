"""Lists taken in: what is asked for, and what they come to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from loa.broadcast.registry.importer import AreaImport
from loa.broadcast.registry.lists.area_plan import Action, PlannedArea
from loa.broadcast.registry.lists.device_plan import DeviceAction, DeviceImportPlan
from loa.broadcast.registry.lists.rows import RowError
from loa.control_api.models.base import Strict, utc
from loa.control_api.models.reorganisations import MAX_SHOWN, Decree, Fingerprint
from loa.model import id_text

ValidS = Annotated[int, Field(ge=1, le=30 * 86_400)]


class AreaListForm(Strict):
    """A list of areas, behind these fields as `file`: CSV or a GeoJSON FeatureCollection.

    `under`: the area in which rows stand that name no parent. `dry_run`: only tell what it would come to. `plan`:
    take it in only if it still comes to what a dry run told. `source`: whence it is, for the record.
    """

    format: Literal["csv", "geojson"]
    under: UUID | None = None
    dry_run: bool = False
    plan: Fingerprint | None = None
    source: Decree = ""


class OfficialIn(Strict):
    """Provinces by their official codes, each with all units below it."""

    provinces: Annotated[
        list[Annotated[str, Field(pattern="^[0-9]{1,2}$", examples=["31"])]], Field(min_length=1, max_length=34)
    ]
    under: UUID | None = None
    dry_run: bool = False
    plan: Fingerprint | None = None


class RowErrorOut(Strict):
    """What is the matter with a row; in GeoJSON `line` is the number of the feature."""

    line: int
    message: str

    @classmethod
    def of(cls, error: RowError) -> RowErrorOut:
        """As it is shown."""
        return cls(line=error.line, message=error.message)


class PlannedAreaOut(Strict):
    """A row that makes an area or changes one; `changes` names what differs."""

    line: int
    action: Action
    area_id: str | None
    name: str
    level: str
    code: str | None
    changes: list[str]

    @classmethod
    def of(cls, planned: PlannedArea) -> PlannedAreaOut:
        """As it is shown."""
        return cls(
            line=planned.line,
            action=planned.action,
            area_id=id_text(planned.area.id) if planned.area else None,
            name=planned.name,
            level=planned.level,
            code=planned.code,
            changes=list(planned.changes),
        )


class AreaImportOut(Strict):
    """What a list of areas came to, or would. Each list shows at most 200 items; `counts` tells of all.

    `applied`: it was taken in. `change_id`: under which this is on record; null when nothing was changed.
    `moved`: how many devices get a new placement by it.
    """

    applied: bool
    plan: str
    change_id: str | None
    counts: dict[str, int]
    moved: int
    rows: list[PlannedAreaOut]
    errors: list[RowErrorOut]
    warnings: list[RowErrorOut]

    @classmethod
    def of(cls, made: AreaImport, *, applied: bool) -> AreaImportOut:
        """As it is shown."""
        plan = made.plan
        changing = [*plan.of(Action.CREATE), *plan.of(Action.UPDATE)]
        return cls(
            applied=applied,
            plan=plan.fingerprint,
            change_id=None if made.change is None else id_text(made.change.id),
            counts=plan.counts,
            moved=len(made.moved),
            rows=[PlannedAreaOut.of(each) for each in changing[:MAX_SHOWN]],
            errors=[RowErrorOut.of(each) for each in plan.errors[:MAX_SHOWN]],
            warnings=[RowErrorOut.of(each) for each in plan.warnings[:MAX_SHOWN]],
        )


class DeviceListForm(Strict):
    """A list of devices, behind these fields as `file`: CSV with name, area code, latitude and longitude.

    `under`: the area of rows that name none. `renew`: give those another code whose code is still waiting.
    `valid_s`: how long codes are good. `dry_run` and `plan` as for areas.
    """

    under: UUID | None = None
    renew: bool = False
    valid_s: ValidS | None = None
    dry_run: bool = False
    plan: Fingerprint | None = None


class DeviceCodesForm(Strict):
    """As DeviceListForm, taken in at once."""

    under: UUID | None = None
    renew: bool = False
    valid_s: ValidS | None = None


class DeviceCodeOut(Strict):
    """A row that was given an enrolment code. It is told here and never again."""

    line: int
    name: str
    area_id: str
    area_name: str
    code: str


class DeviceImportOut(Strict):
    """What a list of devices came to, or would. `codes` holds all of them; `errors` at most 200."""

    applied: bool
    plan: str
    counts: dict[str, int]
    expires_at: datetime | None
    codes: list[DeviceCodeOut]
    errors: list[RowErrorOut]

    @classmethod
    def of(
        cls, plan: DeviceImportPlan, *, applied: bool, codes: dict[int, str], expires_ms: int | None
    ) -> DeviceImportOut:
        """As it is shown."""
        return cls(
            applied=applied,
            plan=plan.fingerprint,
            counts=plan.counts,
            expires_at=utc(expires_ms),
            codes=[
                DeviceCodeOut(
                    line=each.line,
                    name=each.name,
                    area_id=id_text(each.area.id),
                    area_name=each.area.name,
                    code=codes[each.line],
                )
                for each in plan.of(DeviceAction.CODE)
                if each.line in codes
            ],
            errors=[RowErrorOut.of(each) for each in plan.errors[:MAX_SHOWN]],
        )
