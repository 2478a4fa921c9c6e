"""The first start: the administrator's token is in its file before it is good for anything."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loa.broadcast.people.rights import Grant, Role
from loa.broadcast.store.database import Database
from loa.broadcast.store.tokens import Tokens
from loa.control_api.bearer import BearerTokens
from loa.control_api.first_token import ensure_first_token, private_folder
from loa.errors import ConfigError, StoreError

NOW_MS = 1_790_000_000_000


@pytest.fixture
async def tokens(tmp_path: Path) -> AsyncIterator[BearerTokens]:
    db = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'loa.sqlite'}")
    yield BearerTokens(Tokens(db))
    await db.close()


def told(path: Path) -> str:
    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text(encoding="utf-8").strip()


async def test_the_first_start_makes_a_token_and_the_second_keeps_it(tokens: BearerTokens, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    assert await ensure_first_token(tokens, path, NOW_MS)
    text = told(path)
    made = await tokens.check(text, NOW_MS)
    assert made is not None
    assert made.grants == (Grant(Role.ADMIN),)
    assert not await ensure_first_token(tokens, path, NOW_MS)
    assert told(path) == text


async def test_a_start_that_ends_before_the_store_has_it_is_made_good_by_the_next(
    tokens: BearerTokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "admin.token"

    async def fails(*_given: object) -> None:
        assert path.exists()
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Tokens, "create", fails)
        with pytest.raises(StoreError):
            await ensure_first_token(tokens, path, NOW_MS)
    lost = told(path)
    assert await tokens.check(lost, NOW_MS) is None
    assert await ensure_first_token(tokens, path, NOW_MS)
    assert told(path) != lost
    assert await tokens.check(told(path), NOW_MS) is not None


async def test_without_its_file_there_is_no_token(tokens: BearerTokens, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    path.mkdir()
    with pytest.raises(ConfigError, match=r"admin\.token"):
        await ensure_first_token(tokens, path, NOW_MS)
    assert not await tokens.any()
    path.rmdir()
    assert await ensure_first_token(tokens, path, NOW_MS)


async def test_what_a_killed_start_left_is_replaced_and_read_by_nobody(
    tokens: BearerTokens, tmp_path: Path
) -> None:
    path = tmp_path / "admin.token"
    for left in (path, tmp_path / "admin.token.new"):
        left.write_text("half")
        left.chmod(0o644)
    assert await ensure_first_token(tokens, path, NOW_MS)
    assert await tokens.check(told(path), NOW_MS) is not None
    assert not (tmp_path / "admin.token.new").exists()


def test_a_folder_is_made_for_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_ours_that_is_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o1777, 0o755, 0o750])
def test_an_open_folder_that_is_not_ours_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    if not mode & 0o1000:
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(ConfigError):
        private_folder(folder)
    assert folder.stat().st_mode & 0o7777 == mode


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a letter")
    with pytest.raises(ConfigError):
        private_folder(tmp_path / "data")
