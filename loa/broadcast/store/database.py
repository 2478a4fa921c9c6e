"""The database: opened, migrated, read by many, written by one at a time. What is special to SQLite stays here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from loa.errors import ConfigError, Conflict, StoreError

REFUSAL = "the store refuses it: something of that name is there already, or what it refers to is not"
"""What a broken constraint is told as: tables and columns are for the log."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_TIMEOUT_MS = 10_000
_WRITES = "loa_writes"

log = structlog.get_logger("loa.store")


class Database:
    """One database. All errors of SQLAlchemy leave it as StoreError, a broken constraint as Conflict."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writer = asyncio.Lock()

    @classmethod
    async def open(cls, url: str) -> Database:
        """Open `url` ("sqlite+aiosqlite:///path/of.db"), make its folder, and migrate it to the newest form.

        ConfigError for an address that is none; StoreError when it cannot be opened or migrated.
        """
        try:
            engine = _engine(url)
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise ConfigError(f"the database address {_without_password(url)} cannot be used: {error}") from error
        database = cls(engine)
        try:
            async with database.write() as connection:
                await connection.run_sync(migrate)
        except CommandError as error:
            await engine.dispose()
            raise StoreError(f"the store cannot be migrated: {error}") from error
        except BaseException:
            await engine.dispose()
            raise
        return database

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that is durable when the block is left, and undone when it raises.

        Writers come one after the other, so what a block has read is still true when it writes.
        """
        async with self._writer, self._transaction(writes=True) as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state of the database. It waits for no writer."""
        async with self._transaction(writes=False) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                await connection.execution_options(**{_WRITES: writes})
                async with connection.begin():
                    yield connection
        except IntegrityError as error:
            log.warning("the store refuses a row", error=str(error.orig))
            raise Conflict(REFUSAL) from error
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the store failed: {error}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to `revision`, in the connection's transaction."""
    command.upgrade(_alembic(connection), revision)


def migrate_down(connection: Connection, revision: str = "base") -> None:
    """Bring the schema down to `revision`, in the connection's transaction."""
    command.downgrade(_alembic(connection), revision)


def _alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


async def upsert(
    connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]
) -> None:
    """Insert `rows`; where one with the same `key` columns is there, overwrite all its other columns."""
    if not rows:
        return
    others = [name for name in rows[0] if name not in key]
    on_postgresql = connection.dialect.name == "postgresql"
    statement = postgresql.insert(table) if on_postgresql else sqlite.insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=list(key), set_={name: statement.excluded[name] for name in others}
    )
    await connection.execute(statement, list(rows))


def _engine(text_url: str) -> AsyncEngine:
    url = make_url(text_url)
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, hide_parameters=True)
    if not url.database or url.database == ":memory:":
        raise OSError("a database in memory loses what it was told")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Errors are logged: what a statement carries (keys, hashes of tokens) is not to be among them.
    engine = create_async_engine(url, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # Python's own handling begins transactions late and not for all statements: it is switched off, and
    # `_begin_sqlite` begins them.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()
    except BaseException:
        # The pool does not know the connection yet, so nobody else would close it.
        connection.close()
        raise


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and then writes can fail with "busy" at once, whatever the time-out, so
    # one that will write takes the lock at its beginning.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.execute(text("BEGIN IMMEDIATE" if writes else "BEGIN"))


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "given"
