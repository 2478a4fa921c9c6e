"""Days in Viet Nam begin at 17:00 UTC of the day before."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.timing.local_days import day_begins_ms, day_of, instant_ms

FIRST_OF_JULY_MS = 1_751_302_800_000  # 2025-06-30T17:00:00Z


def test_a_day_begins_seven_hours_before_utc_s() -> None:
    assert day_begins_ms(date(2025, 7, 1)) == FIRST_OF_JULY_MS
    assert day_of(FIRST_OF_JULY_MS) == date(2025, 7, 1)
    assert day_of(FIRST_OF_JULY_MS - 1) == date(2025, 6, 30)


@given(st.dates(date(2, 1, 1), date(9998, 12, 31)))
def test_every_instant_is_in_the_day_whose_beginning_is_before_it(day: date) -> None:
    begins = day_begins_ms(day)
    assert day_of(begins) == day
    assert day_of(begins + 86_400_000 - 1) == day
    assert instant_ms(day.isoformat()) == begins


def test_a_time_has_its_offset() -> None:
    assert instant_ms("2025-06-30T17:00:00Z") == FIRST_OF_JULY_MS
    assert instant_ms("2025-07-01T00:00:00+07:00") == FIRST_OF_JULY_MS
    assert instant_ms("2025-07-01T00:00:00.250+07:00") == FIRST_OF_JULY_MS + 250


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2025-7-1", "2025-07-01T00:00:00", "2025-13-01", "20250701", "1/7/2025", "2025-02-30"]
)
def test_what_is_no_day_and_no_time_is_told_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        instant_ms(text)
