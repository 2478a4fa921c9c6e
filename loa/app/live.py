"""What a process shares with the others while they run: by Redis where there is one, else with nobody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from loa.app.tasks import in_background
from loa.broadcast.air.session import Session
from loa.broadcast.journal.feed import Feed
from loa.broadcast.live.event_stream import EventStream
from loa.broadcast.live.redis_address import parse
from loa.broadcast.live.redis_line import RedisLine
from loa.broadcast.live.shared_states import StatesTeller
from loa.config import CoreConfig
from loa.control_api.rate_limits import LocalRateLimits, RateLimits
from loa.control_api.shared_rate_limits import SharedRateLimits
from loa.errors import LiveError
from loa.timing.clock import Clock


@dataclass(frozen=True, slots=True)
class Live:
    """The rate limits, and the line to Redis if there is one."""

    limits: RateLimits
    line: RedisLine | None

    def gauges(self) -> dict[str, float]:
        """By full name without the prefix."""
        return {} if self.line is None else {"redis_up": self.line.up}


def tell_states(
    line: RedisLine, sessions: Callable[[], Iterable[Session]], stack: contextlib.AsyncExitStack
) -> None:
    """Tell the others how this core's endpoints are, until the stack is closed: from then on it is not known."""
    teller = StatesTeller(line, sessions)

    async def end() -> None:
        with contextlib.suppress(LiveError):  # then it expires
            await teller.end()

    stack.push_async_callback(end)
    in_background(stack, teller.run())


def open_live(config: CoreConfig, clock: Clock, feed: Feed, stack: contextlib.AsyncExitStack) -> Live:
    """Share signs of events and rate limits until the stack is closed. Redis need not be there; ConfigError."""
    local = LocalRateLimits(clock, config.api_requests_per_s, config.api_burst)
    if not config.redis_url:
        return Live(local, None)
    address = parse(config.redis_url)
    line = RedisLine(address)
    stack.push_async_callback(line.close)
    stream = EventStream(address, feed)
    stack.push_async_callback(stream.close)
    in_background(stack, stream.run())
    return Live(SharedRateLimits(line, local, config.api_requests_per_s, config.api_burst), line)
