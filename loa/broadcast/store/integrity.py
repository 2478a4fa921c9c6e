"""What a database itself says is wrong with it."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

_MOST = 20


async def faults(connection: AsyncConnection) -> list[str]:
    """Its faults, in its own words; nothing when it finds none. SQLite reads all of its file for that."""
    if connection.dialect.name == "sqlite":
        rows = (await connection.exec_driver_sql(f"PRAGMA integrity_check({_MOST})")).scalars().all()
        stray = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).mappings().fetchmany(_MOST)
        found = [str(row) for row in rows if row != "ok"]
        return found + [
            f"a row of {row['table']} refers to one of {row['parent']} that is not there" for row in stray
        ]
    return [str(row) for row in (await connection.exec_driver_sql(_POSTGRESQL)).scalars().all()]


_POSTGRESQL = f"""
SELECT 'the index ' || i.indexrelid::regclass::text || ' is not valid'
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace
UNION ALL
SELECT 'the constraint ' || conname || ' has not been validated'
FROM pg_constraint
WHERE NOT convalidated AND connamespace = current_schema()::regnamespace
LIMIT {_MOST}
"""
