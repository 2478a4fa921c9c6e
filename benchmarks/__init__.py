"""What the hot paths cost, measured: `python -m benchmarks [name …] [--json PATH]`, or `make bench`."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number. `note`: what it was measured with, for who reads the table."""

    name: str
    value: float
    unit: str
    note: str = ""
