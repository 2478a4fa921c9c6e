"""Questions that come one by one and are answered together: a thousand that come at once cost sixteen queries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST = 64
"""Keys in one query: whoever asked goes on in one turn of the event loop, with much to do."""


class Gathered(Generic[K, V]):
    """Asks for one key at a time. A question that comes while a query runs is part of the next one, so an answer is
    never older than its question."""

    def __init__(self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], most: int = MOST) -> None:
        """`ask`: what is there under these keys, at most `most` of them."""
        self._ask = ask
        self._most = most
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def of(self, key: K) -> V | None:
        """What is there under the key, or None. Raises what the query raises."""
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                keys = list(self._waiting)[: self._most]
                waiting = {key: self._waiting.pop(key) for key in keys}
                try:
                    found = await self._ask(keys)
                except Exception as error:  # it belongs to those who asked
                    for answer in (each for answers in waiting.values() for each in answers if not each.done()):
                        answer.set_exception(error)
                    continue
                for key, answers in waiting.items():
                    for answer in answers:
                        if not answer.done():
                            answer.set_result(found.get(key))
        finally:
            self._asking = None
