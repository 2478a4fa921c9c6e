"""The HTTP requests in flight: those whose answer has not begun."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

log = structlog.get_logger("loa.app")
_ANSWERED = web.RequestKey("answered", asyncio.Event)


class InFlight:
    """Knows every request of an application from its coming until its answer begins.

    An answer that lasts (a link, a listener's stream, events) is begun inside its handler, and not waited for.
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def watch(self, application: web.Application) -> None:
        """To be called before the application is set up."""
        application.middlewares.insert(0, self._middleware())
        application.on_response_prepare.append(self._begins)

    async def drain(self, most_s: float) -> None:
        """Wait for those that are in flight now, but no longer than so."""
        try:
            async with asyncio.timeout(most_s):
                await self.finished()
        except TimeoutError:
            log.warning("requests in flight are cut off", count=len(self))

    async def finished(self) -> None:
        """Wait for those that are in flight now; what comes later is not waited for."""
        for answered in tuple(self._waiting):
            await answered.wait()

    def _middleware(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        @web.middleware
        async def count(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            answered = request[_ANSWERED] = asyncio.Event()
            self._waiting.add(answered)
            try:
                return await handler(request)
            finally:
                self._over(answered)

        return count

    async def _begins(self, request: web.Request, _answer: web.StreamResponse) -> None:
        if (answered := request.get(_ANSWERED)) is not None:
            self._over(answered)

    def _over(self, answered: asyncio.Event) -> None:
        self._waiting.discard(answered)
        answered.set()
