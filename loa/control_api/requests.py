"""Reading requests: bodies, queries, identifiers. What is read is what the route's operation declares."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ValidationError

from loa.control_api.operation import OPERATION
from loa.control_api.problems import Problem
from loa.control_api.services import SERVICES, CoreRooms, Services
from loa.errors import NotFound
from loa.model import parse_id

BODY_TIMEOUT_S = 15.0

Model = TypeVar("Model", bound=BaseModel)


def services(request: web.Request) -> Services:
    """The rooms behind the routes."""
    return request.app[SERVICES]


def at_core(request: web.Request) -> CoreRooms:
    """The rooms of the core, for a route that is declared to need them: others come where there is none."""
    assert request[OPERATION].at_core, request[OPERATION].route
    core = services(request).core
    assert isinstance(core, CoreRooms)
    return core


async def body(request: web.Request, model: type[Model]) -> Model:
    """The JSON body as `model`, the one declared; Problem 400, 408, 413, 415 or 422 otherwise."""
    assert request[OPERATION].body is model
    data = await read_json(request)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise Problem(400, "malformed", "the body is not JSON") from error
        raise


async def read_json(request: web.Request) -> bytes:
    """The bytes of a JSON body; Problem 408, 413 or 415. They can be asked for again."""
    if request.content_type != "application/json":
        raise Problem(415, "unsupported-media-type", "the body must be application/json")
    most = request[OPERATION].most_bytes
    if (request.content_length or 0) > most:
        raise Problem(413, "too-large", f"a body may have {most} bytes")
    known: bytes | None = request.get(_BODY)
    if known is not None:
        return known
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            data = await _read(request, most)
    except TimeoutError as error:
        raise Problem(408, "timeout", f"the body took longer than {BODY_TIMEOUT_S:g} s") from error
    request[_BODY] = data
    return data


async def _read(request: web.Request, most: int) -> bytes:
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > most:
            raise Problem(413, "too-large", f"a body may have {most} bytes")
    return bytes(data)


_BODY = web.RequestKey("body", bytes)


def query(request: web.Request, model: type[Model]) -> Model:
    """The query as `model`, the one declared; Problem 422 otherwise. No name may stand in it twice."""
    assert request[OPERATION].query is model
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise Problem(422, "invalid", f"`{name[:40]}` is in the query twice")
        given[name] = value
    return model.model_validate_strings(given)


def path_id(request: web.Request) -> bytes:
    """The identifier in the path; one that cannot be is not found."""
    try:
        return parse_id(request.match_info["id"])
    except ValueError as error:
        raise NotFound(f"there is no {request.match_info['id'][:64]!r}") from error


def ids(values: Sequence[UUID]) -> tuple[bytes, ...]:
    """UUIDs as identifiers, each once."""
    return tuple(dict.fromkeys(value.bytes for value in values))
