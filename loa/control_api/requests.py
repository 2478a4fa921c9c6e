"""Reading requests: bodies, identifiers, pages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ValidationError

from loa.control_api.problems import Problem
from loa.control_api.services import SERVICES, Services
from loa.errors import NotFound
from loa.model import parse_id

MAX_JSON_BYTES = 65_536
BODY_TIMEOUT_S = 15.0
MAX_PAGE = 500
DEFAULT_PAGE = 100
_LIMIT = re.compile("[0-9]{1,3}")

Model = TypeVar("Model", bound=BaseModel)
Row = TypeVar("Row")
Key = TypeVar("Key")


def services(request: web.Request) -> Services:
    """The rooms behind the routes."""
    return request.app[SERVICES]


async def body(request: web.Request, model: type[Model]) -> Model:
    """The JSON body as `model`; Problem 400, 408, 413, 415 or 422 otherwise."""
    if request.content_type != "application/json":
        raise Problem(415, "unsupported-media-type", "the body must be application/json")
    if (request.content_length or 0) > MAX_JSON_BYTES:
        raise Problem(413, "too-large", f"a body may have {MAX_JSON_BYTES} bytes")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            data = await _read(request)
    except TimeoutError as error:
        raise Problem(408, "timeout", f"the body took longer than {BODY_TIMEOUT_S:g} s") from error
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise Problem(400, "malformed", "the body is not JSON") from error
        raise


async def _read(request: web.Request) -> bytes:
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > MAX_JSON_BYTES:
            raise Problem(413, "too-large", f"a body may have {MAX_JSON_BYTES} bytes")
    return bytes(data)


def path_id(request: web.Request) -> bytes:
    """The identifier in the path; one that cannot be is not found."""
    try:
        return parse_id(request.match_info["id"])
    except ValueError as error:
        raise NotFound(f"there is no {request.match_info['id'][:64]!r}") from error


def ids(values: Sequence[UUID]) -> tuple[bytes, ...]:
    """UUIDs as identifiers, each once."""
    return tuple(dict.fromkeys(value.bytes for value in values))


def page(request: web.Request, parse: Callable[[str], Key]) -> tuple[Key | None, int]:
    """Where the page begins (`?after=`, read by `parse`) and how many it may hold (`&limit=`)."""
    after, text = request.query.get("after"), request.query.get("limit", str(DEFAULT_PAGE))
    limit = int(text) if _LIMIT.fullmatch(text) else 0
    if not 1 <= limit <= MAX_PAGE:
        raise Problem(400, "malformed", f"limit must be 1 to {MAX_PAGE}")
    if after is None:
        return None, limit
    try:
        return parse(after), limit
    except ValueError as error:
        raise Problem(400, "malformed", "after must be what `next` gave") from error


def json_answer(model: BaseModel, status: int = 200) -> web.Response:
    """A model as the answer."""
    return web.Response(status=status, text=model.model_dump_json(by_alias=True), content_type="application/json")


def json_page(
    rows: Sequence[Row], limit: int, show: Callable[[Row], BaseModel], key: Callable[[Row], str]
) -> web.Response:
    """A page of rows: `items`, and `next` where there may be more."""
    items = ",".join(show(row).model_dump_json(by_alias=True) for row in rows)
    cursor = f'"{key(rows[-1])}"' if len(rows) == limit else "null"
    return web.Response(text=f'{{"items":[{items}],"next":{cursor}}}', content_type="application/json")
