"""Both databases, as in the broadcast room's tests."""

from __future__ import annotations

from tests.broadcast.conftest import backend, new_store

__all__ = ["backend", "new_store"]
