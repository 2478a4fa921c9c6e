"""The lock-out over all processes: lanes lie in Redis, and each process decides by the same rules.

What an attempt touches is read, looked at, and written back if nobody has changed it meanwhile; else it is done
again. Where Redis does not answer, each process counts by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from loa.broadcast.live.redis_line import RedisLine, Value
from loa.broadcast.people.lockout import Attempt, Count, Gate, Key, LocalGate, Lockout, Ticket, lanes
from loa.errors import LiveError

PREFIX = "loa:lane:"
TRIES = 8
BUSY_WAIT_MS = 1_000
"""How long an attempt waits that so many others at once have kept from being counted."""

# Keys, and for each what it held, what it shall hold (nothing: it goes), and for how many ms.
_SWAP = """
for i, key in ipairs(KEYS) do
    if (redis.call('GET', key) or '') ~= ARGV[3 * i - 2] then return 0 end
end
for i, key in ipairs(KEYS) do
    if ARGV[3 * i - 1] == '' then
        redis.call('DEL', key)
    else
        redis.call('SET', key, ARGV[3 * i - 1], 'PX', ARGV[3 * i])
    end
end
return 1
"""

T = TypeVar("T")


class SharedGate:
    """See lockout.Gate."""

    def __init__(self, line: RedisLine, local: Gate | None = None) -> None:
        """`local` counts while Redis does not answer."""
        self._line = line
        self._local = local or LocalGate()
        self._swap = line.script(_SWAP)

    async def begin(self, attempt: Attempt, now_ms: int) -> Ticket | int:
        """See Lockout."""
        try:
            return await self._in(lanes(attempt), now_ms, lambda held: held.begin(attempt, now_ms), BUSY_WAIT_MS)
        except LiveError:
            return _local(await self._local.begin(attempt, now_ms))

    async def begin_code(self, attempt: Attempt, now_ms: int) -> Ticket | int:
        """See Lockout."""
        try:
            return await self._in(
                lanes(attempt), now_ms, lambda held: held.begin_code(attempt, now_ms), BUSY_WAIT_MS
            )
        except LiveError:
            return _local(await self._local.begin_code(attempt, now_ms))

    async def succeeded(self, ticket: Ticket) -> None:
        """See Lockout."""
        if isinstance(ticket, _LocalTicket):
            await self._local.succeeded(ticket)
        else:
            await self._close(ticket, Lockout.succeeded)

    async def undecided(self, ticket: Ticket) -> None:
        """See Lockout."""
        if isinstance(ticket, _LocalTicket):
            await self._local.undecided(ticket)
        else:
            await self._close(ticket, Lockout.undecided)

    async def _close(self, ticket: Ticket, work: Callable[[Lockout, Ticket], None]) -> None:
        keys = [key for key, _, _ in ticket.changes]
        now_ms = max((after.counted_ms for _, _, after in ticket.changes), default=0)
        with suppress(LiveError):  # then it wears off
            await self._in(keys, now_ms, lambda held: work(held, ticket), None)

    async def _in(self, keys: Sequence[Key], now_ms: int, work: Callable[[Lockout], T], busy: T) -> T:
        """Do `work` with these lanes; `busy` when others were faster TRIES times."""
        if not keys:
            return work(Lockout())
        names = [f"{PREFIX}{lane}:{name}" for lane, name in keys]
        for _ in range(TRIES):
            held = [b"" if value is None else value for value in await self._line.ask("MGET", *names)]
            counts = {key: _read(value) for key, value in zip(keys, held, strict=True)}
            lockout = Lockout({key: count for key, count in counts.items() if count is not None})
            done = work(lockout)
            arguments: list[Value] = []
            for key, before in zip(keys, held, strict=True):
                after = lockout.count(key)
                left_ms = 1 if after is None else max(after.worn_off_ms, after.until_ms) - now_ms
                arguments += (before, _written(after), max(left_ms, 1))
            if arguments[::3] == arguments[1::3] or await self._swap(names, arguments):
                return done
        return busy


@dataclass(frozen=True, slots=True)
class _LocalTicket(Ticket):
    """One that this process counts by itself."""


def _local(said: Ticket | int) -> Ticket | int:
    return _LocalTicket(said.changes) if isinstance(said, Ticket) else said


def _written(count: Count | None) -> bytes:
    return b"" if count is None else b"%d %d %d" % (count.worn_off_ms, count.until_ms, count.counted_ms)


def _read(value: bytes) -> Count | None:
    """What `_written` has written; anything else is no count."""
    parts = value.split(b" ")
    if len(parts) != 3 or not all(part.isdigit() and len(part) < 20 for part in parts):
        return None
    return Count(*map(int, parts))
