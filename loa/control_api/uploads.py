"""Multipart forms that end with a file, which is never held in memory; and uploads under way, for who watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from loa.broadcast.content.uploads import TooManyUploads, Upload
from loa.control_api import requests
from loa.control_api.auth import PRINCIPAL
from loa.control_api.operation import OPERATION
from loa.control_api.pace import Pace
from loa.control_api.problems import INTERNAL, Problem, as_problem
from loa.errors import LoaError
from loa.model import new_id, parse_id

UPLOAD_ID = "Upload-Id"
RETRY_AFTER_S = 5
CHUNK_BYTES = 1 << 16
OVERHEAD_BYTES = 1 << 16
MAX_FIELD_BYTES = 1024

_BROKEN = (ValueError, EOFError, HttpProcessingError)
"""What aiohttp raises for a form that is broken."""

Model = TypeVar("Model", bound=BaseModel)


async def read_form(request: web.Request, model: type[Model], most_bytes: int) -> tuple[Model, BodyPartReader]:
    """The fields of the form as `model`, the one declared, and the part `file`, of which nothing is read yet.

    Problem 400, 408, 413, 415, or 422 for fields that are missing, unknown, there twice, or behind the file.
    """
    operation = request[OPERATION]
    assert operation.form is model
    if (request.content_length or 0) > most_bytes + OVERHEAD_BYTES:
        raise Problem(413, "too-large", f"the file may have {most_bytes} bytes")
    if request.content_type != "multipart/form-data":
        raise Problem(415, "unsupported-media-type", "the body must be multipart/form-data")
    try:
        async with asyncio.timeout(requests.BODY_TIMEOUT_S):
            return await _fields(request, model)
    except TimeoutError as error:
        raise Problem(
            408, "timeout", f"what is before the file took longer than {requests.BODY_TIMEOUT_S:g} s"
        ) from error
    except ValidationError:
        raise
    except _BROKEN as error:
        raise BROKEN from error


async def _fields(request: web.Request, model: type[Model]) -> tuple[Model, BodyPartReader]:
    names = {field.alias or name for name, field in model.model_fields.items()}
    fields: dict[str, str] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise Problem(400, "malformed", "a part inside a part")
        if part.name == "file":
            return model.model_validate(fields), part
        if part.name not in names:
            raise Problem(422, "invalid", f"there is no field {str(part.name)[:40]!r}")
        if part.name in fields:
            raise Problem(422, "invalid", f"`{part.name}` is there twice")
        fields[part.name] = await _text(part)
    raise Problem(422, "invalid", "the part `file` is missing")


BROKEN = Problem(400, "malformed", "the multipart body is broken or cut off")


async def _text(part: BodyPartReader) -> str:
    """A whole part as text. It comes in pieces of any size, as the network cuts it."""
    data = bytearray()
    while not part.at_eof():
        data += await part.read_chunk(MAX_FIELD_BYTES)
        if len(data) > MAX_FIELD_BYTES:
            raise Problem(413, "too-large", f"`{part.name}` may have {MAX_FIELD_BYTES} bytes")
    return data.decode("utf-8")


async def chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    """The file, piece by piece; Problem 400 when it is cut off, 408 when it comes too slowly."""
    pace = Pace()
    try:
        while chunk := await pace.next(part.read_chunk(CHUNK_BYTES)):
            yield chunk
    except _BROKEN as error:
        raise BROKEN from error


@contextmanager
def under_way(request: web.Request) -> Iterator[Upload]:
    """One upload of the caller, under the id of its header `Upload-Id`, or else of its own.

    Problem 400 for an id that is none, 409 while the caller's upload of this id is under way, 429
    `too-many-uploads` and 503 `busy` when as many are as may be. However the block is left, that is told.
    """
    core, owner = requests.services(request), request[PRINCIPAL].actor
    upload_id = _upload_id(request)
    try:
        upload = core.uploads.begin(upload_id, owner, request.content_length, core.now_ms)
    except TooManyUploads as error:
        status, slug = (429, "too-many-uploads") if error.own else (503, "busy")
        raise Problem(status, slug, str(error), headers={"Retry-After": str(RETRY_AFTER_S)}) from error
    try:
        yield upload
    except (LoaError, ValidationError) as error:
        problem = as_problem(error)
        upload.fail(problem.slug, problem.detail, core.now_ms)
        raise
    except BaseException as error:
        interrupted = isinstance(error, (ConnectionError, asyncio.CancelledError))
        slug = "interrupted" if interrupted else INTERNAL.slug
        upload.fail(slug, "the upload broke off" if interrupted else INTERNAL.detail, core.now_ms)
        raise


def _upload_id(request: web.Request) -> bytes:
    given = request.headers.get(UPLOAD_ID)
    if given is None:
        return new_id(requests.services(request).now_ms)
    try:
        return parse_id(given)
    except ValueError as error:
        raise Problem(400, "malformed", f"{UPLOAD_ID} must be a UUID") from error
