"""The database: opened, migrated, read by many, written by one at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from loa.broadcast.store.address import parse
from loa.broadcast.store.engines import Use, make_engine
from loa.broadcast.store.failures import told
from loa.broadcast.store.group_commit import GroupCommit
from loa.errors import StoreError

_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """One database. Errors of SQLAlchemy and of drivers leave it as StoreError, a broken constraint as Conflict.

    After such an error the connection is of no more use to its block: let the error out.
    """

    def __init__(self, readers: AsyncEngine, writer: AsyncEngine) -> None:
        self.after_change: list[Callable[[], None]] = []
        """Called when anything may have changed: after each commit of this process, as `after_commit`, and when it
        is learned that another process has committed. They must not raise."""
        self.after_commit: list[Callable[[], None]] = [self.changed]
        """Called after each durable commit of this process that is not quiet, before its writers go on. What they
        raise is logged."""
        self._readers = readers
        self._writer = writer
        self._group_commit = GroupCommit(writer, self.after_commit)

    @classmethod
    async def open(cls, url: str) -> Database:
        """Open `url`, make an SQLite file's folder, and migrate the database to the newest form.

        What `url` may be stands in store/address.py. Processes that open one database at the same time wait for
        each other. ConfigError for an address that cannot be used; StoreError when it cannot be opened or migrated.
        """
        address = parse(url)
        database = cls(make_engine(address, Use.READ), make_engine(address, Use.WRITE))
        await _migrate(make_engine(address, Use.MIGRATE))
        return database

    @classmethod
    def unmigrated(cls, url: str) -> Database:
        """`url` as it is, to be looked at; ConfigError for an address that cannot be used. It opens nothing yet."""
        address = parse(url)
        return cls(make_engine(address, Use.READ), make_engine(address, Use.WRITE))

    @asynccontextmanager
    async def write(
        self, *, alone: bool = False, urgent: bool = False, quiet: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that is durable when the block is left, and undone when it raises.

        Writers come one after the other, those of other processes and machines too, so what a block has read is
        still true when it writes. Those who wait share a transaction, which store/group_commit.py explains: a block
        shall be short, since others wait for its end to be durable, and one that takes long is better `alone`. What
        is `urgent` goes before all others that wait, and others are not waited for. What a `quiet` one writes is no
        event, and nobody remembers it: its commit is told to nobody.
        """
        with _mapped():
            async with self._group_commit.write(alone=alone, urgent=urgent, quiet=quiet) as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state of the database and can change nothing. It waits for no writer."""
        async with _transaction(self._readers) as connection:
            yield connection

    def changed(self) -> None:
        """Something was committed, here or by another process: what is remembered may be old."""
        for listener in tuple(self.after_change):
            listener()

    async def ask(self) -> None:
        """Read a row. StoreError when the database does not answer."""
        async with self.read() as connection:
            await connection.execute(text("SELECT version_num FROM alembic_version"))

    async def close(self) -> None:
        """Close all connections, when those who write have come to their end."""
        await self._group_commit.close()
        await self._writer.dispose()
        await self._readers.dispose()


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise told(error) from None


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    with _mapped():
        async with engine.connect() as connection, connection.begin():
            yield connection


async def _migrate(engine: AsyncEngine) -> None:
    def to_newest(connection: Connection) -> None:
        migrate(connection)
        if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise StoreError("the store cannot be migrated: something refers to what is not there")

    try:
        async with _transaction(engine) as connection:
            await connection.run_sync(to_newest)
    except CommandError as error:
        raise StoreError(f"the store cannot be migrated: {error}") from error
    finally:
        await engine.dispose()


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to `revision`, in the connection's transaction."""
    if revision == "head" and MigrationContext.configure(connection).get_current_revision() == _head():
        return  # without loading every step, as alembic does each time
    command.upgrade(alembic_config(connection), revision)


@cache
def _head() -> str | None:
    return ScriptDirectory(str(_MIGRATIONS)).get_current_head()


def migrate_down(connection: Connection, revision: str = "base") -> None:
    """Bring the schema down to `revision`, in the connection's transaction."""
    command.downgrade(alembic_config(connection), revision)


def alembic_config(connection: Connection) -> Config:
    """Where the migrations are, and the connection that they run on."""
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
