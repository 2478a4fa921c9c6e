"""A city with officers in it, for tests of who sees what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from loa.app.api_client import ApiClient

_TREE = (
    ("city", None),
    ("district", "city"),
    ("other", "city"),
    ("commune", "district"),
    ("neighbour", "district"),
    ("hamlet", "commune"),
)


@dataclass(frozen=True)
class Officers:
    """Areas by name, and an officer of each; `officers["whole city"]` is one everywhere."""

    areas: Mapping[str, str]
    officers: Mapping[str, ApiClient]


@asynccontextmanager
async def city_with_officers(api: ApiClient) -> AsyncIterator[Officers]:
    """A city of two districts; in the first a commune with a hamlet, and a neighbour."""
    areas: dict[str, str] = {}
    for name, parent in _TREE:
        areas[name] = await api.create_area(name, name, areas[parent] if parent else None)
    async with AsyncExitStack() as stack:
        officers: dict[str, ApiClient] = {}
        for name, area_id in (*areas.items(), ("whole city", None)):
            body = {"name": name, "role": "officer", "area_id": area_id}
            token = (await api.call("POST", "/api/v1/tokens", body))["token"]
            officers[name] = await stack.enter_async_context(ApiClient(api.url, token))
        yield Officers(areas, officers)
