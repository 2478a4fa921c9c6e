"""Programmes over HTTP."""

from __future__ import annotations

import base64
import hashlib

import structlog
from aiohttp import web

from loa.broadcast.content.library import Draft
from loa.broadcast.content.uploads import Upload
from loa.broadcast.people.rights import Right
from loa.broadcast.records import Programme
from loa.broadcast.store.programmes import ProgrammeFilter
from loa.control_api.answers import answer, answer_page, done
from loa.control_api.auth import PRINCIPAL, act_of
from loa.control_api.conditions import expected_version
from loa.control_api.cursors import page_of
from loa.control_api.models.base import to_ms
from loa.control_api.models.programmes import ProgrammeChange, ProgrammeForm, ProgrammeOut, ProgrammesQuery
from loa.control_api.once import once_of
from loa.control_api.problems import Problem
from loa.control_api.reach import require_in, visible_programme
from loa.control_api.requests import at_core, body, path_id, query, services
from loa.control_api.uploads import UPLOAD_ID, chunks, read_form, under_way
from loa.errors import NotFound
from loa.model import id_text

SORTS = {"created": "id", "title": "title", "duration": "duration_ms"}

log = structlog.get_logger("loa.api")


async def upload_programme(request: web.Request) -> web.Response:
    """Make a programme of a sound file: measured, levelled, limited and encoded once.

    It belongs to an area, in which the right is needed, or to the whole city, for which it is needed everywhere.
    The answer comes when all is done; how far it is can be watched at /api/v1/uploads under the id of the header
    `Upload-Id`.
    """
    with under_way(request) as upload:
        programme = await _made(request, upload)
        upload.succeed(programme.id, services(request).now_ms)
    made = answer(request, ProgrammeOut.of(programme))
    made.headers[UPLOAD_ID] = id_text(upload.id)
    return made


async def _made(request: web.Request, upload: Upload) -> Programme:
    core = services(request)
    most = core.config.max_upload_bytes
    given, file = await read_form(request, ProgrammeForm, most)
    draft = Draft(given.title, given.programme_class, given.area_id.bytes if given.area_id else None)
    await require_in(request, Right.PROGRAMMES_WRITE, draft.area_id)
    async with core.library.receive(chunks(file), most, upload) as received:
        if given.sha256 is not None and given.sha256 != received.sha256.hex():
            raise Problem(422, "digest-mismatch", f"the SHA-256 of what came is {received.sha256.hex()}")
        fingerprint = hashlib.sha256(given.model_dump_json().encode() + received.sha256).digest()
        return await once_of(
            request, fingerprint, lambda act: core.library.make(received, draft, act), core.programmes.get
        )


async def list_programmes(request: web.Request) -> web.Response:
    """The programmes that there are for the caller: the city's, and those of areas below, above, and their own."""
    given = query(request, ProgrammesQuery)
    page = page_of(given, SORTS)
    only = ProgrammeFilter(
        klass=given.programme_class,
        area_id=given.area_id.bytes if given.area_id else None,
        seen_from=request[PRINCIPAL].roots(Right.PROGRAMMES_READ),
        since_ms=None if given.since is None else to_ms(given.since),
        until_ms=None if given.until is None else to_ms(given.until),
    )
    rows = await services(request).programmes.list(page, only)
    return answer_page(request, page, rows, ProgrammeOut.of)


async def get_programme(request: web.Request) -> web.Response:
    """One programme."""
    programme = await visible_programme(request, path_id(request))
    return answer(request, ProgrammeOut.of(programme), version=programme.version)


async def change_programme(request: web.Request) -> web.Response:
    """Give a programme another title or class. What was on air keeps the title that it had."""
    programme = await _changeable(request)
    expected = expected_version(request)
    given = await body(request, ProgrammeChange)
    changed = await services(request).programmes.change(
        programme.id, expected, act_of(request), title=given.title, klass=given.programme_class
    )
    return answer(request, ProgrammeOut.of(changed), version=changed.version)


async def delete_programme(request: web.Request) -> web.Response:
    """Take a programme away; not while it is on air. What was broadcast of it can still be told."""
    programme = await _changeable(request)
    # Who has just stopped it need not wait and ask again.
    await at_core(request).director.chronicle.written(programme.id)
    await services(request).programmes.delete(programme.id, act_of(request))
    return done()


async def _changeable(request: web.Request) -> Programme:
    """The programme in the path, if the caller may change it."""
    programme = await visible_programme(request, path_id(request))
    await require_in(request, Right.PROGRAMMES_WRITE, programme.area_id)
    return programme


async def programme_audio(request: web.Request) -> web.StreamResponse:
    """The stored Ogg Opus file of a programme."""
    core = services(request)
    programme = await visible_programme(request, path_id(request))
    try:
        path = await core.library.file(programme)
    except NotFound:
        log.error("a programme's file is missing", programme=id_text(programme.id), sha256=programme.sha256.hex())
        raise
    digest = base64.b64encode(programme.sha256).decode()
    return web.FileResponse(path, headers={"Content-Type": "audio/ogg", "Repr-Digest": f"sha-256=:{digest}:"})
