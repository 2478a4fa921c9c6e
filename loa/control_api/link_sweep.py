"""Finds links whose other end is gone without goodbye: one sweep over all of them, and no timer for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from aiohttp import web

SWEEP_S = 7.5
AT_ONCE = 200
"""Links in one turn of the event loop."""


class Swept(Protocol):
    """A link as the sweep sees it."""

    def sweep(self) -> None:
        """SWEEP_S have passed."""


class LinkSweep:
    """The links that are open, each swept every SWEEP_S."""

    def __init__(self) -> None:
        self._links: dict[int, Swept] = {}

    @contextmanager
    def of(self, link: Swept) -> Iterator[None]:
        """Sweep this one as long as the block lasts."""
        self._links[id(link)] = link
        try:
            yield
        finally:
            del self._links[id(link)]

    async def turn(self) -> None:
        """Sweep each once, with turns for others in between."""
        links = list(self._links.values())
        for at in range(0, len(links), AT_ONCE):
            for link in links[at : at + AT_ONCE]:
                link.sweep()
            await asyncio.sleep(0)

    async def run(self) -> None:
        """Sweep, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            await self.turn()


SWEEP = web.AppKey("link_sweep", LinkSweep)


async def sweeping(app: web.Application) -> AsyncIterator[None]:
    """Sweep as long as the application runs."""
    running = asyncio.create_task(app[SWEEP].run())
    yield
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
