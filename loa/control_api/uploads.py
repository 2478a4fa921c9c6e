"""Multipart forms that end with a file, which is never held in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from loa.control_api.operation import OPERATION
from loa.control_api.problems import Problem

CHUNK_BYTES = 1 << 16
OVERHEAD_BYTES = 1 << 16
MAX_FIELD_BYTES = 1024

_BROKEN = (ValueError, EOFError, HttpProcessingError)
"""What aiohttp raises for a form that is broken."""

Model = TypeVar("Model", bound=BaseModel)


async def read_form(request: web.Request, model: type[Model], most_bytes: int) -> tuple[Model, BodyPartReader]:
    """The fields of the form as `model`, the one declared, and the part `file`, of which nothing is read yet.

    Problem 400, 413, 415, or 422 for fields that are missing, unknown, there twice, or behind the file.
    """
    operation = request[OPERATION]
    assert operation.form is model
    if (request.content_length or 0) > most_bytes + OVERHEAD_BYTES:
        raise Problem(413, "too-large", f"the file may have {most_bytes} bytes")
    if request.content_type != "multipart/form-data":
        raise Problem(415, "unsupported-media-type", "the body must be multipart/form-data")
    names = {field.alias or name for name, field in model.model_fields.items()}
    fields: dict[str, str] = {}
    try:
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
    except ValidationError:
        raise
    except _BROKEN as error:
        raise BROKEN from error
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
    """The file, piece by piece; Problem 400 when it is cut off."""
    try:
        while chunk := await part.read_chunk(CHUNK_BYTES):
            yield chunk
    except _BROKEN as error:
        raise BROKEN from error
