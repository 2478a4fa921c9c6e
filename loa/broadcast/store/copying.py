"""The whole content of a database, out of one and into another: tables as they are in it, whatever its revision.

Tables are found in the database itself, not in store/tables.py: what is copied may have an older form than that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, MetaData, PrimaryKeyConstraint, Table, func, inspect, null, schema, select
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.store.row_format import Column, Kind, Value
from loa.broadcast.store.unmigrated import revision_of
from loa.errors import StoreError

NOT_KEPT = frozenset({"alembic_version", "session"})
"""Tables that are no part of what a deployment knows: whoever was signed in signs in again."""
_KINDS: dict[type, Kind] = {bool: Kind.BOOL, bytes: Kind.BYTES, int: Kind.INT, float: Kind.REAL, str: Kind.TEXT}
_CHUNK = 1_000


Forms = dict[str, tuple[Column, ...]]
"""Tables by name, each with its columns in its own order."""


@dataclass(frozen=True, slots=True)
class NamedAudio:
    """A file of sound that programmes name by its hash. `needed`: one of them has not been deleted."""

    sha256: bytes
    size_bytes: int
    needed: bool


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
        # Not all that can be reflected: indexes and references are of no interest here, and take most of the time.
        inspector = inspect(connection)
        columns, keys = inspector.get_multi_columns(), inspector.get_multi_pk_constraint()
        found = {
            where[1]: _table(where[1], columns[where], keys[where]["constrained_columns"]) for where in columns
        }
        return cls(revision, (table for name, table in sorted(found.items()) if name not in NOT_KEPT))

    def forms(self) -> Forms:
        """Their columns; StoreError for one of a kind that cannot be carried over."""
        return {name: tuple(map(_column, table.columns)) for name, table in self._tables.items()}

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

    async def audio(self, connection: AsyncConnection) -> list[NamedAudio]:
        """The files of sound that the rows name, in the order of their hashes."""
        table = self._tables["programme"]
        deleted = table.c["deleted_ms"] if "deleted_ms" in table.c else null()
        found: dict[bytes, NamedAudio] = {}
        for sha256, size, gone in await connection.execute(
            select(table.c.sha256, table.c.size_bytes, deleted).order_by(table.c.sha256)
        ):
            needed = gone is None or (sha256 in found and found[sha256].needed)
            found[sha256] = NamedAudio(sha256, size, needed)
        return list(found.values())

    async def newest_entry(self, connection: AsyncConnection) -> tuple[int, bytes] | None:
        """Number and hash of the audit chain's newest entry; None where there is none, or no audit log yet."""
        if "audit" not in self._tables:
            return None
        table = self._tables["audit"]
        query = select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else (row.seq, row.hash)


def _table(name: str, columns: Iterable[ReflectedColumn], key: Iterable[str]) -> Table:
    made = (schema.Column(each["name"], each["type"], nullable=each["nullable"]) for each in columns)
    return Table(name, MetaData(), *made, PrimaryKeyConstraint(*key))


def _column(column: Any) -> Column:
    try:
        return Column(column.name, _KINDS[column.type.python_type])
    except (KeyError, NotImplementedError) as error:
        raise StoreError(f"{column.table.name}.{column.name} is of a kind that backups do not know") from error


async def is_empty(connection: AsyncConnection) -> bool:
    """Whether there is no table at all in the database."""
    return not await connection.run_sync(lambda sync: inspect(sync).get_table_names())


async def put_schema_aside(connection: AsyncConnection, name: str) -> None:
    """Rename PostgreSQL's current schema with all that is in it, and begin with an empty one of the old name."""
    current = (await connection.exec_driver_sql("SELECT quote_ident(current_schema())")).scalar_one()
    await connection.exec_driver_sql(f"ALTER SCHEMA {current} RENAME TO {name}")
    await connection.exec_driver_sql(f"CREATE SCHEMA {current}")


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
