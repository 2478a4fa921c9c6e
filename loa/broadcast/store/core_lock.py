"""One core for each database: a lock that ends with the process, or with its connection.

On PostgreSQL it is an advisory lock of a session of its own, which has to reach the server itself (a pooler that
shares sessions would share the lock). When the session is lost, so is the lock, until a new session has it: an old
one of this same core that the server still believes alive is ended for it. Should another core have taken it
meanwhile, this one has been replaced. On SQLite it is a lock on a file beside the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from loa.broadcast.store.address import Address, parse
from loa.errors import ConfigError, StoreError

if TYPE_CHECKING:
    import asyncpg

PERIOD_S = 2.0
"""How often the session is looked after: one that ends says so by itself, but not one whose network is gone."""
ANSWER_S = 3.0
RETRY_S = 0.5
LOCK = int.from_bytes(b"loa core", "big")
_NAME = "loa core"
# How long the server believes in a session whose other end is gone.
_SETTINGS = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
_HOLDERS = """
SELECT a.pid, a.application_name, a.backend_start, host(a.client_addr) AS address
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = $1::oid AND l.objid = $2::oid
"""

log = structlog.get_logger("loa.store")


class CoreLock:
    """Held by a core for as long as it runs. Made by `take`; `keep` it as a task; `close` it."""

    def __init__(self) -> None:
        self.held = True
        """Whether it is held now: without it nothing is ordered."""
        self.replaced = asyncio.Event()
        """Set when another core has it: then this one must end."""

    @classmethod
    async def take(cls, url: str) -> CoreLock:
        """Take the lock of this database; ConfigError when another core runs on it, StoreError."""
        address = parse(url)
        return await (_FileLock.open(address) if address.backend == "sqlite" else _SessionLock.open(address))

    async def keep(self) -> None:
        """Look after it, until another core has it."""
        await self.replaced.wait()

    async def close(self) -> None:
        """Let it go."""
        self.held = False


class _FileLock(CoreLock):
    """On SQLite. It cannot be lost."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    @classmethod
    async def open(cls, address: Address) -> _FileLock:
        assert address.url.database is not None
        path = Path(f"{address.url.database}.core")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"the lock {path} cannot be taken: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise ConfigError(f"another core runs on the database {address.shown}") from error
            raise StoreError(f"the lock {path} cannot be taken: {error.strerror}") from error
        return cls(descriptor)

    async def close(self) -> None:
        await super().close()
        os.close(self._descriptor)


class _SessionLock(CoreLock):
    """On PostgreSQL."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self.held = False
        self._address = address
        self._name = f"{_NAME} {secrets.token_hex(8)}"
        self._session: asyncpg.Connection | None = None
        self._ended = asyncio.Event()

    @classmethod
    async def open(cls, address: Address) -> _SessionLock:
        lock = cls(address)
        errors = _errors()
        try:
            other = await lock._take()
        except errors as error:
            raise StoreError(f"the store failed: {type(error).__name__}: {error}") from None
        if other:
            raise ConfigError(f"another core runs on the database {address.shown}: {other}")
        return lock

    async def _take(self) -> str:
        """Take it in a new session; who else has it, in words, or nothing when it is held now."""
        import asyncpg

        ended = self._ended = asyncio.Event()
        session = await asyncpg.connect(
            self._address.dsn,
            timeout=ANSWER_S,
            command_timeout=ANSWER_S,
            server_settings={"application_name": self._name, **_SETTINGS},
        )
        try:
            other = await self._lock_in(session)
            if other:
                return other
            session.add_termination_listener(lambda _: ended.set())
            self._session, session = session, None
        finally:
            if session is not None:
                session.terminate()
        self.held = True
        return ""

    async def _lock_in(self, session: asyncpg.Connection) -> str:
        while not await session.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
            for holder in await session.fetch(_HOLDERS, LOCK >> 32, LOCK & 0xFFFF_FFFF):
                if holder["application_name"] != self._name:
                    return _told(holder["backend_start"], holder["address"])
                # The server believes in a session of ours that is gone.
                await session.execute("SELECT pg_terminate_backend($1)", holder["pid"])
            await asyncio.sleep(RETRY_S / 10)
        return ""

    async def keep(self) -> None:
        errors = _errors()
        while not self.replaced.is_set():
            try:
                await self._watch()
            except errors as error:
                if self.held:
                    self.held = False
                    log.error("the core's lock is lost: nothing is ordered without it", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _watch(self) -> None:
        """Look after the session for a while, or, when there is none, open one; raises when it is lost."""
        if self._session is None:
            other = await self._take()
            if other:
                log.error("another core runs on the database: this one ends", other=other)
                self.replaced.set()
            else:
                log.info("the core's lock is held again")
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PERIOD_S):
                await self._ended.wait()
        try:
            await self._session.execute("SELECT 1")
        except BaseException:
            self._session.terminate()
            self._session = None
            raise

    async def close(self) -> None:
        await super().close()
        if self._session is not None:
            # The server learns of an end a moment later, and would refuse the core that starts meanwhile.
            with contextlib.suppress(*_errors()):
                await self._session.execute("SELECT pg_advisory_unlock($1)", LOCK, timeout=ANSWER_S)
            self._session.terminate()


def _errors() -> tuple[type[Exception], ...]:
    try:
        import asyncpg
    except ImportError:
        raise ConfigError(
            "the database is PostgreSQL, and its driver is not installed: pip install 'loa[cluster]'"
        ) from None
    return (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


def _told(since: datetime | None, address: str | None) -> str:
    return f"since {since:%Y-%m-%d %H:%M:%S %Z} from {address or 'its own machine'}" if since else "who is not told"
