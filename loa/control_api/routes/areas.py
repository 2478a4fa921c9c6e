"""Areas over HTTP."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.people.rights import Right
from loa.broadcast.store.areas import AreaFilter
from loa.control_api.answers import answer, answer_page
from loa.control_api.cursors import page_of
from loa.control_api.models.areas import AreaIn, AreaOut, AreasQuery
from loa.control_api.once import once
from loa.control_api.reach import require_in
from loa.control_api.requests import body, path_id, query, services

SORTS = {"created": "id", "name": "name", "level": "level"}


async def create_area(request: web.Request) -> web.Response:
    """Make an area, at the top or under another."""
    given = await body(request, AreaIn)
    areas = services(request).areas
    parent = given.parent_id.bytes if given.parent_id else None
    await require_in(request, Right.AREAS_WRITE, parent)
    area = await once(
        request, lambda act: areas.create(parent, given.name, given.level, given.code, act), areas.get
    )
    return answer(request, AreaOut.of(area))


async def list_areas(request: web.Request) -> web.Response:
    """The areas that there are."""
    given = query(request, AreasQuery)
    page = page_of(given, SORTS)
    only = AreaFilter(
        parent_id=given.parent_id.bytes if given.parent_id else None, level=given.level, code=given.code
    )
    rows = await services(request).areas.list(page, only)
    return answer_page(request, page, rows, AreaOut.of)


async def get_area(request: web.Request) -> web.Response:
    """One area."""
    return answer(request, AreaOut.of(await services(request).areas.get(path_id(request))))
