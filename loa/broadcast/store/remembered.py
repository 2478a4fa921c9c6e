"""What the store said a moment ago, for what is asked with every request.

An answer is forgotten as soon as anything is committed by this process, or an event tells that another has
committed, and after KEPT_S in any case, since that may come late. So a change that this process has made durable is
seen by whoever asks next.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from loa.broadcast.store.database import Database

KEPT_S = 1.0
MOST = 10_000
"""Answers that are kept; the oldest goes first."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """Answers of `ask`, by key. What `ask` raises is raised each time."""

    def __init__(
        self,
        db: Database,
        ask: Callable[[Key], Awaitable[Value]],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._now_s = now_s
        self._answers: OrderedDict[Key, tuple[float, Value]] = OrderedDict()
        self._commits = 0
        db.after_change.append(self._forget)

    async def get(self, key: Key) -> Value:
        """What the store says under `key`, now or a moment ago."""
        known = self._answers.get(key)
        if known is not None and self._now_s() < known[0]:
            return known[1]
        commits, until_s = self._commits, self._now_s() + KEPT_S
        value = await self._ask(key)
        if commits == self._commits:  # else what was read may be older than what was committed meanwhile
            self._answers.pop(key, None)
            self._answers[key] = (until_s, value)
            if len(self._answers) > MOST:
                self._answers.popitem(last=False)
        return value

    def _forget(self) -> None:
        self._commits += 1
        self._answers.clear()
