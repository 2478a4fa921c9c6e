"""What a core says of itself at /metrics, as plain numbers."""

from __future__ import annotations

import re

from loa.app.api_client import ApiClient, ApiError

_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*) ([-+0-9.eE]+|NaN|[+-]Inf)$", re.ASCII)
MAX_LINES = 20_000


def parse(text: str) -> dict[str, float]:
    """The metrics without labels in Prometheus' text form. Pure."""
    found = {}
    for line in text.splitlines()[:MAX_LINES]:
        match = _LINE.match(line)
        if match is not None:
            try:
                found[match[1]] = float(match[2])
            except ValueError:
                continue
    return found


async def read(api: ApiClient) -> dict[str, float]:
    """The core's metrics; empty when it tells none, or not to this token."""
    try:
        return parse(await api.text("/metrics"))
    except ApiError:
        return {}
