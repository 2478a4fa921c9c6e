"""A real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from loa.broadcast.live import redis_line
from loa.broadcast.live.redis_address import RedisAddress, parse
from loa.broadcast.live.redis_line import RedisLine
from tests.valkey import ValkeyServer, valkey_server


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    with valkey_server(tmp_path) as server:
        yield server


@pytest.fixture
def address(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> RedisAddress:
    """Its address; a line that is down is tried again soon."""
    monkeypatch.setattr(redis_line, "RETRY_S", 0.01)
    return parse(valkey.url)


@pytest.fixture
async def line(address: RedisAddress) -> AsyncIterator[RedisLine]:
    opened = RedisLine(address)
    yield opened
    await opened.close()
