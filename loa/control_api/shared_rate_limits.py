"""Rate limits over all processes, counted in Redis; when it does not answer, each process counts by itself."""

from __future__ import annotations

from loa.broadcast.live.redis_line import RedisLine
from loa.control_api.rate_limits import RateLimits
from loa.errors import LiveError

PREFIX = "loa:rate:"

# The generic cell rate algorithm, which is a token bucket in one number: when the caller's bucket will be full
# again, in µs. Times are Redis's own. A key is gone when it says nothing.
_TAKE = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local each, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + each
local wait = full - now - each * burst
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
return 0
"""


class SharedRateLimits:
    """See control_api/rate_limits.RateLimits."""

    def __init__(self, line: RedisLine, local: RateLimits, a_second: float, burst: int) -> None:
        """`local` counts while Redis does not answer."""
        self._local = local
        self._each_us = 1_000_000 / a_second
        self._burst = burst
        self._take = line.script(_TAKE)

    async def take(self, caller: str) -> float:
        """See RateLimits."""
        try:
            wait_us: int = await self._take([PREFIX + caller], [self._each_us, self._burst])
        except LiveError:
            return await self._local.take(caller)
        return wait_us / 1_000_000
