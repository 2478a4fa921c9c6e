"""The way to the core from a process without one: what only the core can do is asked of it, as it came.

Method, path, headers and body go to the core, its answer comes back as it is, piece by piece both ways: nothing is
held here but one piece. A core that cannot be reached is 503 `core-unreachable`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import structlog
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from loa.control_api.caller import address
from loa.control_api.handed_over import HEADER, REFUSED, Caller, ClusterSecret
from loa.control_api.link_relay import relay
from loa.control_api.operation import OPERATION
from loa.control_api.places import place
from loa.control_api.problems import REQUEST_ID, Problem
from loa.control_api.requests import read_json

CONNECT_S = 3.0
ANSWER_S = 60.0
"""How long the core may be silent: longer than any store lets an order wait."""
WRITE_TIMEOUT_S = 10.0
MAX_AT_ONCE = 1_000
"""Requests of one route at the core; links have a bound of their own."""
RETRY_AFTER_S = 2
# RFC 9110 §7.6.1; who asks and what may be trusted of it is said anew.
_NOT_PASSED = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "expect",
        "forwarded",
        "x-forwarded-for",
        HEADER.lower(),
    }
)
_NOT_PASSED_BACK = _NOT_PASSED - {"content-length"} | {REFUSED.lower()}
_OF_WEBSOCKETS = frozenset(
    {
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
    }
)

log = structlog.get_logger("loa.api")


class HandOver:
    """Hands requests over to the core. Made within a running loop; `close` it.

    `counters`: handed_over, links, unreachable.
    """

    def __init__(self, core_url: str, secret: ClusterSecret) -> None:
        self._core_url = core_url.rstrip("/")
        self._secret = secret
        self.counters: Counter[str] = Counter()
        # Each request has a connection of its own: on one that was kept, nobody could tell whether a core that has
        # gone meanwhile had heard it.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=ANSWER_S),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The core's answer to the request; Problem 503 `core-unreachable`, or `busy` above MAX_AT_ONCE."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            self.counters["links"] += 1
            try:
                return await relay(request, self._session, self._url(request), self._headers(request))
            except (aiohttp.ClientError, OSError) as error:
                raise self._unreachable(error) from error
        self.counters["handed_over"] += 1
        with place(request, f"at core {request[OPERATION].path}", MAX_AT_ONCE):
            return await self._pass_on(request)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        try:
            answered = await self._session.request(
                request.method,
                self._url(request),
                headers=self._headers(request),
                data=await _body(request),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error
        async with answered:
            if REFUSED in answered.headers:
                log.error("the core does not believe this process", core=self._core_url, why=await answered.text())
                raise Problem(503, "core-unreachable", "the core does not believe this process; its log says why")
            return await _pass_back(request, answered)

    def _url(self, request: web.Request) -> URL:
        return URL(self._core_url + request.rel_url.raw_path_qs, encoded=True)

    def _headers(self, request: web.Request) -> CIMultiDict[str]:
        headers = _without(request.headers, _NOT_PASSED | _OF_WEBSOCKETS)
        headers[HEADER] = self._secret.header(request, Caller(address(request), request[REQUEST_ID]))
        return headers

    def _unreachable(self, error: Exception) -> Problem:
        self.counters["unreachable"] += 1
        log.error("the core cannot be reached", core=self._core_url, error=f"{type(error).__name__}: {error}")
        said = isinstance(error, aiohttp.ClientConnectorError)
        detail = (
            "the core cannot be reached; nothing has happened"
            if said
            else "the core has not answered; whether it has happened is not known: ask, or send it again"
        )
        return Problem(503, "core-unreachable", detail, headers={"Retry-After": str(RETRY_AFTER_S)})

    async def close(self) -> None:
        """End all that is being handed over."""
        await self._session.close()


async def _body(request: web.Request) -> bytes | AsyncIterator[bytes] | None:
    """What a route declares is read here, in its bounds, so that nobody's slow body keeps the core waiting."""
    if request[OPERATION].body is not None:
        return await read_json(request)
    return request.content.iter_any() if request.body_exists else None


async def _pass_back(request: web.Request, answered: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = _without(answered.headers, _NOT_PASSED_BACK)
    answer = web.StreamResponse(status=answered.status, reason=answered.reason, headers=headers)
    try:
        await answer.prepare(request)
        async for data in answered.content.iter_any():
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await answer.write(data)
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await answer.write_eof()
    except (aiohttp.ClientError, TimeoutError) as error:
        # The answer has begun: that it is not whole can only be shown by its breaking off.
        log.info("an answer of the core breaks off", request_id=request[REQUEST_ID], error=type(error).__name__)
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # who asked has gone
    return answer


def _without(headers: CIMultiDictProxy[str], names: frozenset[str]) -> CIMultiDict[str]:
    """The headers, less these and less those that belong to the connection they came by."""
    named = {name.strip().lower() for line in headers.getall("Connection", ()) for name in line.split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in names | named)
