"""Merging, splitting and dissolving areas over HTTP: looked at first, then done as it was seen."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from loa.broadcast.journal.act import Act
from loa.broadcast.people.rights import Right
from loa.broadcast.records import AreaChange, Lineage
from loa.broadcast.registry.reorganisation import Step
from loa.control_api.answers import answer, answer_page
from loa.control_api.auth import PRINCIPAL
from loa.control_api.cursors import page_of
from loa.control_api.models.areas import ChangeOut
from loa.control_api.models.base import PageQuery
from loa.control_api.models.reorganisations import (
    DissolveIn,
    DissolvePreviewIn,
    MergeIn,
    MergePreviewIn,
    PlanOut,
    ReorganiseIn,
    ReorganisePreviewIn,
    SplitIn,
    SplitPreviewIn,
)
from loa.control_api.once import once
from loa.control_api.places import place
from loa.control_api.problems import Problem
from loa.control_api.reach import require_in_all
from loa.control_api.requests import at_core, body, path_id, query, services
from loa.errors import Changed

MAX_AT_ONCE = 2
SORTS = {"created": "id"}


async def preview_merge(request: web.Request) -> web.Response:
    """What a merge would come to. Nothing is done."""
    given = await body(request, MergePreviewIn)
    return await _preview(request, [given.value], given.at, given.decree)


async def merge_areas(request: web.Request) -> web.Response:
    """Merge areas into one, as a preview showed it.

    409 `plan-changed` when what the plan rests on has changed: look at a new one. Devices get their new placement
    at once; what they play goes on.
    """
    given = await body(request, MergeIn)
    return await _apply(request, [given.value], given.at, given.decree, given.plan)


async def preview_split(request: web.Request) -> web.Response:
    """What a split would come to. Nothing is done."""
    given = await body(request, SplitPreviewIn)
    return await _preview(request, [given.value], given.at, given.decree)


async def split_area(request: web.Request) -> web.Response:
    """Split an area, as a preview showed it; see merging."""
    given = await body(request, SplitIn)
    return await _apply(request, [given.value], given.at, given.decree, given.plan)


async def preview_dissolve(request: web.Request) -> web.Response:
    """What dissolving areas, or a whole level, would come to. Nothing is done."""
    given = await body(request, DissolvePreviewIn)
    return await _preview(request, [given.value], given.at, given.decree)


async def dissolve_areas(request: web.Request) -> web.Response:
    """Dissolve areas into those above them, as a preview showed it; see merging."""
    given = await body(request, DissolveIn)
    return await _apply(request, [given.value], given.at, given.decree, given.plan)


async def preview_reorganise(request: web.Request) -> web.Response:
    """What several merges, splits and dissolutions would come to together. Nothing is done."""
    given = await body(request, ReorganisePreviewIn)
    return await _preview(request, [step.value for step in given.steps], given.at, given.decree)


async def reorganise_areas(request: web.Request) -> web.Response:
    """Merge, split and dissolve areas together, as a preview showed it; see merging."""
    given = await body(request, ReorganiseIn)
    return await _apply(request, [step.value for step in given.steps], given.at, given.decree, given.plan)


async def list_changes(request: web.Request) -> web.Response:
    """The changes of many areas at once that were made, imports too. Who made them is in the audit log."""
    page = page_of(query(request, PageQuery), SORTS)
    rows = await services(request).reorganiser.changes(page)
    return answer_page(request, page, rows, lambda change: ChangeOut.of(change, []))


async def get_change(request: web.Request) -> web.Response:
    """A change of many areas at once that was made, and which area became which by it."""
    return answer(request, ChangeOut.of(*await services(request).reorganiser.change(path_id(request))))


async def _preview(request: web.Request, steps: Sequence[Step], at_ms: int | None, decree: str) -> web.Response:
    core = services(request)
    with place(request, "reorganise", MAX_AT_ONCE):
        plan = await core.reorganiser.preview(steps, now_ms=core.now_ms, at_ms=at_ms, decree=decree)
        await require_in_all(request, Right.AREAS_WRITE, plan.touched)
    return answer(request, PlanOut.of(plan, people=request[PRINCIPAL].has(Right.USERS_READ)))


async def _apply(
    request: web.Request, steps: Sequence[Step], at_ms: int | None, decree: str, fingerprint: str
) -> web.Response:
    core = services(request)

    async def make(act: Act) -> tuple[AreaChange, list[Lineage]]:
        # Whoever has changed the tree meanwhile has changed the plan too, and with it the fingerprint.
        plan = await core.reorganiser.preview(steps, now_ms=core.now_ms, at_ms=at_ms, decree=decree)
        await require_in_all(request, Right.AREAS_WRITE, plan.touched)
        try:
            done = await core.reorganiser.apply(steps, fingerprint, act, at_ms=at_ms, decree=decree)
        except Changed as error:
            raise Problem(409, "plan-changed", str(error)) from error
        await at_core(request).hub.moved(done.moved)
        return await core.reorganiser.change(done.change.id)

    with place(request, "reorganise", MAX_AT_ONCE):
        change, lineage = await once(request, make, core.reorganiser.change)
    return answer(request, ChangeOut.of(change, lineage))
