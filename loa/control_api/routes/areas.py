"""Areas over HTTP."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.people.rights import Right
from loa.broadcast.registry.edits import AreaEdit
from loa.broadcast.store.areas import AreaFilter
from loa.control_api.answers import answer, answer_page
from loa.control_api.auth import act_of
from loa.control_api.conditions import expected_version
from loa.control_api.cursors import page_of
from loa.control_api.models.areas import (
    AreaCloseIn,
    AreaHistoryOut,
    AreaIn,
    AreaOut,
    AreaPatch,
    AreasQuery,
)
from loa.control_api.models.places import kept
from loa.control_api.once import once
from loa.control_api.problems import Problem
from loa.control_api.reach import require_in
from loa.control_api.requests import at_core, body, path_id, query, services
from loa.errors import NotFound

SORTS = {"created": "id", "name": "folded", "level": "level"}


async def create_area(request: web.Request) -> web.Response:
    """Make an area, at the top or under another."""
    given = await body(request, AreaIn)
    areas = services(request).areas
    parent = given.parent_id.bytes if given.parent_id else None
    await require_in(request, Right.AREAS_WRITE, parent)
    area = await once(
        request,
        lambda act: areas.create(
            parent,
            given.name,
            given.level,
            given.code,
            act,
            valid_from_ms=given.valid_from,
            position=given.position.value if given.position else None,
            outline=given.outline,
        ),
        areas.get,
    )
    return answer(request, AreaOut.of(area))


async def list_areas(request: web.Request) -> web.Response:
    """The areas that there are, or, with `at`, that there were."""
    given = query(request, AreasQuery)
    page = page_of(given, SORTS)
    areas = services(request).areas
    only = AreaFilter(
        q=given.q,
        parent_id=given.parent_id.bytes if given.parent_id else None,
        level=given.level,
        code=given.code,
        open=None if given.state is None else given.state == "open",
        within=None if given.within is None else (given.within.bytes,),
    )
    if given.at is None:
        return answer_page(request, page, await areas.list(page, only), AreaOut.of)
    if page.by != "id" or given.q is not None or given.state is not None or given.within is not None:
        raise Problem(422, "invalid", "with `at`, sort by created and leave out q, state and within")
    return answer_page(request, page, await areas.list_at(given.at, page, only), AreaOut.of)


async def get_area(request: web.Request) -> web.Response:
    """One area."""
    area = await services(request).areas.get(path_id(request))
    return answer(request, AreaOut.of(area), version=area.version)


async def change_area(request: web.Request) -> web.Response:
    """Rename, re-code, move or redraw an area.

    Devices below an area that moves get a new placement at once; what they play goes on.
    """
    given = await body(request, AreaPatch)
    version, area_id, core = expected_version(request), path_id(request), services(request)
    await require_in(request, Right.AREAS_WRITE, area_id)
    if "parent_id" in given.model_fields_set:
        area = await core.areas.get(area_id)
        await require_in(request, Right.AREAS_WRITE, area.parent_id)
        await require_in(request, Right.AREAS_WRITE, given.parent_id.bytes if given.parent_id else None)
    for name in ("name", "level"):
        if name in given.model_fields_set and getattr(given, name) is None:
            raise Problem(422, "invalid", f"{name}: an area cannot be without it")
    edit = AreaEdit(
        name=kept(given, "name"),
        level=kept(given, "level"),
        code=kept(given, "code"),
        parent_id=kept(given, "parent_id", lambda parent: parent.bytes),
        position=kept(given, "position", lambda position: position.value),
        outline=kept(given, "outline"),
    )
    edited = await core.areas.edit(area_id, edit, act_of(request), expected_version=version, at_ms=given.at)
    await at_core(request).hub.moved(edited.moved)
    return answer(request, AreaOut.of(edited.area), version=edited.area.version)


async def close_area(request: web.Request) -> web.Response:
    """Close an area in which nothing stands any more. To close one in which something does, merge or dissolve
    it."""
    given = await body(request, AreaCloseIn)
    version, area_id, core = expected_version(request), path_id(request), services(request)
    area = await core.areas.get(area_id)
    await require_in(request, Right.AREAS_WRITE, area_id)
    await require_in(request, Right.AREAS_WRITE, area.parent_id)
    closed = await core.areas.close(area_id, act_of(request), expected_version=version, at_ms=given.at)
    return answer(request, AreaOut.of(closed), version=closed.version)


async def area_history(request: web.Request) -> web.Response:
    """All that an area has been, what it came from and what it became."""
    area_id = path_id(request)
    return answer(request, AreaHistoryOut.of(area_id, await services(request).areas.history(area_id)))


async def area_outline(request: web.Request) -> web.Response:
    """The outline of an area, as GeoJSON; 404 when none has been drawn."""
    areas, area_id = services(request).areas, path_id(request)
    await areas.get(area_id)
    outline = await areas.outline(area_id)
    if outline is None:
        raise NotFound("this area has no outline")
    return web.Response(text=outline.text, content_type="application/geo+json")
