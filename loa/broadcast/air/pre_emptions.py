"""When a broadcast was pre-empted, as it is told and kept: at how many endpoints, from when to when."""

from __future__ import annotations

from dataclasses import replace

from loa.broadcast.records import PreEmption

MAX_PRE_EMPTIONS = 64
"""That are told apart in one broadcast; then the last goes on over all that follow."""


def noted(so_far: tuple[PreEmption, ...], endpoints: int, now_ms: int) -> tuple[PreEmption, ...]:
    """The pre-emptions, now that so many endpoints (0: none) play something else. The last may go on."""
    last = so_far[-1] if so_far else None
    if last is not None and last.to_ms is None:
        if endpoints:
            return (*so_far[:-1], replace(last, endpoints=max(last.endpoints, endpoints)))
        return (*so_far[:-1], replace(last, to_ms=max(last.from_ms, now_ms)))
    if not endpoints:
        return so_far
    if last is not None and len(so_far) >= MAX_PRE_EMPTIONS:
        return (*so_far[:-1], replace(last, to_ms=None, endpoints=max(last.endpoints, endpoints)))
    return (*so_far, PreEmption(now_ms, None, endpoints))
