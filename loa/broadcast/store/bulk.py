"""Questions about very many rows at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

_IN_ONE_QUERY = 5_000

Key = TypeVar("Key", bytes, str)


def chunks(keys: Iterable[Key]) -> list[list[Key]]:
    """The keys without repetition, in order, in lists that fit one query's parameters."""
    every: list[Key] = sorted(set(keys))
    return [every[at : at + _IN_ONE_QUERY] for at in range(0, len(every), _IN_ONE_QUERY)]
