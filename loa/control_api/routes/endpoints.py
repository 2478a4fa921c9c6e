"""Endpoints over HTTP."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.people.rights import Right
from loa.broadcast.records import Endpoint
from loa.broadcast.store.endpoints import EndpointFilter
from loa.control_api.answers import answer, answer_page
from loa.control_api.auth import act_of
from loa.control_api.cursors import page_of
from loa.control_api.models.endpoints import EndpointOut, EndpointsQuery, StatusOut
from loa.control_api.reach import narrowed, require_in, visible_endpoint
from loa.control_api.requests import path_id, query, services
from loa.model import id_text

SORTS = {"created": "id", "name": "name"}


def show(request: web.Request, endpoint: Endpoint) -> EndpointOut:
    """An endpoint with what it last said of itself."""
    session = services(request).hub.session(endpoint.id)
    if session is None:
        return EndpointOut.of(endpoint, linked=False, media_bound=False, status=None)
    said = session.status
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
    return EndpointOut.of(endpoint, linked=session.live, media_bound=session.bound, status=status)


async def list_endpoints(request: web.Request) -> web.Response:
    """The devices that the caller may see."""
    given = query(request, EndpointsQuery)
    page = page_of(given, SORTS)
    within = await narrowed(request, Right.ENDPOINTS_READ, given.area_id.bytes if given.area_id else None)
    only = EndpointFilter(within=within, kind=given.kind, revoked=given.revoked)
    rows = await services(request).endpoints.list(page, only)
    return answer_page(request, page, rows, lambda row: show(request, row))


async def get_endpoint(request: web.Request) -> web.Response:
    """One device, and how it is."""
    return answer(request, show(request, await visible_endpoint(request, path_id(request))))


async def revoke_endpoint(request: web.Request) -> web.Response:
    """Revoke a device for good: durable first, then its link and channel end, and secrets change."""
    core = services(request)
    endpoint_id = path_id(request)
    endpoint = await visible_endpoint(request, endpoint_id)
    await require_in(request, Right.ENDPOINTS_WRITE, endpoint.area_id)
    await core.endpoints.revoke(endpoint_id, act_of(request))
    core.hub.revoke(endpoint_id)
    return answer(request, show(request, await core.endpoints.get(endpoint_id)))
