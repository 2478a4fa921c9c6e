"""Endpoints over HTTP."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.live.endpoint_states import EndpointState
from loa.broadcast.people.rights import Right
from loa.broadcast.records import Endpoint
from loa.broadcast.registry.edits import EndpointEdit
from loa.broadcast.store.endpoints import EndpointFilter
from loa.control_api.answers import answer, answer_page
from loa.control_api.auth import act_of
from loa.control_api.conditions import expected_version
from loa.control_api.cursors import page_of
from loa.control_api.models.endpoints import (
    EndpointHistoryOut,
    EndpointHistoryQuery,
    EndpointOut,
    EndpointPatch,
    EndpointsMovedOut,
    EndpointsMoveIn,
    EndpointsQuery,
    StatusOut,
    StayOut,
)
from loa.control_api.models.places import kept
from loa.control_api.problems import Problem
from loa.control_api.reach import narrowed, require_in, require_in_all, visible_endpoint
from loa.control_api.requests import at_core, body, ids, path_id, query, services
from loa.model import id_text

SORTS = {"created": "id", "name": "folded"}
MAX_STAYS = 100


async def shown(request: web.Request, *endpoints: Endpoint) -> list[EndpointOut]:
    """Endpoints with how they are, as far as that is known."""
    states = await services(request).states.of([endpoint.id for endpoint in endpoints])
    return [_shown(endpoint, None if states is None else states[endpoint.id]) for endpoint in endpoints]


def _shown(endpoint: Endpoint, state: EndpointState | None) -> EndpointOut:
    if state is None:
        return EndpointOut.of(endpoint, linked=None, media_bound=None, door=None, status=None)
    said = state.status
    status = (
        None
        if said is None
        else StatusOut(
            clock_error_ms=None if said.clock_error_ns >= (1 << 63) - 1 else said.clock_error_ns / 1e6,
            drift_ppm=said.drift_ppb / 1000,
            broadcast_id=id_text(said.broadcast_id) if said.broadcast_id else None,
            played=said.played,
            repaired=said.repaired,
            recovered=said.recovered,
            concealed=said.concealed,
            unsigned=said.unsigned,
            depth_ms=said.depth_ms,
            dropped=said.dropped,
            underruns=said.underruns,
            hard_steps=said.hard_steps,
            volume=said.volume,
        )
    )
    reached = state.door is not None
    return EndpointOut.of(endpoint, linked=state.linked, media_bound=reached, door=state.door, status=status)


async def list_endpoints(request: web.Request) -> web.Response:
    """The devices that the caller may see."""
    given = query(request, EndpointsQuery)
    page = page_of(given, SORTS)
    within = await narrowed(request, Right.ENDPOINTS_READ, given.area_id.bytes if given.area_id else None)
    only = EndpointFilter(q=given.q, within=within, kind=given.kind, revoked=given.revoked, placed=given.placed)
    rows = await services(request).endpoints.list(page, only)
    known = {row.id: out for row, out in zip(rows, await shown(request, *rows), strict=True)}
    return answer_page(request, page, rows, lambda row: known[row.id])


async def get_endpoint(request: web.Request) -> web.Response:
    """One device, and how it is."""
    return await _answer(request, await visible_endpoint(request, path_id(request)))


async def _answer(request: web.Request, endpoint: Endpoint) -> web.Response:
    [out] = await shown(request, endpoint)
    return answer(request, out, version=endpoint.version, live=True)


async def change_endpoint(request: web.Request) -> web.Response:
    """Rename, move, place or annotate a device.

    One that moves gets its new placement at once; what it plays goes on.
    """
    given = await body(request, EndpointPatch)
    version, endpoint_id, core = expected_version(request), path_id(request), services(request)
    endpoint = await visible_endpoint(request, endpoint_id)
    await require_in(request, Right.ENDPOINTS_WRITE, endpoint.area_id)
    for name in ("name", "area_id", "note"):
        if name in given.model_fields_set and getattr(given, name) is None:
            raise Problem(422, "invalid", f"{name}: a device cannot be without it")
    if given.area_id is not None:
        await require_in(request, Right.ENDPOINTS_WRITE, given.area_id.bytes)
    edit = EndpointEdit(
        name=kept(given, "name"),
        area_id=kept(given, "area_id", lambda area: area.bytes),
        position=kept(given, "position", lambda position: position.value),
        note=kept(given, "note"),
    )
    # What the caller may do was found of where it stands: if that has changed since, so has its version.
    seen = endpoint.version if version is None else version
    changed = await core.endpoints.edit(endpoint_id, edit, act_of(request), expected_version=seen, at_ms=given.at)
    await at_core(request).hub.moved([endpoint_id])
    return await _answer(request, changed)


async def move_endpoints(request: web.Request) -> web.Response:
    """Move devices into an area, all of them or none. They get their new placement at once; what they play goes
    on."""
    given = await body(request, EndpointsMoveIn)
    core = services(request)
    found = [await visible_endpoint(request, endpoint_id) for endpoint_id in ids(given.endpoints)]
    areas = {endpoint.area_id for endpoint in found} | {given.area_id.bytes}
    await require_in_all(request, Right.ENDPOINTS_WRITE, areas)
    seen = {endpoint.id: endpoint.version for endpoint in found}
    moved = await core.endpoints.move(seen, given.area_id.bytes, act_of(request), at_ms=given.at)
    await at_core(request).hub.moved(moved)
    return answer(request, EndpointsMovedOut(moved=[id_text(endpoint_id) for endpoint_id in moved]))


async def endpoint_history(request: web.Request) -> web.Response:
    """Where a device has stood, or stood at an instant."""
    given = query(request, EndpointHistoryQuery)
    endpoint_id, endpoints = path_id(request), services(request).endpoints
    await visible_endpoint(request, endpoint_id)
    if given.at is None:
        stood = await endpoints.history(endpoint_id, MAX_STAYS)
    else:
        stood = [await endpoints.stood_at(endpoint_id, given.at)]
    return answer(request, EndpointHistoryOut(stays=[StayOut.of(each) for each in stood]))


async def revoke_endpoint(request: web.Request) -> web.Response:
    """Revoke a device for good: durable first, then its link and channel end, and secrets change."""
    core = services(request)
    endpoint_id = path_id(request)
    endpoint = await visible_endpoint(request, endpoint_id)
    await require_in(request, Right.ENDPOINTS_WRITE, endpoint.area_id)
    await core.endpoints.revoke(endpoint_id, act_of(request))
    at_core(request).hub.revoke(endpoint_id)
    [out] = await shown(request, await core.endpoints.get(endpoint_id))
    return answer(request, out)
