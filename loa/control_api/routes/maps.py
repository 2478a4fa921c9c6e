"""Areas and devices as GeoJSON, for maps."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence

from aiohttp import web

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.people.rights import Right
from loa.broadcast.records import Area, Endpoint
from loa.broadcast.store.areas import AreaFilter
from loa.broadcast.store.endpoints import EndpointFilter
from loa.broadcast.store.paging import Page
from loa.control_api.models.areas import GeoJsonQuery
from loa.control_api.places import place
from loa.control_api.reach import narrowed
from loa.control_api.requests import query, services
from loa.model import id_text

MAX_AT_ONCE = 4
_PART = 20
"""Areas, with their outlines, that are in memory at once."""


async def areas_geojson(request: web.Request) -> web.StreamResponse:
    """Open areas with their outlines, or else their positions, and devices whose positions are known, for a map.

    A feature's `kind` is `area`, `speaker` or `board`. An area of which neither is known has a null geometry.
    """
    given = query(request, GeoJsonQuery)
    with place(request, "map", MAX_AT_ONCE):
        answer = web.StreamResponse(headers={"Content-Type": "application/geo+json"})
        await answer.prepare(request)
        if request.method == "HEAD":
            return answer
        await answer.write(b'{"type":"FeatureCollection","features":[')
        first = True
        async for part in _parts(request, given):
            text = ",".join(part)
            await answer.write((text if first else f",{text}").encode())
            first = False
        await answer.write(b"]}")
        await answer.write_eof()
    return answer


async def _parts(request: web.Request, given: GeoJsonQuery) -> AsyncIterator[Sequence[str]]:
    """All features as JSON, some at a time; none of the parts is empty."""
    core = services(request)
    page = Page(limit=_PART)
    within = None if given.within is None else (given.within.bytes,)
    while rows := await core.areas.list(page, AreaFilter(open=True, within=within)):
        outlines = await core.areas.outlines([area.id for area in rows])
        yield [_area(area, outlines.get(area.id)) for area in rows]
        page = page.after(rows[-1].id, rows[-1].id)
    if not given.devices:
        return
    page = Page(limit=25 * _PART)
    reach = await narrowed(request, Right.ENDPOINTS_READ, None if given.within is None else given.within.bytes)
    only = EndpointFilter(revoked=False, placed=True, within=reach)
    while devices := await core.endpoints.list(page, only):
        yield [_device(each) for each in devices]
        page = page.after(devices[-1].id, devices[-1].id)


def _area(area: Area, outline: Outline | None) -> str:
    properties = {
        "kind": "area",
        "name": area.name,
        "level": area.level,
        "code": area.code,
        "parent_id": None if area.parent_id is None else id_text(area.parent_id),
    }
    # An outline is kept as GeoJSON: large as it may be, it is not read only to be written again.
    geometry = _point(area.position) if outline is None else outline.text
    return _feature(area.id, geometry, properties)


def _device(endpoint: Endpoint) -> str:
    properties = {"kind": str(endpoint.kind), "name": endpoint.name, "area_id": id_text(endpoint.area_id)}
    return _feature(endpoint.id, _point(endpoint.position), properties)


def _feature(thing: bytes, geometry: str, properties: Mapping[str, str | None]) -> str:
    said = json.dumps(properties, ensure_ascii=False, separators=(",", ":"))
    return f'{{"type":"Feature","id":"{id_text(thing)}","geometry":{geometry},"properties":{said}}}'


def _point(position: Position | None) -> str:
    return "null" if position is None else f'{{"type":"Point","coordinates":[{position.lon},{position.lat}]}}'
