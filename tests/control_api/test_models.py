"""Bodies of answers: whatever the store holds can be shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from loa.control_api.models.base import utc

LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


@given(ms=st.integers(min_value=-(1 << 64), max_value=1 << 64))
@example(ms=LAST_MS)
@example(ms=LAST_MS + 1)
@example(ms=1 << 62)
@example(ms=(1 << 63) - 1)
def test_every_number_is_a_time_or_none(ms: int) -> None:
    shown = utc(ms)
    if 0 <= ms <= LAST_MS:
        assert shown is not None
    if ms > LAST_MS:
        assert shown is None
    if shown is not None:
        assert (shown - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1) == ms


def test_no_number_is_no_time() -> None:
    assert utc(None) is None
