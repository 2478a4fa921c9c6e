"""What endpoints have left is remembered, the latest of it, and not without end."""

from __future__ import annotations

import pytest

from loa.broadcast.air import departures
from loa.broadcast.air.departures import MAX_AREAS, Departures


def area(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_all_that_was_left_is_remembered_with_the_last_time() -> None:
    left = Departures()
    assert left.of(b"e" * 16) == {}
    assert left.note(b"e" * 16, [area(1), area(2)], 10) == {area(1): 10, area(2): 10}
    assert left.note(b"e" * 16, [area(2), area(3)], 20) == {area(1): 10, area(2): 20, area(3): 20}
    assert left.of(b"e" * 16) == {area(1): 10, area(2): 20, area(3): 20}


def test_the_first_areas_and_endpoints_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures, "MAX_ENDPOINTS", 2)
    left = Departures()
    for number in range(MAX_AREAS + 3):
        left.note(b"1" * 16, [area(number)], number)
    assert list(left.of(b"1" * 16)) == [area(number) for number in range(3, MAX_AREAS + 3)]
    left.note(b"2" * 16, [area(1)], 1)
    left.note(b"1" * 16, [area(1)], 1)
    left.note(b"3" * 16, [area(1)], 1)
    assert left.of(b"2" * 16) == {}
    assert left.of(b"1" * 16) != {}
