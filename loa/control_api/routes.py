"""Areas, endpoints, enrolments, programmes, broadcasts and receipts over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import structlog
from aiohttp import BodyPartReader, web

from loa.broadcast.air.generation import Request
from loa.broadcast.people.rights import Right
from loa.broadcast.records import Endpoint, ProgrammeClass
from loa.codecs.enrolment_wire import from_base64, to_base64
from loa.codecs.order_wire import Action
from loa.control_api.auth import PRINCIPAL, act_of
from loa.control_api.models import (
    DEFAULT_PRIORITY,
    AreaIn,
    AreaOut,
    BroadcastIn,
    BroadcastOut,
    ClaimIn,
    ClaimOut,
    EndpointOut,
    EnrolmentIn,
    EnrolmentOut,
    OrderOut,
    OrdersOut,
    ProgrammeOut,
    ReceiptOut,
    StatusOut,
    utc,
)
from loa.control_api.places import place
from loa.control_api.problems import Problem
from loa.control_api.reach import require_for, require_in, require_to_see, right_to_speak, visible_endpoint
from loa.control_api.requests import body, ids, json_answer, json_page, page, path_id, services
from loa.errors import NotFound
from loa.model import EMERGENCY_PRIORITY, ID_BYTES, ReceiptState, id_text, parse_id

UPLOAD_CHUNK_BYTES = 1 << 16
MULTIPART_OVERHEAD_BYTES = 1 << 16
MAX_FIELD_BYTES = 1024
MAX_CLAIMS = 8
"""Claims in flight: they are open to all, and each asks the store."""

log = structlog.get_logger("loa.api")


async def create_area(request: web.Request) -> web.Response:
    """POST /api/v1/areas"""
    given = await body(request, AreaIn)
    core = services(request)
    parent = given.parent_id.bytes if given.parent_id else None
    await require_in(request, Right.AREAS_WRITE, parent)
    area = await core.areas.create(parent, given.name, given.level, given.code, act_of(request))
    return json_answer(AreaOut.of(area), 201)


async def list_areas(request: web.Request) -> web.Response:
    """GET /api/v1/areas"""
    after, limit = page(request, parse_id)
    rows = await services(request).areas.list(after, limit)
    return json_page(rows, limit, AreaOut.of, lambda area: id_text(area.id))


async def get_area(request: web.Request) -> web.Response:
    """GET /api/v1/areas/{id}"""
    return json_answer(AreaOut.of(await services(request).areas.get(path_id(request))))


def _show_endpoint(request: web.Request, endpoint: Endpoint) -> EndpointOut:
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
    """GET /api/v1/endpoints"""
    after, limit = page(request, parse_id)
    roots = request[PRINCIPAL].roots(Right.ENDPOINTS_READ)
    rows = await services(request).endpoints.list(after, limit, roots)
    return json_page(rows, limit, lambda row: _show_endpoint(request, row), lambda row: id_text(row.id))


async def get_endpoint(request: web.Request) -> web.Response:
    """GET /api/v1/endpoints/{id}"""
    endpoint = await visible_endpoint(request, path_id(request))
    return json_answer(_show_endpoint(request, endpoint))


async def revoke_endpoint(request: web.Request) -> web.Response:
    """POST /api/v1/endpoints/{id}/revoke: durable first, then its link and channel end, and secrets change."""
    core = services(request)
    endpoint_id = path_id(request)
    endpoint = await visible_endpoint(request, endpoint_id)
    await require_in(request, Right.ENDPOINTS_WRITE, endpoint.area_id)
    await core.endpoints.revoke(endpoint_id, act_of(request))
    core.hub.revoke(endpoint_id)
    return json_answer(_show_endpoint(request, await core.endpoints.get(endpoint_id)))


async def create_enrolment(request: web.Request) -> web.Response:
    """POST /api/v1/enrolments"""
    given = await body(request, EnrolmentIn)
    core = services(request)
    await require_in(request, Right.ENDPOINTS_WRITE, given.area_id.bytes)
    enrolment, code = await core.enrolments.create(
        given.area_id.bytes,
        given.kind,
        given.name,
        act_of(request),
        given.valid_s or core.config.enrolment_valid_s,
    )
    return json_answer(
        EnrolmentOut(id=id_text(enrolment.id), code=code.text, expires_at=utc(enrolment.expires_ms)), 201
    )


async def claim(request: web.Request) -> web.Response:
    """POST /api/v1/enrolments/claim, open: the MAC proves that the device knows the code."""
    given = await body(request, ClaimIn)
    core = services(request)
    with place(request, "claims", MAX_CLAIMS):
        answer = await core.enrolments.claim(
            code_id=given.code_id,
            device_key=from_base64(given.device_key, size=32),
            nonce=from_base64(given.nonce, size=16),
            kind=given.kind,
            mac=from_base64(given.mac, size=16),
            act=act_of(request),
        )
    return json_answer(
        ClaimOut(
            endpoint_id=id_text(answer.endpoint_id),
            root_key=to_base64(answer.root_key),
            key_list=to_base64(answer.key_list),
            placement=to_base64(answer.placement),
            mac=to_base64(answer.mac),
        )
    )


async def upload_programme(request: web.Request) -> web.Response:
    """POST /api/v1/programmes: multipart with `title`, `class` (routine unless said) and, last, `file`."""
    core = services(request)
    most = core.config.max_upload_bytes
    if (request.content_length or 0) > most + MULTIPART_OVERHEAD_BYTES:
        raise Problem(413, "too-large", f"a programme's file may have {most} bytes")
    if request.content_type != "multipart/form-data":
        raise Problem(415, "unsupported-media-type", "the body must be multipart/form-data")
    fields: dict[str, str] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise Problem(400, "malformed", "a part inside a part")
            if part.name == "file":
                programme = await core.library.add(
                    _chunks(part), _title(fields), _programme_class(fields), act_of(request), most
                )
                return json_answer(ProgrammeOut.of(programme), 201)
            if part.name not in ("title", "class"):
                raise Problem(422, "invalid", f"there is no field {str(part.name)[:40]!r}")
            if part.name in fields:
                raise Problem(422, "invalid", f"`{part.name}` is there twice")
            fields[part.name] = await _text(part)
    except (ValueError, EOFError) as error:
        raise Problem(400, "malformed", "the multipart body is broken or cut off") from error
    raise Problem(422, "invalid", "the part `file` is missing")


async def _text(part: BodyPartReader) -> str:
    """A whole part as text. It comes in pieces of any size, as the network cuts it."""
    data = bytearray()
    while not part.at_eof():
        data += await part.read_chunk(MAX_FIELD_BYTES)
        if len(data) > MAX_FIELD_BYTES:
            raise Problem(413, "too-large", f"`{part.name}` may have {MAX_FIELD_BYTES} bytes")
    return data.decode("utf-8")


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(UPLOAD_CHUNK_BYTES):
        yield chunk


def _title(fields: dict[str, str]) -> str:
    title = fields.get("title", "").strip()
    if not 1 <= len(title) <= 200:
        raise Problem(422, "invalid", "`title` must come before `file` and have 1 to 200 characters")
    return title


def _programme_class(fields: dict[str, str]) -> ProgrammeClass:
    try:
        return ProgrammeClass(fields.get("class", ProgrammeClass.ROUTINE))
    except ValueError as error:
        raise Problem(422, "invalid", f"`class` must be one of {', '.join(ProgrammeClass)}") from error


async def list_programmes(request: web.Request) -> web.Response:
    """GET /api/v1/programmes"""
    after, limit = page(request, parse_id)
    rows = await services(request).programmes.list(after, limit)
    return json_page(rows, limit, ProgrammeOut.of, lambda row: id_text(row.id))


async def get_programme(request: web.Request) -> web.Response:
    """GET /api/v1/programmes/{id}"""
    return json_answer(ProgrammeOut.of(await services(request).programmes.get(path_id(request))))


async def start_broadcast(request: web.Request) -> web.Response:
    """POST /api/v1/broadcasts: on air now."""
    given = await body(request, BroadcastIn)
    core = services(request)
    programme = await core.programmes.get(given.programme_id.bytes)
    priority = DEFAULT_PRIORITY[programme.klass] if given.priority is None else given.priority
    if (priority >= EMERGENCY_PRIORITY) != (programme.klass == "emergency"):
        raise Problem(
            422, "invalid", f"priorities from {EMERGENCY_PRIORITY} are for emergency programmes, and only they"
        )
    areas, endpoints = ids(given.targets.areas), ids(given.targets.endpoints)
    await require_for(request, right_to_speak(priority), areas, endpoints)
    broadcast = await core.director.start(
        Request(
            programme=programme,
            areas=areas,
            endpoints=endpoints,
            priority=priority,
            volume=given.volume,
            play_delay_ms=core.config.play_delay_ms if given.play_delay_ms is None else given.play_delay_ms,
        ),
        act_of(request),
    )
    return json_answer(BroadcastOut.of(broadcast), 201)


async def list_broadcasts(request: web.Request) -> web.Response:
    """GET /api/v1/broadcasts"""
    after, limit = page(request, parse_id)
    rows = await services(request).director.page(after, limit)
    return json_page(rows, limit, BroadcastOut.of, lambda row: id_text(row.id))


async def get_broadcast(request: web.Request) -> web.Response:
    """GET /api/v1/broadcasts/{id}, with its receipts counted."""
    core = services(request)
    broadcast_id = path_id(request)
    broadcast = await core.director.get(broadcast_id)
    return json_answer(BroadcastOut.of(broadcast, _summary(await core.receipts.summary(broadcast_id))))


def _summary(states: Mapping[ReceiptState, int]) -> dict[str, int]:
    return {state.name.lower(): count for state, count in states.items()}


async def stop_broadcast(request: web.Request) -> web.Response:
    """POST /api/v1/broadcasts/{id}/stop"""
    core = services(request)
    broadcast_id = path_id(request)
    broadcast = await core.director.get(broadcast_id)
    await require_for(request, right_to_speak(broadcast.priority), broadcast.areas, broadcast.endpoints)
    return json_answer(BroadcastOut.of(await core.director.stop(broadcast_id, act_of(request))))


async def list_receipts(request: web.Request) -> web.Response:
    """GET /api/v1/broadcasts/{id}/receipts"""
    core = services(request)
    broadcast_id = path_id(request)
    await require_to_see(request, await core.broadcasts.get(broadcast_id))
    orders = await core.book.of_broadcast(broadcast_id)
    actions = {order.order_id: Action(order.stored.action).name.lower() for order in orders}
    after, limit = page(request, _receipt_key)
    rows = await core.receipts.for_broadcast(broadcast_id, after, limit)
    return json_page(
        rows,
        limit,
        lambda row: ReceiptOut.of(row, actions[row.order_id]),
        lambda row: (row.order_id + row.endpoint_id).hex(),
    )


def _receipt_key(text: str) -> tuple[bytes, bytes]:
    key = bytes.fromhex(text)
    if len(key) != 2 * ID_BYTES:
        raise ValueError("not an order and an endpoint")
    return key[:ID_BYTES], key[ID_BYTES:]


async def list_orders(request: web.Request) -> web.Response:
    """GET /api/v1/broadcasts/{id}/orders: what was commanded, as it was signed."""
    core = services(request)
    broadcast_id = path_id(request)
    await require_to_see(request, await core.broadcasts.get(broadcast_id))
    orders = await core.book.of_broadcast(broadcast_id)
    return json_answer(OrdersOut(items=[OrderOut.of(order.stored) for order in orders]))


async def programme_audio(request: web.Request) -> web.StreamResponse:
    """GET /api/v1/programmes/{id}/audio: the stored Ogg Opus file."""
    core = services(request)
    programme = await core.programmes.get(path_id(request))
    path = core.library.path(programme)
    if not await asyncio.to_thread(path.is_file):
        log.error("a programme's file is missing", programme=id_text(programme.id), file=str(path))
        raise NotFound("this programme's file is missing")
    return web.FileResponse(path, headers={"Content-Type": "audio/ogg"})
