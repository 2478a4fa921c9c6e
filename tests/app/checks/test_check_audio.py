"""`loa check audio`: what it says of a core's sound, and its exit code."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from loa.broadcast.content.audio_folder import AudioFolder
from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.database import Database
from loa.broadcast.store.unmigrated import known_revisions
from tests.app.checks.test_check_others import check
from tests.broadcast.backup.standing import standing as other_form
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.orders.standing import a_programme

SOUNDS = [f"sound {number}".encode() for number in range(3)]
HASHES = [hashlib.sha256(sound).digest() for sound in SOUNDS]


class Standing:
    """A core's folder with three programmes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sound(self, number: int) -> Path:
        name = HASHES[number].hex()
        return self.folder / "audio" / name[:2] / f"{name}.ogg"


@pytest.fixture
async def core(tmp_path: Path) -> Standing:
    folder = tmp_path / "a"
    db = await Database.open(sqlite_address(folder / "loa.sqlite"))
    store = await AudioFolder.open(folder / "audio")
    for sound, digest in zip(SOUNDS, HASHES, strict=True):
        fresh = tmp_path / "fresh"
        fresh.write_bytes(sound)
        await store.put(digest, fresh, NOW_MS)
        await a_programme(db, sha256=digest)
    await db.close()
    return Standing(folder)


def test_sound_that_is_whole_is_whole(core: Standing) -> None:
    before = sorted(core.folder.rglob("*"))
    code, found = check("audio", "--data-dir", core.folder)
    assert (code, found) == (0, "ok 3 tệp âm thanh nguyên vẹn files are whole")
    assert [path for path in sorted(core.folder.rglob("*")) if path not in before] == []


def test_what_is_wrong_is_named_and_fails(core: Standing) -> None:
    core.sound(0).unlink()
    core.sound(1).write_bytes(core.sound(1).read_bytes()[:-1])
    code, found = check("audio", "--data-dir", core.folder)
    assert code == 1
    assert f"error THIẾU {HASHES[0].hex()}" in found
    assert f"error HỎNG {HASHES[1].hex()}" in found
    assert "ok 1 tệp âm thanh nguyên vẹn" in found


def test_what_is_left_over_is_a_warning(core: Standing) -> None:
    name = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of nothing
    (core.folder / "audio" / name[:2]).mkdir()
    (core.folder / "audio" / name[:2] / f"{name}.ogg").write_bytes(b"")
    code, found = check("audio", "--data-dir", core.folder)
    assert (code, f"warning THỪA {name}" in found) == (0, True)


def test_a_store_of_another_form_is_left_as_it_is(tmp_path: Path) -> None:
    old = known_revisions()[1]
    core = asyncio.run(other_form(sqlite_address(tmp_path / "o" / "loa.sqlite"), tmp_path / "o", old))
    code, found = check("audio", "--data-dir", core.folder)
    assert (code, "loa check store" in found) == (1, True)
    assert f"dạng {old}" in check("store", "--data-dir", core.folder)[1]


def test_a_folder_without_a_store_is_told(tmp_path: Path) -> None:
    code, found = check("audio", "--data-dir", tmp_path)
    assert (code, "no core's store" in found) == (1, True)
    assert not (tmp_path / "loa.sqlite").exists()
