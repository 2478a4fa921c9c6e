"""What areas and devices share: instants as people write them, positions, outlines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from loa.broadcast import geometry
from loa.broadcast.registry.edits import KEEP, Keep
from loa.control_api.models.base import Strict
from loa.errors import PlaceError
from loa.timing.local_days import instant_ms

_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?$"


def _instant(given: object) -> int:
    if not isinstance(given, str) or len(given) > 40:
        raise ValueError("must be a day (2025-07-01) or a time with its offset")
    try:
        return instant_ms(given)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a day (2025-07-01) or a time with its offset") from error


Instant = Annotated[
    int,
    BeforeValidator(_instant),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _PATTERN,
            "description": "A day, which means its beginning in Asia/Ho_Chi_Minh, or an RFC 3339 time.",
            "examples": ["2025-07-01", "2025-06-30T17:00:00Z"],
        }
    ),
]
"""Milliseconds of UTC."""


class Position(Strict):
    """Where something stands: WGS 84, in degrees."""

    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]

    @property
    def value(self) -> geometry.Position:
        """As the rooms below know it."""
        return geometry.Position.of(self.lat, self.lon)

    @classmethod
    def of(cls, position: geometry.Position | None) -> Position | None:
        """As it is shown."""
        return None if position is None else cls(lat=position.lat, lon=position.lon)


def _outline(given: object) -> geometry.Outline:
    try:
        return geometry.Outline.of(given)
    except PlaceError as error:
        raise ValueError(str(error)) from error


Outline = Annotated[
    geometry.Outline,
    BeforeValidator(_outline),
    WithJsonSchema(
        {
            "type": "object",
            "description": "A GeoJSON geometry: Polygon or MultiPolygon, at most 20,000 points.",
            "properties": {
                "type": {"enum": ["Polygon", "MultiPolygon"]},
                "coordinates": {"type": "array", "items": {"type": "array"}, "minItems": 1},
            },
            "required": ["type", "coordinates"],
        }
    ),
]


def kept(model: Strict, name: str, value: Callable[[Any], Any] = lambda given: given) -> Any | Keep:
    """What a body says of a field, through `value` unless that is null; KEEP where it says nothing of it."""
    if name not in model.model_fields_set:
        return KEEP
    given = getattr(model, name)
    return None if given is None else value(given)
