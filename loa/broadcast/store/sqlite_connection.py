"""SQLite's connections as SQLAlchemy uses them, with one turn of the driver's thread for a statement.

A call of the thread waits twice for the interpreter, there and back, and once for a turn of the event loop: on a
busy core some milliseconds. SQLAlchemy's own cursor takes four calls for a statement that answers rows: make the
cursor, execute, fetch, close.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import aiosqlite
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)

_Ran = tuple[Any, int, int | None, Sequence[Any]]
"""Description, row count, last row id and all rows of a statement."""


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """A statement, and what it answered."""

    __slots__ = ("_ran",)

    def __init__(self, adapt_connection: AsyncAdapt_aiosqlite_connection) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._rows = deque()
        self._ran: _Ran = (None, -1, None, ())

    @property
    def description(self) -> Any:
        return self._ran[0]

    @property
    def rowcount(self) -> int:
        return self._ran[1]

    @property
    def lastrowid(self) -> Any:
        return self._ran[2]

    def close(self) -> None:
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """Nothing is open."""

    async def _execute_async(self, operation: Any, parameters: Any) -> None:
        await self._run(_execute, operation, () if parameters is None else parameters)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> None:
        await self._run(_execute_many, operation, seq_of_parameters)

    async def _run(self, run: Callable[..., _Ran], operation: Any, parameters: Any) -> None:
        driver: Any = self._connection
        async with self._adapt_connection._execute_mutex:
            self._ran = await driver._execute(run, driver._conn, operation, parameters)
            self._rows = deque(self._ran[3])


def _execute(connection: sqlite3.Connection, operation: str, parameters: Any) -> _Ran:
    return _all_of(connection.execute(operation, parameters))


def _execute_many(connection: sqlite3.Connection, operation: str, parameters: Any) -> _Ran:
    return _all_of(connection.executemany(operation, parameters))


def _all_of(cursor: sqlite3.Cursor) -> _Ran:
    rows = cursor.fetchall() if cursor.description else ()
    ran = cursor.description, cursor.rowcount, cursor.lastrowid, rows
    cursor.close()
    return ran


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()

    _cursor_cls: Any = _Cursor


class Driver(AsyncAdapt_aiosqlite_dbapi):
    """The DBAPI module to make an engine with: `create_async_engine(…, module=Driver())`."""

    def __init__(self) -> None:
        super().__init__(aiosqlite, sqlite3)

    def connect(self, *arg: Any, **kw: Any) -> AsyncAdapt_aiosqlite_connection:
        return _Connection(self, super().connect(*arg, **kw)._connection)
