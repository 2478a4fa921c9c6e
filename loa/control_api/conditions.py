"""Changes that name what they change: `If-Match` with the ETag of the version that the caller has seen."""

from __future__ import annotations

import re

from aiohttp import web

from loa.control_api.operation import OPERATION
from loa.control_api.problems import Problem

_TAG = re.compile(r'"v([1-9][0-9]{0,17})(\.[0-9a-f]{16})?"')


def expected_version(request: web.Request) -> int | None:
    """The version that the caller has seen; None for `*`, whichever it is.

    Problem 428 `if-match-missing`, 400 for what is no ETag of ours. Several ETags are not taken.
    """
    assert request[OPERATION].versioned
    given = request.headers.get("If-Match")
    if given is None:
        raise Problem(428, "if-match-missing", "send If-Match with the ETag of what you have seen, or *")
    if given.strip() == "*":
        return None
    found = _TAG.fullmatch(given.strip())
    if found is None:
        raise Problem(400, "malformed", "If-Match must be one ETag that a GET gave, or *")
    return int(found[1])
