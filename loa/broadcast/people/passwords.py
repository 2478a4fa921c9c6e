"""Passwords are hashed by argon2id, in threads: a hash takes a tenth of a second and 64 MiB.

Those who have signed in from the same browser or address before have a thread of their own: however many strangers
guess, the people of the house get in. Above WAITING that wait, one more is told to come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from loa.broadcast.people.password_policy import normal
from loa.errors import Busy

WAITING = 16
TIME_COST, MEMORY_KIB, LANES = 2, 65_536, 1
"""RFC 9106's memory, on one core: the others have sound to send."""

_NOBODYS = b"\xff"
"""Not UTF-8, so no password that can be typed: on its hash, an unknown user takes as long as a known one."""

_Done = TypeVar("_Done")


class Queue(StrEnum):
    """Who waits with whom."""

    STRANGERS = "strangers"
    KNOWN = "known"


class Passwords:
    """Hashes and verifies. Close it when it is done with."""

    def __init__(self, *, time_cost: int = TIME_COST, memory_kib: int = MEMORY_KIB) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=LANES)
        self._threads = {queue: ThreadPoolExecutor(1, f"passwords-{queue}") for queue in Queue}
        self._waiting = dict.fromkeys(Queue, 0)
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """The text to keep; Busy."""
        return await self._run(Queue.KNOWN, lambda: self._hasher.hash(_bytes(password)))

    async def verify(self, kept: str | None, password: str, queue: Queue = Queue.STRANGERS) -> bool:
        """Whether `password` is the one of which `kept` was made; Busy. None takes as long, and is nobody's."""
        return await self._run(queue, lambda: self._matches(kept, password)) and kept is not None

    def _matches(self, kept: str | None, password: str) -> bool:
        # Made by the first who come, known or not: that an answer takes longer then tells nothing.
        if not self._nobody:
            self._nobody = self._hasher.hash(_NOBODYS)
        kept = self._nobody if kept is None else kept
        try:
            return self._hasher.verify(kept, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    def needs_rehash(self, kept: str) -> bool:
        """Whether `kept` was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    async def _run(self, queue: Queue, work: Callable[[], _Done]) -> _Done:
        if self._waiting[queue] >= WAITING:
            raise Busy("too many passwords are being looked at; try again")
        self._waiting[queue] += 1
        try:
            # Who goes away while waiting is taken out of the thread's queue by the cancellation.
            return await asyncio.get_running_loop().run_in_executor(self._threads[queue], work)
        finally:
            self._waiting[queue] -= 1

    def close(self) -> None:
        """End the threads. What is being hashed is finished, what waits is not."""
        for threads in self._threads.values():
            threads.shutdown(cancel_futures=True)


def _bytes(password: str) -> bytes:
    return normal(password).encode("utf-8", "surrogatepass")
