"""How connections are opened: what is special to SQLite and to PostgreSQL stays here.

A connection is for one use. Readers see one state and can change nothing. A writer holds the lock that all writers
of all processes share from the beginning of its transaction to its end, so that what it has read is still true when
it writes. Nothing waits for ever: not for a connection, not for the lock, not for an answer.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, NullPool, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from loa.broadcast.store.address import Address
from loa.broadcast.store.sqlite_connection import Driver
from loa.errors import ConfigError, StoreError

if TYPE_CHECKING:
    import asyncpg

READERS = 10
"""Connections for reading. Who finds none free waits POOL_TIMEOUT_S for one."""
POOL_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 10.0
LOCK_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 30.0
IDLE_TIMEOUT_S = 60.0
"""How long a transaction may stand still before PostgreSQL ends it: a machine that hangs must not block others."""
MIGRATION_TIMEOUT_S = 3_600.0
"""A migration may take long, and a second process that starts meanwhile waits for it."""
ANSWER_GRACE_S = 5.0
"""Beyond a statement's own time: then the connection is taken for dead."""
RECYCLE_S = 600
"""Connections this old are replaced: firewalls on the way forget them silently."""
WRITE_LOCK = int.from_bytes(b"loastore", "big")
"""PostgreSQL's advisory lock that the one writer of a database holds."""


class Use(Enum):
    """What a connection is for."""

    READ = auto()
    WRITE = auto()
    MIGRATE = auto()
    """As WRITE, with other time-outs; where SQLite rebuilds a table, references to it are not followed."""


def make_engine(address: Address, use: Use) -> AsyncEngine:
    """An engine that opens connections for one use; it opens none yet. ConfigError when the driver is missing."""
    return _sqlite_engine(address, use) if address.backend == "sqlite" else _postgresql_engine(address, use)


def in_transaction(connection: AsyncConnection) -> bool:
    """Whether the database itself still is in the transaction: a full disk can make SQLite undo it by itself."""
    driver = _driver(connection)
    return bool(driver.in_transaction if connection.dialect.name == "sqlite" else driver.is_in_transaction())


async def run_directly(connection: AsyncConnection, statement: str) -> None:
    """Run a statement that holds no value and answers nothing, past SQLAlchemy, which takes three times as long."""
    try:
        await _driver(connection).execute(statement)
    except Exception as error:
        raise StoreError(f"the store failed: {statement}: {type(error).__name__}: {error}") from None


def _driver(connection: AsyncConnection) -> Any:
    assert connection.sync_connection is not None
    return connection.sync_connection.connection.driver_connection


def _pool(use: Use) -> dict[str, Any]:
    if use is Use.MIGRATE:
        return {"poolclass": NullPool}
    # The writer has a connection of its own: readers, however many, never make it wait.
    size = READERS if use is Use.READ else 1
    return {"pool_size": size, "max_overflow": 0, "pool_timeout": POOL_TIMEOUT_S, "pool_use_lifo": True}


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _listen(engine: AsyncEngine) -> AsyncEngine:
    event.listen(engine.sync_engine, "handle_error", _map_raw_error)
    return engine


def _map_raw_error(context: ExceptionContext) -> BaseException | None:
    """Errors that drivers raise and SQLAlchemy does not know."""
    error = context.original_exception
    if isinstance(error, (OSError, asyncio.TimeoutError)):
        context.is_disconnect = True  # nobody knows what the connection still has to say
    elif context.sqlalchemy_exception is None and isinstance(error, (UnicodeError, OverflowError)):
        return StoreError(f"the store cannot hold such a value: {type(error).__name__}")
    return None


# --- SQLite


def _sqlite_engine(address: Address, use: Use) -> AsyncEngine:
    assert address.url.database is not None
    try:
        Path(address.url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"the database {address.shown} cannot be used: {error.strerror}") from error
    # Errors are logged: what a statement carries (keys, hashes of tokens) is not to be among them.
    engine = create_async_engine(address.url, module=Driver(), hide_parameters=True, **_pool(use))
    event.listen(engine.sync_engine, "connect", partial(_set_up_sqlite, use))
    event.listen(engine.sync_engine, "begin", partial(_begin_sqlite, use))
    return _listen(engine)


def _set_up_sqlite(use: Use, connection: Any, _record: Any) -> None:
    # Python's own handling begins transactions late and not for all statements: it is switched off, and
    # `_begin_sqlite` begins them.
    connection.isolation_level = None
    wait_s = MIGRATION_TIMEOUT_S if use is Use.MIGRATE else LOCK_TIMEOUT_S
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {_ms(wait_s)}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA foreign_keys = {'OFF' if use is Use.MIGRATE else 'ON'}")
        cursor.execute(f"PRAGMA query_only = {'ON' if use is Use.READ else 'OFF'}")
        cursor.close()
    except BaseException:
        # The pool does not know the connection yet, so nobody else would close it.
        connection.close()
        raise


def _begin_sqlite(use: Use, connection: Connection) -> None:
    # A transaction that reads first and then writes can fail with "busy" at once, whatever the time-out, so
    # one that will write takes the lock at its beginning.
    connection.exec_driver_sql("BEGIN" if use is Use.READ else "BEGIN IMMEDIATE")


# --- PostgreSQL


def _postgresql_engine(address: Address, use: Use) -> AsyncEngine:
    try:
        engine = create_async_engine(
            address.url,
            async_creator=partial(_connect, address, use),
            isolation_level="REPEATABLE READ" if use is Use.READ else "READ COMMITTED",
            hide_parameters=True,
            **_pool(use),
            **({} if use is Use.MIGRATE else {"pool_recycle": RECYCLE_S}),
        )
    except ImportError:
        raise ConfigError(
            "the database is PostgreSQL, and its driver is not installed: pip install 'loa[cluster]'"
        ) from None
    if use is Use.READ:
        event.listen(engine.sync_engine, "connect", _read_only)
    else:
        event.listen(engine.sync_engine, "begin", _lock_postgresql)
    event.listen(engine.sync_engine, "checkout", _refuse_dead)
    return _listen(engine)


async def _connect(address: Address, use: Use) -> asyncpg.Connection:
    import asyncpg

    migrating = use is Use.MIGRATE
    statement_s = MIGRATION_TIMEOUT_S if migrating else STATEMENT_TIMEOUT_S
    settings = {
        "application_name": f"loa {use.name.lower()}",
        "lock_timeout": f"{_ms(MIGRATION_TIMEOUT_S if migrating else LOCK_TIMEOUT_S)}ms",
        "statement_timeout": f"{_ms(statement_s)}ms",
        "idle_in_transaction_session_timeout": f"{_ms(IDLE_TIMEOUT_S)}ms",
    }
    try:
        connection = await asyncpg.connect(
            address.dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=statement_s + ANSWER_GRACE_S,
            server_settings=settings,
        )
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise ConfigError(f"the database address {address.shown} cannot be used: {error}") from None
    except ValueError as error:
        raise ConfigError(f"the database address {address.shown} cannot be used: {type(error).__name__}") from None
    try:
        if (encoding := connection.get_settings().server_encoding) != "UTF8":
            raise ConfigError(f"the database {address.shown} is encoded as {encoding}: it has to be UTF8")
        # What is acknowledged is on a disk, whatever the server's default. A stricter one stays.
        await connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
    except BaseException:
        connection.terminate()
        raise
    return connection


def _read_only(connection: Any, _record: Any) -> None:
    connection.readonly = True


def _lock_postgresql(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")


def _refuse_dead(connection: Any, _record: Any, _proxy: Any) -> None:
    # The pool opens another one instead: a server that went away and came back is used again at once. (The pool's
    # own check asks three times where one will do.)
    import asyncpg

    try:
        connection.run_async(lambda driver: driver.execute("SELECT 1"))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        raise DisconnectionError from error
