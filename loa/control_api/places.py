"""How many requests of one kind may be served at once. One more is told to come back, and holds nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from loa.control_api.problems import Problem

TAKEN = web.AppKey("taken", Counter[str])
"""Requests being served, by kind."""
RETRY_AFTER_S = 1


def busy() -> Problem:
    """What one too many is told: 503 `busy`."""
    return Problem(
        503, "busy", "too many are served at once; try again", headers={"Retry-After": str(RETRY_AFTER_S)}
    )


@contextmanager
def place(request: web.Request, kind: str, most: int) -> Iterator[None]:
    """Hold one of `most` places of a kind; Problem 503 `busy` when all are taken."""
    taken = request.app[TAKEN]
    if taken[kind] >= most:
        raise busy()
    taken[kind] += 1
    try:
        yield
    finally:
        taken[kind] -= 1
