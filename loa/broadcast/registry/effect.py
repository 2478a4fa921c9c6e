"""From when on a change holds. History is only ever added to: a change cannot take effect before the last one."""

from __future__ import annotations

from collections.abc import Iterable

from loa.errors import Conflict, PlaceError
from loa.timing.local_days import day_of


def takes_effect(at_ms: int | None, now_ms: int, since_ms: Iterable[int]) -> int:
    """The instant from which a change holds, of things that have been as they are since `since_ms`.

    `at_ms` None is now, or the last of `since_ms` where the clock has gone back behind it. PlaceError for the
    future; Conflict for an instant before one of `since_ms`.
    """
    last_ms = max(since_ms, default=0)
    if at_ms is None:
        return max(now_ms, last_ms)
    if at_ms > now_ms:
        raise PlaceError("a change takes effect now or has taken effect; it cannot lie in the future")
    if at_ms < last_ms:
        raise Conflict(
            f"it cannot take effect before {day_of(last_ms)} ({last_ms} ms of UTC): something it touches has been "
            "as it is only since then"
        )
    return at_ms
