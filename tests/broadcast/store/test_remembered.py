"""What is remembered is never older than what this process has committed, nor than a second."""

from __future__ import annotations

import asyncio

import pytest

from loa.broadcast.journal.act import system
from loa.broadcast.registry.areas import Areas
from loa.broadcast.store import remembered
from loa.broadcast.store.database import Database
from loa.broadcast.store.remembered import KEPT_S, Remembered
from loa.errors import NotFound
from tests.broadcast.conftest import NOW_MS


class Asked:
    """Counts what reaches the store; `held` keeps an answer back."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.now_s = 0.0
        self.answer = "first"
        self.held: asyncio.Event | None = None

    async def ask(self, key: str) -> str:
        self.keys.append(key)
        said = self.answer
        if self.held is not None:
            await self.held.wait()
        return said


async def test_it_is_asked_once_until_something_is_committed(db: Database) -> None:
    asked = Asked()
    known = Remembered(db, asked.ask, lambda: asked.now_s)
    assert [await known.get("a") for _ in range(3)] == ["first"] * 3
    assert asked.keys == ["a"]
    asked.answer = "second"
    await Areas(db).create(None, "Xã", "commune", None, system(NOW_MS))
    assert await known.get("a") == "second"


async def test_it_is_asked_again_after_a_while_for_others_commit_too(db: Database) -> None:
    asked = Asked()
    known = Remembered(db, asked.ask, lambda: asked.now_s)
    await known.get("a")
    asked.now_s = KEPT_S - 0.001
    await known.get("a")
    assert len(asked.keys) == 1
    asked.now_s = KEPT_S
    await known.get("a")
    assert len(asked.keys) == 2


async def test_what_was_read_before_a_commit_is_not_kept_after_it(db: Database) -> None:
    asked = Asked()
    known = Remembered(db, asked.ask, lambda: asked.now_s)
    asked.held = asyncio.Event()
    reading = asyncio.create_task(known.get("a"))
    await asyncio.sleep(0)
    await Areas(db).create(None, "Xã", "commune", None, system(NOW_MS))
    asked.answer = "second"
    asked.held.set()
    assert await reading == "first"
    assert await known.get("a") == "second"


async def test_it_is_bounded(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST", 3)
    asked = Asked()
    known = Remembered(db, asked.ask, lambda: asked.now_s)
    for key in "abcd":
        await known.get(key)
    await known.get("d")
    await known.get("a")
    assert asked.keys == ["a", "b", "c", "d", "a"]


async def test_an_error_is_not_remembered(db: Database) -> None:
    areas = Areas(db)
    known = Remembered(db, areas.get)
    with pytest.raises(NotFound):
        await known.get(bytes(16))
    with pytest.raises(NotFound):
        await known.get(bytes(16))
