"""How endpoints are, told by the core to other processes: one Redis hash, written every second, gone with the core.

Each field is an endpoint with a session; `core` names the run of the core whose knowledge this is, and `whole` says
that all of it is there. The hash expires when it is not renewed. So what a core that died or hangs has left, a
Redis that began anew and one that is being written to are all *not known*, and never *not linked*.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from loa.broadcast.air.door import Door
from loa.broadcast.air.session import Session
from loa.broadcast.live.endpoint_states import GONE, EndpointState, state_of
from loa.broadcast.live.redis_line import RedisLine, Value
from loa.codecs.link_wire import Status
from loa.errors import LiveError, WireError

KEY = "loa:endpoints"
PERIOD_S = 1.0
EXPIRE_S = 5.0
CHUNK = 500
"""Endpoints in one command: a city's worth in twenty, and nobody waits long behind one."""

_BEGIN = """
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'core', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
# Fields and values follow; an empty value says that the endpoint has no session.
_UPDATE = """
if redis.call('HGET', KEYS[1], 'core') ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for i = 3, #ARGV, 2 do
    if ARGV[i + 1] == '' then
        redis.call('HDEL', KEYS[1], ARGV[i])
    else
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    end
end
return 1
"""
_END = """
if redis.call('HGET', KEYS[1], 'core') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

log = structlog.get_logger("loa.live")

_Seen = tuple[bytes, bool, Door | None, Status | None]


class StatesTeller:
    """Tells how the endpoints of a hub are. `run` it as a task, in the one core of a store."""

    def __init__(self, line: RedisLine, sessions: Callable[[], Iterable[Session]]) -> None:
        """`sessions`: all that there are now."""
        self._line = line
        self._sessions = sessions
        self._run = secrets.token_hex(8)
        self._told: dict[bytes, _Seen] | None = None
        """What Redis has been told; None when it must be told everything."""
        self._begin, self._update, self._end = map(line.script, (_BEGIN, _UPDATE, _END))

    async def run(self) -> None:
        """Tell, for ever."""
        while True:
            with contextlib.suppress(LiveError):  # the line has said so, and what is there expires
                await self.tell()
            await asyncio.sleep(PERIOD_S)

    async def tell(self) -> None:
        """Bring Redis up to date; LiveError: then the next call tells everything."""
        told, self._told = self._told, None
        whole: list[Value] = []
        if told is None:
            await self._begin([KEY], [self._run, _ms(EXPIRE_S)])
            told, whole = {}, ["whole", "1"]
        now: dict[bytes, _Seen] = {}
        changed: list[Value] = []
        for session in self._sessions():
            endpoint_id = session.endpoint.id
            seen = now[endpoint_id] = (session.channel_id, session.live, session.heard_by, session.status)
            if told.get(endpoint_id) != seen:
                changed += (endpoint_id, state_of(session).encode())
        for endpoint_id in told.keys() - now.keys():
            changed += (endpoint_id, b"")
        changed += whole
        for at in range(0, max(len(changed), 1), 2 * CHUNK):
            arguments = [self._run, _ms(EXPIRE_S), *changed[at : at + 2 * CHUNK]]
            if not await self._update([KEY], arguments):
                return  # Redis has lost it, or another core tells now
        self._told = now

    async def end(self) -> None:
        """Take back what was told; LiveError."""
        await self._end([KEY], [self._run])


class SharedStates:
    """Knows of endpoints what the core tells."""

    def __init__(self, line: RedisLine) -> None:
        self._line = line

    async def of(self, endpoint_ids: Sequence[bytes]) -> Mapping[bytes, EndpointState] | None:
        """See EndpointStates."""
        try:
            whole, *values = await self._line.ask("HMGET", KEY, "whole", *endpoint_ids)
            if whole is None:
                return None
            states = [GONE if value is None else EndpointState.decode(value) for value in values]
        except LiveError:
            return None
        except WireError as error:
            log.warning("Redis holds what no core has written", key=KEY, error=str(error))
            return None
        return dict(zip(endpoint_ids, states, strict=True))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
