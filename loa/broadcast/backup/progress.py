"""How far a backup or a restore has come, for who waits."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class Step(Enum):
    """What is being done."""

    ROWS = "rows"
    """Rows are written into a backup."""
    AUDIO = "audio"
    """Sound is copied into it, in bytes."""
    CHECK = "check"
    """A backup is read and checked, in bytes."""
    LOAD = "load"
    """Rows are loaded into a database."""


Progress = Callable[[Step, int, int], None]
"""Told the step, how much of it is done, and how much it is."""


def silent(_step: Step, _done: int, _of_all: int) -> None:
    """For nobody."""
