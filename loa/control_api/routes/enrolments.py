"""Enrolment over HTTP: codes for installers, claims by devices."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.journal.act import Act
from loa.broadcast.people.rights import Right
from loa.broadcast.records import Enrolment
from loa.codecs.enrolment_wire import from_base64, to_base64
from loa.control_api.answers import answer, answer_page
from loa.control_api.auth import act_of
from loa.control_api.cursors import page_of
from loa.control_api.models.enrolments import (
    ClaimIn,
    ClaimOut,
    EnrolmentIn,
    EnrolmentMadeOut,
    EnrolmentOut,
    EnrolmentsQuery,
)
from loa.control_api.once import once
from loa.control_api.places import place
from loa.control_api.reach import narrowed, require_in
from loa.control_api.requests import at_core, body, query, services
from loa.model import id_text

MAX_CLAIMS = 8
"""Claims in flight: they are open to all, and each asks the store."""
SORTS = {"created": "id", "name": "name"}


async def create_enrolment(request: web.Request) -> web.Response:
    """Make a one-time code for one device. The code is told here and never again."""
    given = await body(request, EnrolmentIn)
    core = services(request)
    await require_in(request, Right.ENDPOINTS_WRITE, given.area_id.bytes)

    async def make(act: Act) -> tuple[Enrolment, str | None]:
        valid_s = given.valid_s or core.config.enrolment_valid_s
        position = given.position.value if given.position else None
        made, code = await core.enrolments.create(
            given.area_id.bytes, given.kind, given.name, act, valid_s, position
        )
        return made, code.text

    async def again(enrolment_id: bytes) -> tuple[Enrolment, str | None]:
        return await core.enrolments.get(enrolment_id), None

    enrolment, code = await once(request, make, again)
    return answer(request, EnrolmentMadeOut(**EnrolmentOut.of(enrolment).model_dump(), code=code))


async def list_enrolments(request: web.Request) -> web.Response:
    """The codes that were made, without their secrets, and what they became."""
    given = query(request, EnrolmentsQuery)
    page = page_of(given, SORTS)
    within = await narrowed(request, Right.ENDPOINTS_WRITE, given.area_id.bytes if given.area_id else None)
    rows = await services(request).enrolments.list(page, within)
    return answer_page(request, page, rows, EnrolmentOut.of)


async def claim(request: web.Request) -> web.Response:
    """Enrol a device, which asks itself: the MAC proves that it knows the code (docs/protocol.md, *Enrolment*)."""
    given = await body(request, ClaimIn)
    with place(request, "claims", MAX_CLAIMS):
        made = await at_core(request).enrolments.claim(
            code_id=given.code_id,
            device_key=from_base64(given.device_key, size=32),
            nonce=from_base64(given.nonce, size=16),
            kind=given.kind,
            mac=from_base64(given.mac, size=16),
            act=act_of(request),
        )
    return answer(
        request,
        ClaimOut(
            endpoint_id=id_text(made.endpoint_id),
            root_key=to_base64(made.root_key),
            key_list=to_base64(made.key_list),
            placement=to_base64(made.placement),
            mac=to_base64(made.mac),
        ),
    )
