"""Requests that a process without the core hands over to it: what it says of the caller, and how the core believes
it.

A request is handed over as it came, with one header more: from where it came, under which id, when, and an
HMAC-SHA256 of that and of method and path by a secret that both processes have. The core asks for the caller's
token all the same; what it takes from here is the address and the id, for the journal and the logs, and that the
caller has been counted.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from loa.control_api.problems import REQUEST_ID, Problem, response
from loa.errors import ConfigError
from loa.timing.clock import Clock

HEADER = "Loa-Handed-Over"
REFUSED = "Loa-Hand-Over-Refused"
MAX_APART_S = 60
"""How far two machines' clocks may be apart: a header that was read on the way is good for no longer."""
MIN_SECRET_BYTES = 32
_NOWHERE = "-"
_FORM = re.compile(r"([0-9]{1,12}) ([0-9a-f]{16}) ([0-9A-Za-z.:%_-]{1,80}) ([0-9a-f]{64})", re.ASCII)


log = structlog.get_logger("loa.api")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked at the other process: the address, or nothing, and the id of the request there."""

    address: str
    request_id: str


HANDED_OVER = web.RequestKey("handed_over", Caller)


class ClusterSecret:
    """What the processes of a city know each other by."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        """ConfigError for a secret that is too short."""
        if len(secret) < MIN_SECRET_BYTES:
            raise ConfigError(f"the cluster's secret has {len(secret)} bytes: it needs {MIN_SECRET_BYTES}")
        self._secret = secret
        self._clock = clock

    def header(self, request: web.Request, caller: Caller) -> str:
        """What is said of the caller when `request` is handed over."""
        now_s = self._clock.utc_ns() // 1_000_000_000
        said = f"{now_s} {caller.request_id} {caller.address or _NOWHERE}"
        return f"{said} {self._mac(request, said)}"

    def caller(self, request: web.Request) -> Caller:
        """Who is behind a request that was handed over; ConfigError says why it is not believed."""
        line = ", ".join(request.headers.getall(HEADER))
        match = _FORM.fullmatch(line)
        if match is None:
            raise ConfigError("the header is not one of this version")
        said, _, mac = line.rpartition(" ")
        if not hmac.compare_digest(self._mac(request, said), mac):
            raise ConfigError("the two processes have different secrets (cluster_secret_file)")
        apart_s = self._clock.utc_ns() // 1_000_000_000 - int(match[1])
        if abs(apart_s) > MAX_APART_S:
            raise ConfigError(f"the clocks of the two machines are {abs(apart_s)} s apart")
        return Caller("" if match[3] == _NOWHERE else match[3], match[2])

    def _mac(self, request: web.Request, said: str) -> str:
        text = f"loa hand-over\n{request.method}\n{request.rel_url.raw_path_qs}\n{said}"
        return hmac.new(self._secret, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def believing(secret: ClusterSecret) -> Middleware:
    """The outermost middleware of a core that is handed requests over."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if HEADER not in request.headers:
            return await handler(request)
        try:
            caller = secret.caller(request)
        except ConfigError as error:
            log.error("a request that was handed over is refused", error=str(error), origin=request.remote)
            answer = response(Problem(403, "hand-over-refused", str(error)), _NOWHERE)
            answer.headers[REFUSED] = "1"
            return answer
        behind = request.clone(remote=caller.address)
        behind[HANDED_OVER] = caller
        behind[REQUEST_ID] = caller.request_id
        return await handler(behind)

    return middleware
