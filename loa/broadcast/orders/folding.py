"""Old receipts become figures: how many endpoints of an area came how far with each order."""

from __future__ import annotations

from collections.abc import AsyncIterator

from loa.broadcast.store import receipt_folds as stored
from loa.broadcast.store.database import Database

ENDPOINTS = 100
"""Of so many endpoints one transaction folds what they have answered to a broadcast."""
_LOOKED_UP_AT_ONCE = 100


class Folding:
    """Folds the receipts of broadcasts that ended long ago."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def run(self, before_ms: int, now_ms: int) -> AsyncIterator[int]:
        """Fold those of broadcasts from before then, some with each step: how many receipts it was. StoreError."""
        last = b""
        while True:
            async with self._db.read() as connection:
                due = await stored.due(connection, before_ms, last, _LOOKED_UP_AT_ONCE)
            if not due:
                return
            for broadcast_id in due:
                whole = False
                while not whole:
                    async with self._db.write() as connection:
                        count, whole = await stored.fold(connection, broadcast_id, now_ms, ENDPOINTS)
                    yield count
            last = due[-1]
