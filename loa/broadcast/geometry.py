"""Positions and outlines on the map: WGS 84, longitude before latitude as in GeoJSON (RFC 7946).

An outline is kept as the text of a Polygon or MultiPolygon in one form: no heights, six decimals (0.1 m), closed
rings.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from loa.errors import PlaceError

MAX_OUTLINE_POINTS = 20_000
MAX_OUTLINE_BYTES = 524_288
_POSITION_DECIMALS = 7
_OUTLINE_DECIMALS = 6

Point = tuple[float, float]
"""Longitude, latitude."""
Ring = tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands, in degrees, to 7 decimals (1 cm)."""

    lat: float
    lon: float

    @classmethod
    def of(cls, lat: object, lon: object) -> Position:
        """The position; PlaceError for what is none on this planet."""
        lon_deg, lat_deg = _point((lon, lat), _POSITION_DECIMALS)
        return cls(lat_deg, lon_deg)


@dataclass(frozen=True, slots=True)
class Outline:
    """A Polygon or MultiPolygon, as GeoJSON in the one form that `of` gives it: the same outline has the same
    text."""

    text: str

    @classmethod
    def of(cls, geometry: object) -> Outline:
        """The outline that a GeoJSON geometry is, already parsed; PlaceError for any other thing."""
        if not isinstance(geometry, dict):
            raise PlaceError("an outline is a GeoJSON geometry")
        kind, coordinates = geometry.get("type"), geometry.get("coordinates")
        if kind not in ("Polygon", "MultiPolygon"):
            raise PlaceError("an outline is a Polygon or a MultiPolygon")
        given = [coordinates] if kind == "Polygon" else _list(coordinates, "the polygons")
        if not given:
            raise PlaceError("an outline has at least one polygon")
        room = _Room(MAX_OUTLINE_POINTS)
        polygons = [_polygon(polygon, room) for polygon in given]
        single = len(polygons) == 1
        one_form = {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": polygons[0] if single else polygons,
        }
        text = json.dumps(one_form, separators=(",", ":"))
        if len(text) > MAX_OUTLINE_BYTES:
            raise PlaceError(f"an outline has at most {MAX_OUTLINE_BYTES} bytes")
        return cls(text)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).digest()

    @property
    def geometry(self) -> dict[str, Any]:
        """The geometry as GeoJSON."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed

    def holds(self, position: Position) -> bool:
        """Whether the position is inside, by even-odd. On the border either may be answered, always the same."""
        return any(_inside(polygon, position) for polygon in _polygons(self.text))

    def middle(self) -> Position:
        """The middle of the box around it, for want of a better centre."""
        lons, lats = zip(*(point for polygon in _polygons(self.text) for point in polygon[0]), strict=True)
        return Position.of((min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2)


@functools.lru_cache(maxsize=64)
def _polygons(text: str) -> tuple[tuple[Ring, ...], ...]:
    """For each polygon of an outline its outer ring, then its holes. Whoever asks asks often."""
    geometry = json.loads(text)
    given = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return tuple(tuple(tuple((lon, lat) for lon, lat in ring) for ring in polygon) for polygon in given)


class _Room:
    """How many points may still come."""

    def __init__(self, points: int) -> None:
        self._left = points

    def take(self, points: int) -> None:
        self._left -= points
        if self._left < 0:
            raise PlaceError(f"an outline has at most {MAX_OUTLINE_POINTS} points")


def _list(value: object, what: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise PlaceError(f"{what} of an outline are a list")
    return value


def _polygon(value: object, room: _Room) -> tuple[Ring, ...]:
    rings = _list(value, "the rings")
    if not rings:
        raise PlaceError("a polygon has at least one ring")
    return tuple(_ring(ring, room) for ring in rings)


def _ring(value: object, room: _Room) -> Ring:
    points = _list(value, "the points")
    room.take(len(points) + 1)
    ring = tuple(_point(point, _OUTLINE_DECIMALS) for point in points)
    if len(ring) < 4 or ring[0] != ring[-1]:
        raise PlaceError("a ring has at least four points, and its last is its first")
    return ring


def _point(value: object, decimals: int) -> Point:
    if not isinstance(value, list | tuple) or not 2 <= len(value) <= 3:
        raise PlaceError("a point is a longitude and a latitude")
    lon, lat = value[:2]
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in (lon, lat)):
        raise PlaceError("longitude and latitude are numbers")
    # Compared before anything is made of them: an integer may be too long for a float.
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise PlaceError("longitude is -180 to 180 and latitude -90 to 90 degrees")
    # Adding zero makes minus zero plain.
    return round(float(lon), decimals) + 0.0, round(float(lat), decimals) + 0.0


def _inside(rings: Iterable[Ring], position: Position) -> bool:
    return sum(_crossings(ring, position) for ring in rings) % 2 == 1


def _crossings(ring: Ring, position: Position) -> int:
    """How many edges of the ring a ray from the position to the east crosses."""
    x, y = position.lon, position.lat
    count = 0
    for (x0, y0), (x1, y1) in itertools.pairwise(ring):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            count += 1
    return count
