"""What may be changed of an area or an endpoint; KEEP leaves it as it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from loa.broadcast.geometry import Outline, Position


class Keep(Enum):
    """Not to be changed: None means something else."""

    KEEP = "keep"


KEEP = Keep.KEEP


@dataclass(frozen=True, slots=True)
class AreaEdit:
    """Changes of an area."""

    name: str | Keep = KEEP
    level: str | Keep = KEEP
    code: str | Keep | None = KEEP
    parent_id: bytes | Keep | None = KEEP
    position: Position | Keep | None = KEEP
    outline: Outline | Keep | None = KEEP


@dataclass(frozen=True, slots=True)
class EndpointEdit:
    """Changes of an endpoint. Another area moves it."""

    name: str | Keep = KEEP
    area_id: bytes | Keep = KEEP
    position: Position | Keep | None = KEEP
    note: str | Keep = KEEP
