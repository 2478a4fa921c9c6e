"""The whole content of a database, out of one and into another: tables as they are in it, whatever its revision.

Tables are found in the database itself, not in store/tables.py: what is copied may have an older form than that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, MetaData, Table, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.store.row_format import Column, Kind, Value
from loa.broadcast.store.unmigrated import revision_of
from loa.errors import StoreError

NOT_KEPT = frozenset({"alembic_version", "session"})
"""Tables that are no part of what a deployment knows: whoever was signed in signs in again."""
_KINDS: dict[type, Kind] = {bool: Kind.BOOL, bytes: Kind.BYTES, int: Kind.INT, float: Kind.REAL, str: Kind.TEXT}
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class TableForm:
    """A table and its columns, in the table's own order."""

    name: str
    columns: tuple[Column, ...]


class Tables:
    """The tables of a database that are kept. Made by `find`."""

    def __init__(self, revision: str, tables: Iterable[Table]) -> None:
        self.revision = revision
        self._tables = {table.name: table for table in tables}

    @classmethod
    async def find(cls, connection: AsyncConnection) -> Tables:
        """What is in the connection's database; StoreError when it is no store of Loa."""
        return await connection.run_sync(cls._find)

    @classmethod
    def _find(cls, connection: Connection) -> Tables:
        revision = revision_of(connection)
        if revision is None:
            raise StoreError("the database holds no store of Loa")
        found = MetaData()
        found.reflect(connection)
        return cls(revision, (each for name, each in sorted(found.tables.items()) if name not in NOT_KEPT))

    def forms(self) -> list[TableForm]:
        """Their names and columns; StoreError for a column of a kind that cannot be carried over."""
        return [TableForm(name, tuple(map(_column, table.columns))) for name, table in self._tables.items()]

    async def count(self, connection: AsyncConnection, name: str) -> int:
        """How many rows a table has."""
        query = select(func.count()).select_from(self._tables[name])
        return (await connection.execute(query)).scalar_one()

    async def rows(self, connection: AsyncConnection, name: str) -> AsyncIterator[Sequence[Sequence[Any]]]:
        """A table's rows, some at a time, in the order of its key: the same in every database."""
        table = self._tables[name]
        on_postgresql = connection.dialect.name == "postgresql"
        key = [
            column.collate("C") if on_postgresql and column.type.python_type is str else column
            for column in table.primary_key
        ]
        result = await connection.stream(select(table).order_by(*key))
        async for rows in result.partitions(_CHUNK):
            yield rows

    async def insert(self, connection: AsyncConnection, name: str, rows: Sequence[Sequence[Value]]) -> None:
        """Add rows, whose values are in the order of the table's columns; Conflict when a constraint forbids it."""
        table = self._tables[name]
        names = [column.name for column in table.columns]
        if rows:
            await connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


def _column(column: Any) -> Column:
    try:
        return Column(column.name, _KINDS[column.type.python_type])
    except (KeyError, NotImplementedError) as error:
        raise StoreError(f"{column.table.name}.{column.name} is of a kind that backups do not know") from error


async def is_empty(connection: AsyncConnection) -> bool:
    """Whether there is no table at all in the database."""
    return not await connection.run_sync(lambda sync: inspect(sync).get_table_names())


@asynccontextmanager
async def references_later(connection: AsyncConnection) -> AsyncIterator[None]:
    """Inside, rows may come in any order; at the end, every reference must lead somewhere: StoreError otherwise."""
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        yield
        if (await connection.exec_driver_sql("PRAGMA foreign_key_check")).first() is not None:
            raise StoreError("rows refer to others that are not there")
        return
    constraints = [tuple(row) for row in await connection.exec_driver_sql(_REFERENCES)]
    for table, name, _ in constraints:
        await connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    yield
    for table, name, definition in constraints:
        await connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


_REFERENCES = """
SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY conrelid, conname
"""
