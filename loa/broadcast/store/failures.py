"""What went wrong in a database, in Loa's errors: foreign ones are mapped here, and none tells a value.

PostgreSQL tells the offending row in an error's detail, and the value itself in errors about data; rows hold keys,
and hashes of tokens. So what is told is the kind of error and what it says of tables, connections and the server.
"""

from __future__ import annotations

import structlog
from sqlalchemy import exc
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from loa.errors import Conflict, StoreError

REFUSAL = "the store refuses it: something of that name is there already, or what it refers to is not"
"""What a broken constraint is told as: tables and columns are for the log."""
_SILENT = ("22", "23")
"""Classes of PostgreSQL's states whose messages may hold values: of data, and of constraints."""

log = structlog.get_logger("loa.store")


def told(error: SQLAlchemyError | OSError) -> StoreError:
    """The error to raise instead: Conflict for a broken constraint, StoreError otherwise. Raise it `from None`."""
    if isinstance(error, IntegrityError):
        log.warning("the store refuses a row", error=_what(error), statement=error.statement)
        return Conflict(REFUSAL).with_traceback(error.__traceback__)
    return StoreError(f"the store failed: {_what(error)}").with_traceback(error.__traceback__)


def _what(error: SQLAlchemyError | OSError) -> str:
    if isinstance(error, exc.TimeoutError):
        return "all connections are in use"
    if not isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {error}"
    original = error.orig
    # SQLAlchemy has wrapped the driver's own error for asyncpg, and not for SQLite.
    foreign = (original.__cause__ if original is not None else None) or original
    state = getattr(foreign, "sqlstate", None)
    name = f"{type(foreign).__name__} {state}" if state else type(foreign).__name__
    if isinstance(foreign, ValueError) or (state is not None and state.startswith(_SILENT)):
        named = (getattr(foreign, f"{part}_name", None) for part in ("constraint", "table", "column"))
        return " ".join([name, *filter(None, named)])
    return f"{name}: {original}"
