"""A database as it is: read or built in one transaction, whatever its revision. Nothing is migrated unasked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.store import migrations
from loa.broadcast.store.address import file_of, parse
from loa.broadcast.store.engines import Use, make_engine
from loa.broadcast.store.failures import told
from loa.errors import ConfigError, StoreError


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that sees one state of the database and can change nothing.

    ConfigError for an address that cannot be used, and where no database is; StoreError.
    """
    _must_exist(url)
    async with _transaction(url, Use.READ) as connection:
        yield connection


@asynccontextmanager
async def building(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction that may change everything, the schema too; undone when the block raises.

    No writer comes between. ConfigError; StoreError.
    """
    async with _transaction(url, Use.MIGRATE) as connection:
        yield connection


@asynccontextmanager
async def _transaction(url: str, use: Use) -> AsyncIterator[AsyncConnection]:
    engine = make_engine(parse(url), use)
    try:
        async with engine.connect() as connection, connection.begin():
            yield connection
    except CommandError as error:
        raise StoreError(f"the store cannot be migrated: {error}") from error
    except (SQLAlchemyError, OSError) as error:
        raise told(error) from None
    finally:
        await engine.dispose()


def _must_exist(url: str) -> None:
    # SQLite makes a database of any name that it is asked for.
    path = file_of(url)
    if path is not None and not path.exists():
        raise ConfigError(f"there is no database at {path}")


def revision_of(connection: Connection) -> str | None:
    """The revision of the store's form that the database has; None when no store is in it."""
    return MigrationContext.configure(connection).get_current_revision()


def known_revisions() -> list[str]:
    """The revisions that this program knows, the newest first."""
    return [script.revision for script in ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions()]
