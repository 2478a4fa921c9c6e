"""Very many rows at once: asked for in lists that a query takes, written in parts with others served between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Insert, Update
from sqlalchemy.ext.asyncio import AsyncConnection

_IN_ONE_QUERY = 5_000
_IN_ONE_PART = 500

Key = TypeVar("Key", bytes, str)


def chunks(keys: Iterable[Key]) -> list[list[Key]]:
    """The keys without repetition, in order, in lists that fit one query's parameters."""
    every: list[Key] = sorted(set(keys))
    return [every[at : at + _IN_ONE_QUERY] for at in range(0, len(every), _IN_ONE_QUERY)]


async def write(connection: AsyncConnection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute the statement for all the rows, which may be none."""
    for at in range(0, len(rows), _IN_ONE_PART):
        await connection.execute(statement, rows[at : at + _IN_ONE_PART])
