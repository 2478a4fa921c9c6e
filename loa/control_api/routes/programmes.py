"""Programmes over HTTP."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from loa.broadcast.journal.act import Act
from loa.broadcast.records import Programme
from loa.control_api.answers import answer, answer_page
from loa.control_api.cursors import page_of
from loa.control_api.models.programmes import ProgrammeForm, ProgrammeOut, ProgrammesQuery
from loa.control_api.once import once_of
from loa.control_api.requests import path_id, query, services
from loa.control_api.uploads import chunks, read_form
from loa.errors import NotFound
from loa.model import id_text

SORTS = {"created": "id", "title": "title", "duration": "duration_ms"}

log = structlog.get_logger("loa.api")


async def upload_programme(request: web.Request) -> web.Response:
    """Make a programme of a sound file: measured, levelled, limited and encoded once."""
    core = services(request)
    most = core.config.max_upload_bytes
    given, file = await read_form(request, ProgrammeForm, most)
    digest = hashlib.sha256(given.model_dump_json().encode())

    async def hashed() -> AsyncIterator[bytes]:
        async for chunk in chunks(file):
            digest.update(chunk)
            yield chunk

    async def make(act: Act) -> Programme:
        return await core.library.make(upload, given.title, given.programme_class, act)

    async with core.library.receive(hashed(), most) as upload:
        programme = await once_of(request, digest.digest(), make, core.programmes.get)
    return answer(request, ProgrammeOut.of(programme))


async def list_programmes(request: web.Request) -> web.Response:
    """The programmes that there are."""
    given = query(request, ProgrammesQuery)
    page = page_of(given, SORTS)
    rows = await services(request).programmes.list(page, given.programme_class)
    return answer_page(request, page, rows, ProgrammeOut.of)


async def get_programme(request: web.Request) -> web.Response:
    """One programme."""
    return answer(request, ProgrammeOut.of(await services(request).programmes.get(path_id(request))))


async def programme_audio(request: web.Request) -> web.StreamResponse:
    """The stored Ogg Opus file of a programme."""
    core = services(request)
    programme = await core.programmes.get(path_id(request))
    try:
        path = await core.library.file(programme)
    except NotFound:
        log.error("a programme's file is missing", programme=id_text(programme.id), sha256=programme.sha256.hex())
        raise
    digest = base64.b64encode(programme.sha256).decode()
    return web.FileResponse(path, headers={"Content-Type": "audio/ogg", "Repr-Digest": f"sha-256=:{digest}:"})
