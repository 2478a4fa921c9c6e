"""Errors as people and programs read them: application/problem+json (RFC 9457).

Everything a handler raises on purpose is mapped here, once. `type` is `urn:loa:problem:<slug>`; slugs stay.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import web
from pydantic import ValidationError
from structlog.contextvars import bound_contextvars

from loa.broadcast.content.audio_file import TooLong
from loa.broadcast.content.library import TooLarge
from loa.errors import (
    BadCursor,
    Busy,
    Changed,
    ConfigError,
    Conflict,
    DiskFull,
    EnrolmentError,
    Forbidden,
    LoaError,
    MediaError,
    NotAudio,
    NotFound,
    PlaceError,
    QuotaFull,
    SignInRefused,
    StoreError,
    Unsuitable,
    WireError,
)

TYPE_PREFIX = "urn:loa:problem:"
REQUEST_ID = web.RequestKey("request_id", str)
_ENROLMENT_STATUS = {"unknown": 404, "wrong": 403, "spent": 403, "used": 409, "expired": 410, "kind": 409}
_STATUS: tuple[tuple[type[LoaError], int, str], ...] = (
    (TooLarge, 413, "too-large"),
    (TooLong, 422, "too-long"),
    (NotAudio, 422, "not-audio"),
    (MediaError, 422, "audio-unreadable"),
    (DiskFull, 507, "disk-full"),
    (QuotaFull, 507, "quota-full"),
    (NotFound, 404, "not-found"),
    (BadCursor, 422, "invalid"),
    (Changed, 412, "changed"),
    (Conflict, 409, "conflict"),
    (WireError, 400, "malformed"),
    (ConfigError, 400, "malformed"),
    (PlaceError, 422, "invalid"),
)

log = structlog.get_logger("loa.api")


class Problem(LoaError):
    """An answer other than the one asked for. `slug` names the kind, `detail` this case; `more` is told too."""

    def __init__(
        self, status: int, slug: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more


def response(problem: Problem, request_id: str) -> web.Response:
    """The problem as a response."""
    body = {
        "type": TYPE_PREFIX + problem.slug,
        "title": problem.slug.replace("-", " "),
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id,
        **problem.more,
    }
    headers = dict(problem.headers)
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="loa"'
    answer = web.Response(
        status=problem.status,
        text=json.dumps(body, ensure_ascii=False),
        content_type="application/problem+json",
        headers=headers,
    )
    if problem.status == 408:
        answer.force_close()
    return answer


def as_problem(error: LoaError | ValidationError) -> Problem:
    """What an error of ours means to the one who asked."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationError):
        errors = [
            {"field": ".".join(str(part) for part in item["loc"]), "message": item["msg"]}
            for item in error.errors(include_url=False, include_context=False, include_input=False)[:32]
        ]
        return Problem(422, "invalid", "; ".join(f"{e['field']}: {e['message']}" for e in errors), errors=errors)
    if isinstance(error, EnrolmentError):
        return Problem(_ENROLMENT_STATUS[error.slug], f"enrolment-{error.slug}", error.detail)
    if isinstance(error, SignInRefused):
        wait = {"Retry-After": str(-(-error.wait_ms // 1000))} if error.wait_ms else {}
        return Problem(429 if error.wait_ms else 403, f"proof-{error.slug}", error.detail, headers=wait)
    if isinstance(error, Unsuitable):
        return Problem(422, f"{error.slug}-unsuitable", error.detail)
    if isinstance(error, Forbidden):
        return Problem(403, error.slug, error.detail)
    if isinstance(error, Busy):
        return Problem(503, "busy", str(error), headers={"Retry-After": "1"})
    for kind, status, slug in _STATUS:
        if isinstance(error, kind):
            return Problem(status, slug, str(error))
    return STORE if isinstance(error, StoreError) else INTERNAL


STORE = Problem(503, "store-unavailable", "the store failed; the core's log has this request's id")
INTERNAL = Problem(500, "internal", "the core made a mistake; its log has this request's id")


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give each request an id, and turn what its handler raises into a problem."""
    request_id: str = request.get(REQUEST_ID) or secrets.token_hex(8)  # one that was handed over has its id
    request[REQUEST_ID] = request_id
    try:
        with bound_contextvars(request_id=request_id):
            answer = await handler(request)
    except web.HTTPException as error:
        slug = error.reason.lower().replace(" ", "-")
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        answer = response(Problem(error.status, slug, error.reason, headers=headers), request_id)
    except (LoaError, ValidationError) as error:
        problem = as_problem(error)
        if problem.status >= 500 and problem is not error:
            log.error("request failed", request_id=request_id, path=request.path, error=str(error))
        answer = response(problem, request_id)
    except ConnectionError:
        if request.transport is not None and not request.transport.is_closing():
            raise
        answer = web.Response(status=400)  # who asked has gone, and hears no answer
    except Exception:
        log.exception("request failed", request_id=request_id, path=request.path)
        answer = response(INTERNAL, request_id)
    if not answer.prepared:
        answer.headers["X-Request-Id"] = request_id
    return answer
