"""What the hot paths cost, measured: `python -m benchmarks [name …] [--json PATH]`, or `make bench`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number. `note`: what it was measured with, for who reads the table.

    `at_most`, `at_least`: what is wanted of it, where something is. A peer's or a limit's figure has neither.
    """

    name: str
    value: float
    unit: str
    note: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def wanted(self) -> str:
        """The target in words, empty where there is none."""
        if self.at_most is not None:
            return f"≤ {number(self.at_most)}"
        return "" if self.at_least is None else f"≥ {number(self.at_least)}"

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines to look at. `lines`: points (x, y) by the name of the line."""

    name: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    x_log: bool = False


Measured = Sequence[Figure | Plot]
"""What a benchmark gives."""


def number(value: float) -> str:
    """A value for people: no more digits than say something."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.3g}"
