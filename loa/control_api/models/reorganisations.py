"""Merging, splitting and dissolving areas: what is asked for, and what it would come to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, model_validator

from loa.broadcast.records import ChangeKind
from loa.broadcast.registry import reorganisation
from loa.broadcast.registry.reorganisation import Plan, Ref
from loa.control_api.models.base import Name, Strict, Word, utc
from loa.control_api.models.places import Instant, Outline, Position
from loa.model import id_text

MAX_SHOWN = 200
"""Items of each list of a plan that are shown; its counts tell of all."""

Decree = Annotated[str, Field(max_length=400)]
Areas = Annotated[list[UUID], Field(min_length=1, max_length=1000)]
Fingerprint = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="The `plan` of a preview.")]


class NewAreaIn(Strict):
    """An area to be opened. `key` names it within the request; `parent_key`: under another new one."""

    name: Name
    level: Word
    code: Word | None = None
    parent_id: UUID | None = None
    parent_key: Word | None = None
    key: Word = "new"
    position: Position | None = None
    outline: Outline | None = None

    @property
    def value(self) -> reorganisation.NewArea:
        """As the rooms below know it."""
        parent: Ref | None = self.parent_id.bytes if self.parent_id else self.parent_key
        position = self.position.value if self.position else None
        return reorganisation.NewArea(self.key, parent, self.name, self.level, self.code, position, self.outline)


class Into(Strict):
    """Where something goes: exactly one of an area that is there, a new one, and the key of one opened before."""

    area_id: UUID | None = None
    new: NewAreaIn | None = None
    key: Word | None = None

    @model_validator(mode="after")
    def _one(self) -> Into:
        if [self.area_id, self.new, self.key].count(None) != 2:
            raise ValueError("name exactly one of area_id, new and key")
        return self

    @property
    def value(self) -> reorganisation.NewArea | Ref:
        """As the rooms below know it."""
        if self.area_id is not None:
            return self.area_id.bytes
        if self.new is not None:
            return self.new.value
        assert self.key is not None
        return self.key


class MergeStep(Strict):
    """`sources` close, and all that stands in them goes into one area."""

    kind: Literal["merge"] = "merge"
    sources: Areas
    into: Into

    @property
    def value(self) -> reorganisation.Step:
        """As the rooms below know it."""
        return reorganisation.Merge(tuple(each.bytes for each in self.sources), self.into.value)


class PartIn(Strict):
    """What one part becomes, and which child areas and devices go there by name."""

    into: Into
    areas: Annotated[list[UUID], Field(max_length=1000, default_factory=list)]
    devices: Annotated[list[UUID], Field(max_length=20_000, default_factory=list)]


class SplitStep(Strict):
    """`source` is divided among `parts`.

    What no part names goes into the part in whose outline it stands, when `by_outline`; what is left stays where it
    is when `keep`, else it goes into the part number `rest`, counted from 0.
    """

    kind: Literal["split"] = "split"
    source: UUID
    parts: Annotated[list[PartIn], Field(min_length=1, max_length=100)]
    rest: Annotated[int, Field(ge=0, lt=100)] = 0
    by_outline: bool = False
    keep: bool = False

    @property
    def value(self) -> reorganisation.Step:
        """As the rooms below know it."""
        parts = tuple(
            reorganisation.Part(
                part.into.value, tuple(a.bytes for a in part.areas), tuple(d.bytes for d in part.devices)
            )
            for part in self.parts
        )
        return reorganisation.Split(self.source.bytes, parts, self.rest, self.by_outline, self.keep)


class DissolveStep(Strict):
    """`areas` close, and all that stands in them goes into the area above each.

    Rights that held in one of them end, unless `rights_follow`: then they hold in the area above.
    """

    kind: Literal["dissolve"] = "dissolve"
    areas: Areas
    rights_follow: bool = False

    @property
    def value(self) -> reorganisation.Step:
        """As the rooms below know it."""
        return reorganisation.Dissolve(tuple(each.bytes for each in self.areas), self.rights_follow)


class _Dated(Strict):
    at: Instant | None = None
    decree: Decree = ""


class MergePreviewIn(MergeStep, _Dated):
    """A merge to be looked at, in force from now on or from an earlier day, by a decree."""


class MergeIn(MergePreviewIn):
    """A merge that has been looked at."""

    plan: Fingerprint


class SplitPreviewIn(SplitStep, _Dated):
    """A split to be looked at, in force from now on or from an earlier day, by a decree."""


class SplitIn(SplitPreviewIn):
    """A split that has been looked at."""

    plan: Fingerprint


class DissolvePreviewIn(DissolveStep, _Dated):
    """A dissolution to be looked at, in force from now on or from an earlier day, by a decree."""


class DissolveIn(DissolvePreviewIn):
    """A dissolution that has been looked at."""

    plan: Fingerprint


AnyStep = Annotated[MergeStep | SplitStep | DissolveStep, Field(discriminator="kind")]


class ReorganisePreviewIn(_Dated):
    """Several steps to be looked at, taken one after the other and put in force together."""

    steps: Annotated[list[AnyStep], Field(min_length=1, max_length=500)]


class ReorganiseIn(ReorganisePreviewIn):
    """Several steps that have been looked at."""

    plan: Fingerprint


class OpeningOut(Strict):
    """An area to be opened; `parent` is an identifier, or the key of another new one."""

    key: str
    name: str
    level: str
    code: str | None
    parent: str | None


class ClosingOut(Strict):
    """An area to be closed, and what it becomes: identifiers, or keys of new ones."""

    area_id: str
    name: str
    code: str | None
    became: list[str]


class RehangingOut(Strict):
    """An area that comes to stand below another."""

    area_id: str
    name: str
    from_id: str | None
    to: str | None


class MoveOut(Strict):
    """A device that comes to stand in another area."""

    endpoint_id: str
    name: str
    from_id: str
    to: str


class RightOut(Strict):
    """A token, or a role of a user, whose area closes: it holds in `to` from then on; null: it ends."""

    kind: str
    id: str
    name: str
    role: str
    area_id: str
    to: str | None


class CodeOut(Strict):
    """An enrolment code whose area closes: its device will stand in `to`."""

    enrolment_id: str
    name: str
    area_id: str
    to: str


class AffectedOut(Strict):
    """A broadcast on air, or about to be, whose targets name an area that closes. It keeps them, and its
    listeners."""

    broadcast_id: str
    state: str


class PlanOut(Strict):
    """What it would come to. Each list shows at most 200 items; `counts` tells of all.

    `plan` is what to send to have exactly this done; it is refused when anything of this has changed by then.
    `replaced`: devices that stay in their area while something above it changes; they get a new placement too.
    """

    plan: str
    kind: ChangeKind
    effective_at: datetime | None
    decree: str
    counts: dict[str, int]
    opened: list[OpeningOut]
    closed: list[ClosingOut]
    rehung: list[RehangingOut]
    moved: list[MoveOut]
    replaced: list[str]
    rights: list[RightOut]
    codes: list[CodeOut]
    broadcasts: list[AffectedOut]
    warnings: list[str]

    @classmethod
    def of(cls, plan: Plan) -> PlanOut:
        """As it is shown."""
        return cls(
            plan=plan.fingerprint,
            kind=plan.kind,
            effective_at=utc(plan.effect_ms),
            decree=plan.decree,
            counts=plan.counts,
            opened=[
                OpeningOut(key=n.key, name=n.name, level=n.level, code=n.code, parent=_text_or_none(n.parent))
                for n in plan.opened[:MAX_SHOWN]
            ],
            closed=[
                ClosingOut(
                    area_id=id_text(c.area.id),
                    name=c.area.name,
                    code=c.area.code,
                    became=[_text(heir) for heir in c.heirs],
                )
                for c in plan.closed[:MAX_SHOWN]
            ],
            rehung=[
                RehangingOut(
                    area_id=id_text(r.area.id),
                    name=r.area.name,
                    from_id=_text_or_none(r.area.parent_id),
                    to=_text_or_none(r.parent),
                )
                for r in plan.rehung[:MAX_SHOWN]
            ],
            moved=[
                MoveOut(
                    endpoint_id=id_text(m.endpoint.id),
                    name=m.endpoint.name,
                    from_id=id_text(m.endpoint.area_id),
                    to=_text(m.to),
                )
                for m in plan.moved[:MAX_SHOWN]
            ],
            replaced=[id_text(each.id) for each in plan.replaced[:MAX_SHOWN]],
            rights=[
                RightOut(
                    kind=f.right.kind,
                    id=id_text(f.right.id),
                    name=f.right.name,
                    role=f.right.role,
                    area_id=id_text(f.right.area_id),
                    to=_text_or_none(f.to),
                )
                for f in plan.following[:MAX_SHOWN]
            ],
            codes=[
                CodeOut(
                    enrolment_id=id_text(c.enrolment.id),
                    name=c.enrolment.name,
                    area_id=id_text(c.enrolment.area_id),
                    to=_text(c.to),
                )
                for c in plan.codes[:MAX_SHOWN]
            ],
            broadcasts=[
                AffectedOut(broadcast_id=id_text(b.id), state=b.state) for b in plan.broadcasts[:MAX_SHOWN]
            ],
            warnings=list(plan.warnings[:MAX_SHOWN]),
        )


def _text(ref: Ref) -> str:
    return id_text(ref) if isinstance(ref, bytes) else ref


def _text_or_none(ref: Ref | None) -> str | None:
    return None if ref is None else _text(ref)
