"""Days as people in Viet Nam mean them, and the milliseconds of UTC in which they begin.

Asia/Ho_Chi_Minh has been UTC+7 without summer time since 1975, so no time zone database is asked.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

LOCAL = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def day_begins_ms(day: date) -> int:
    """The first millisecond of the day."""
    return (datetime(day.year, day.month, day.day, tzinfo=LOCAL) - _EPOCH) // _MS


def day_of(utc_ms: int) -> date:
    """The day on which this instant falls; OverflowError before year 1 and after 9999."""
    return (_EPOCH.astimezone(LOCAL) + timedelta(milliseconds=utc_ms)).date()


def instant_ms(text: str) -> int:
    """What a person wrote: a day ("2025-07-01": its beginning) or an RFC 3339 time with its offset.

    ValueError for anything else.
    """
    if len(text) == len("2025-07-01"):
        return day_begins_ms(date.fromisoformat(text))
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs its offset from UTC")
    return (moment - _EPOCH) // _MS
