"""What a full collection leaves is set aside, and is looked at again when its time has come."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from loa.app.old_objects import LOOK_AT_ALL_S, set_aside


@pytest.fixture(autouse=True)
def _nothing_by_itself() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


class Knot:
    """It refers to itself: nothing but a collection frees it."""

    def __init__(self) -> None:
        self.me = self


def test_a_cycle_that_was_set_aside_goes_when_all_are_looked_at_again() -> None:
    now_s = 100.0
    with set_aside(lambda: now_s):
        old, plain = Knot(), {object()}
        seen, plainly = weakref.ref(old), weakref.ref(plain)
        gc.collect()
        assert gc.get_freeze_count() > 0
        new = Knot()
        seen_new = weakref.ref(new)
        del old, new, plain
        gc.collect()
        assert plainly() is None, "counts of references free as before"
        assert (seen() is None, seen_new() is None) == (False, True)
        now_s += LOOK_AT_ALL_S
        gc.collect()
        assert seen() is None
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_a_small_collection_sets_nothing_aside() -> None:
    with set_aside():
        gc.collect(1)
        assert gc.get_freeze_count() == 0
