"""Run by alembic: migrates the connection that store/database.py hands over, in that connection's transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from loa.broadcast.store.tables import metadata


def run() -> None:
    """Migrate."""
    connection = context.config.attributes["connection"]
    assert isinstance(connection, Connection)
    context.configure(
        connection=connection, target_metadata=metadata, transactional_ddl=True, transaction_per_migration=False
    )
    context.run_migrations()


run()
