"""Positions and outlines: what is one, and what lies inside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.geometry import MAX_OUTLINE_POINTS, Outline, Position
from loa.errors import PlaceError

SQUARE = [[106.0, 20.0], [107.0, 20.0], [107.0, 21.0], [106.0, 21.0], [106.0, 20.0]]
HOLE = [[106.4, 20.4], [106.6, 20.4], [106.6, 20.6], [106.4, 20.6], [106.4, 20.4]]
ISLAND = [[107.7, 20.1], [107.8, 20.1], [107.8, 20.2], [107.7, 20.2], [107.7, 20.1]]


def polygon(*rings: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def test_inside_is_inside_a_ring_and_outside_its_holes() -> None:
    land = Outline.of(polygon(SQUARE, HOLE))
    assert land.holds(Position(20.1, 106.1))
    assert not land.holds(Position(20.5, 106.5))
    assert not land.holds(Position(20.5, 107.5))
    both = Outline.of({"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [ISLAND]]})
    assert both.holds(Position(20.15, 107.75))
    assert not both.holds(Position(20.15, 107.5))
    assert both.middle() == Position(20.5, 106.9)


@given(st.floats(105, 108), st.floats(19, 22))
def test_two_halves_hold_what_the_whole_holds_once(lon: float, lat: float) -> None:
    west = [[106.0, 20.0], [106.5, 20.0], [106.5, 21.0], [106.0, 21.0], [106.0, 20.0]]
    east = [[106.5, 20.0], [107.0, 20.0], [107.0, 21.0], [106.5, 21.0], [106.5, 20.0]]
    halves = [Outline.of(polygon(ring)) for ring in (west, east)]
    position = Position.of(lat, lon)
    assert sum(half.holds(position) for half in halves) == Outline.of(polygon(SQUARE)).holds(position)


def test_an_outline_has_one_form() -> None:
    given_ = polygon([[x + 1e-9, y - 1e-9, 12.5] for x, y in SQUARE])
    outline = Outline.of({**given_, "bbox": [0, 0, 1, 1], "more": "is left out"})
    assert outline == Outline.of(polygon(SQUARE))
    assert Outline.of(outline.geometry) == outline
    assert json.loads(outline.text) == polygon(SQUARE)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)


@given(st.one_of(_json, st.fixed_dictionaries({"type": st.sampled_from(["Polygon", "MultiPolygon", "Point"]),
                                               "coordinates": _json})))  # fmt: skip
def test_any_json_is_an_outline_or_told_so(value: object) -> None:
    try:
        outline = Outline.of(value)
    except PlaceError:
        return
    assert Outline.of(outline.geometry) == outline


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_a_position_is_kept_as_it_is_written(lat: float, lon: float) -> None:
    position = Position.of(lat, lon)
    assert Position.of(*json.loads(json.dumps([position.lat, position.lon]))) == position
    assert abs(position.lat - lat) < 1e-7
    assert abs(position.lon - lon) < 1e-7


@pytest.mark.parametrize(
    ("lat", "lon"),
    [
        (91, 0), (0, 180.1), (float("nan"), 0), (0, float("inf")), (True, 0), ("20", "106"), (None, 106),
        (10**400, 0), (0, -(10**5000)),
    ],
    ids=["north", "east", "nan", "inf", "bool", "text", "none", "long", "longer"],
)  # fmt: skip
def test_what_is_no_position_is_told_so(lat: object, lon: object) -> None:
    with pytest.raises(PlaceError):
        Position.of(lat, lon)


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        [],
        {"type": "Point", "coordinates": [106, 20]},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": "x"},
        {"type": "Polygon"},
        {"type": "MultiPolygon", "coordinates": []},
        {"type": "MultiPolygon", "coordinates": SQUARE},
        polygon(SQUARE[:-1]),
        polygon([[0, 0], [1, 1], [0, 0]]),
        polygon([[0, 0], [1, 1], [1, "x"], [0, 0]]),  # type: ignore[list-item]
        polygon([[0.0, 0.0]] * (MAX_OUTLINE_POINTS + 1)),
    ],
)
def test_what_is_no_outline_is_told_so(geometry: object) -> None:
    with pytest.raises(PlaceError):
        Outline.of(geometry)
