"""The event bus between processes: a Redis stream that says up to which number there are events.

The events themselves are read from the store, by number, so nothing that Redis loses, keeps too long or is told by
others makes a gap, a repetition or a falsehood for those who watch; it makes them wait for the feed's own look, at
most journal/feed.py's POLL_S. A stream's ids are the events' numbers, and a process's position in it is the number
of the newest event it knows.

Whoever knows of more than the stream does adds it, be it the process that committed or another: then it does not
matter who was killed between its commit and its word.
"""

from __future__ import annotations

import asyncio

import structlog

from loa.broadcast.journal.feed import Feed
from loa.broadcast.live.redis_address import RedisAddress
from loa.broadcast.live.redis_line import ANSWER_S, RedisLine
from loa.errors import LiveError, StoreError

KEY = "loa:events"
KEPT = 1024
"""Numbers that stay in the stream: one would do, and the rest shows an operator what went by."""
BLOCK_S = 5.0
RETRY_S = 0.5
_MOST_READ = 512
_MOST_ID = (1 << 64) - 1
"""Behind every entry of a number."""

# A stream takes no id that is not above its last; that it is there already is as good.
_ADD = """
local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], ARGV[1] .. '-0', 'seq', ARGV[1])
if type(added) == 'table' and added.err and not string.find(added.err, 'equal or smaller', 1, true) then
    return added
end
return 1
"""
# Unless it was begun anew meanwhile.
_FORGET = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] and last[1][1] == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

log = structlog.get_logger("loa.live")


class EventStream:
    """Tells other processes of events, and hears from them. `run` it as a task beside the feed's."""

    def __init__(self, address: RedisAddress, feed: Feed) -> None:
        """ConfigError without the package for Redis."""
        self._feed = feed
        self._line = RedisLine(address)
        # Its questions wait for news, so it needs a line of its own, on which an answer may take its time.
        self._patient = RedisLine(address, answer_s=BLOCK_S + ANSWER_S)
        self._add, self._delete = self._line.script(_ADD), self._line.script(_FORGET)
        self._in_stream = 0
        """The highest number that is known to have been added; never above the feed's newest."""

    async def run(self) -> None:
        """Tell and hear, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell())
            group.create_task(self._hear())

    async def _tell(self) -> None:
        while True:
            newest = await self._feed.beyond(self._in_stream)
            try:
                await self._add([KEY], [newest, KEPT])
            except LiveError:
                await asyncio.sleep(RETRY_S)
                continue
            self._in_stream = max(self._in_stream, newest)

    async def _hear(self) -> None:
        while True:
            try:
                last = await self._next(self._feed.newest)
                if last is None:
                    continue
                await self._feed.look()
                if last <= self._feed.newest:
                    self._in_stream = max(self._in_stream, last)
                    continue
                await self._forget()
                await asyncio.sleep(RETRY_S)
            except (LiveError, StoreError):
                await asyncio.sleep(RETRY_S)  # who failed has said so; meanwhile the feed looks by itself

    async def _next(self, after: int) -> int | None:
        """A number behind number `after`; None when there was none for a while."""
        said = await self._patient.ask(
            *("XREAD", "COUNT", _MOST_READ, "BLOCK", int(BLOCK_S * 1000), "STREAMS", KEY, f"{after}-{_MOST_ID}")
        )
        if not said:
            return None
        [(_, entries)] = said
        return _number(entries[-1])

    async def _forget(self) -> None:
        """Begin the stream anew: it knows of events that the store does not have, so it is another store's.

        A number gets there after its event was committed, and the store was asked after the stream.
        """
        for last in await self._line.ask("XREVRANGE", KEY, "+", "-", "COUNT", 1):
            await self._feed.look()
            newest = self._feed.newest
            if _number(last) > newest and await self._delete([KEY], [last[0]]):
                log.warning("the stream of events was another store's", stream=_number(last), store=newest)

    async def close(self) -> None:
        """Close its connections."""
        await self._line.close()
        await self._patient.close()


def _number(entry: tuple[bytes, object]) -> int:
    return int(entry[0].partition(b"-")[0])
