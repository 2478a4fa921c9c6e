"""A real store on disk, and what most tests need to stand in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.store.database import Database

NOW_S = 1_790_000_000
NOW_MS = NOW_S * 1000


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty store in a file of its own."""
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'store' / 'loa.db'}")
    yield database
    await database.close()


@pytest.fixture
def keyring(tmp_path: Path) -> KeyRing:
    """New keys."""
    return KeyRing.open(tmp_path / "keys", NOW_S)
