"""For restores in this process."""

from __future__ import annotations

import pytest

from loa.broadcast.backup import load, restore
from loa.broadcast.store.copying import Forms

_FORMS: dict[str, Forms] = {}


@pytest.fixture(autouse=True)
def _forms_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which tables a revision has is found by migrating a scratch database, and does not change."""

    async def remembered(revision: str, scratch_url: str) -> Forms:
        if revision not in _FORMS:
            _FORMS[revision] = await load.forms_of(revision, scratch_url)
        return _FORMS[revision]

    monkeypatch.setattr(restore, "forms_of", remembered)
