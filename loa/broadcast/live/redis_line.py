"""The line to Redis: it answers soon, or it is down and everybody is told so at once.

Who asks must have another way. While the line is down only one question in RETRY_S is really tried, so that a Redis
that does not answer costs each request nothing. After it came back, and after Sentinel has named another server,
the next question finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from loa.broadcast.live.redis_address import RedisAddress
from loa.errors import ConfigError, LiveError

if TYPE_CHECKING:
    from redis.asyncio import Redis

ANSWER_S = 0.5
CONNECT_S = 0.5
RETRY_S = 0.5
CONNECTIONS = 8
"""Questions at once; others wait for their turn."""

Value = str | bytes | int | float
Script = Callable[[Sequence[str], Sequence[Value]], Awaitable[Any]]
T = TypeVar("T")

log = structlog.get_logger("loa.redis")


class RedisLine:
    """Asks Redis. Nothing is opened before the first question. All errors leave it as LiveError."""

    def __init__(self, address: RedisAddress, *, answer_s: float = ANSWER_S) -> None:
        """`answer_s`: how long an answer may take. ConfigError without the package."""
        self._address = address
        self._client, self._close = _client(address, answer_s)
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._down = ""
        self._again_s = 0.0

    @property
    def up(self) -> bool:
        """Whether the last question was answered."""
        return not self._down

    async def ask(self, *command: Value) -> Any:
        """One command, and what Redis answers."""
        return await self._try(lambda: self._client.execute_command(*command))  # type: ignore[no-untyped-call]

    def script(self, text: str) -> Script:
        """A Lua script, to be called with keys and arguments; Redis runs it as one step."""
        registered = self._client.register_script(text)

        async def run(keys: Sequence[str], arguments: Sequence[Value]) -> Any:
            return await self._try(lambda: registered(keys=list(keys), args=list(arguments)))

        return run

    async def _try(self, work: Callable[[], Awaitable[T]]) -> T:
        from redis.exceptions import RedisError

        async with self._places:
            now_s = asyncio.get_running_loop().time()
            if self._down:
                if now_s < self._again_s:
                    raise LiveError(self._down)
                self._again_s = now_s + RETRY_S
            try:
                answer = await _cancellable(work)
            except (TimeoutError, RedisError, OSError) as error:
                self._failed(error)
                raise LiveError(self._down) from None
        if self._down:
            self._down = ""
            log.info("Redis answers again", redis=self._address.shown)
        return answer

    def _failed(self, error: Exception) -> None:
        if not self._down:
            log.error("Redis does not answer", redis=self._address.shown, error=f"{type(error).__name__}: {error}")
        self._down = f"Redis does not answer: {type(error).__name__}"
        self._again_s = asyncio.get_running_loop().time() + RETRY_S

    async def close(self) -> None:
        """Close all connections."""
        await self._close()


async def _cancellable(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work, and let nobody swallow that it is cancelled.

    The client waits with asyncio.wait_for, which before Python 3.12 forgets a cancellation that comes in the moment
    in which what it waits for is done.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        return await work()
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


def _client(address: RedisAddress, answer_s: float) -> tuple[Redis, Callable[[], Awaitable[None]]]:
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.asyncio.sentinel import Sentinel
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as GoneError
    except ImportError:
        raise ConfigError(
            "redis_url is set, and the package for it is not installed: pip install 'loa[cluster]'"
        ) from None
    # A connection that was closed while nothing was asked shows at the next question, which a fresh one answers.
    # All that is asked may be asked twice.
    retry: Any = Retry(NoBackoff(), 1, supported_errors=(GoneError,))
    shared: dict[str, Any] = {
        "socket_timeout": answer_s,
        "socket_connect_timeout": CONNECT_S,
        "socket_keepalive": True,
        "protocol": 2,
    }
    server: dict[str, Any] = {
        "db": address.database,
        "username": address.username or None,
        "password": address.password or None,
        "ssl": address.tls,
        "retry": retry,
        "client_name": "loa",
    }
    if not address.service:
        (host, port) = address.hosts[0]
        client = Redis(host=host, port=port, **server, **shared)
        return client, client.aclose
    own = {"username": address.sentinel_username or None, "password": address.sentinel_password or None}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        address.hosts, sentinel_kwargs=own | shared | {"retry": retry}, **shared
    )
    watched: Redis = sentinel.master_for(address.service, **server)

    async def close() -> None:
        await watched.aclose()
        await sentinel.aclose()

    return watched, close
