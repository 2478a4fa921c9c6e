"""For tests that run commands in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _same_umask() -> Iterator[None]:
    """Commands keep what they write from others; tests that come later are none of theirs."""
    before = os.umask(0o022)
    yield
    os.umask(before)
