"""A store in which every table has rows and every column a value, whatever its revision; and all of it as lines."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.store.copying import Tables, references_later
from loa.broadcast.store.row_format import encode_row
from loa.broadcast.store.unmigrated import reading

ROWS = 3


async def fill(connection: AsyncConnection) -> None:
    """ROWS rows in each table; each refers to those of its number, the last has nulls where there may be any."""
    found = await connection.run_sync(lambda sync: inspect(sync).get_multi_columns())
    kept = await Tables.find(connection)
    async with references_later(connection):
        for name in kept.forms():
            rows = [[_value(column, number) for column in found[None, name]] for number in range(ROWS, 0, -1)]
            await kept.insert(connection, name, rows)


def _value(column: ReflectedColumn, number: int) -> Any:
    if column["nullable"] and number == ROWS:
        return None
    kind = column["type"].python_type
    if kind is int:
        return (1 << 62) + number if isinstance(column["type"], BigInteger) else number
    text = f"{number} 🔊 Xã Đặng"[: getattr(column["type"], "length", None)]
    values = {bool: number % 2 == 0, bytes: bytes([number]) * 16, float: number / 3, str: text}
    return values[kind]


async def dump(url: str) -> dict[str, list[bytes]]:
    """Every row of every table."""
    lines: dict[str, list[bytes]] = {}
    async with reading(url) as connection:
        kept = await Tables.find(connection)
        for name, columns in kept.forms().items():
            rows = kept.rows(connection, name)
            lines[name] = [encode_row(row, columns) async for some in rows for row in some]
            assert len(lines[name]) == await kept.count(connection, name)
    return lines
