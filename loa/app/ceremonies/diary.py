"""Key ceremonies in the core's audit log. They change files, so the entry follows the change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loa.app.store import has_store, opened_store
from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.config import CoreConfig


async def note(config: CoreConfig, act: Act, action: str, subject: str, after: Mapping[str, Any]) -> bool:
    """Write down that `act` did `action`; False where there is no store to write it in. StoreError."""
    if not has_store(config):
        return False
    async with opened_store(config) as db, db.write() as connection:
        await journal.record(connection, act, action, subject, after=after)
    return True
