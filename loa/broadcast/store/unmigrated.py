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

from loa.broadcast.store.address import Address, parse
from loa.broadcast.store.database import alembic_config
from loa.broadcast.store.engines import Use, make_engine
from loa.broadcast.store.failures import told
from loa.errors import ConfigError, StoreError


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that sees one state of the database and can change nothing.

    ConfigError for an address that cannot be used, and where no database is; StoreError.
    """
    _must_exist(parse(url))
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


def _must_exist(address: Address) -> None:
    # SQLite makes a database of any name that it is asked for.
    if address.url.database is not None and not Path(address.url.database).exists():
        raise ConfigError(f"there is no database at {address.shown}")


def revision_of(connection: Connection) -> str | None:
    """The revision of the store's form that the database has; None when no store is in it."""
    return MigrationContext.configure(connection).get_current_revision()


def known_revisions(connection: Connection) -> list[str]:
    """The revisions that this program knows, the newest first."""
    scripts = ScriptDirectory.from_config(alembic_config(connection))
    return [script.revision for script in scripts.walk_revisions()]
