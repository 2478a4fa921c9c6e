"""The check of the audio store: it names what is missing, damaged or left over, and nothing that is well."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from loa.broadcast.content.audio_check import Fault, Finding, check_audio
from loa.broadcast.content.audio_folder import AudioFolder
from loa.broadcast.journal.act import system
from loa.broadcast.records import Programme
from loa.broadcast.store.database import Database
from loa.broadcast.store.programmes import Programmes
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.orders.standing import a_programme


@dataclass
class Stage:
    """A store and programmes, of which some have their sound."""

    store: AudioFolder
    programmes: Programmes
    db: Database
    folder: Path

    async def stored(self, data: bytes) -> bytes:
        fresh = self.folder / "fresh"
        fresh.write_bytes(data)
        digest = hashlib.sha256(data).digest()
        await self.store.put(digest, fresh, NOW_MS)
        return digest

    async def named(self, data: bytes, *, stored: bool = True) -> Programme:
        digest = await self.stored(data) if stored else hashlib.sha256(data).digest()
        return await a_programme(self.db, sha256=digest)

    async def findings(self, kept_since_ms: int = NOW_MS) -> dict[bytes, Finding]:
        found = [each async for each in check_audio(self.store, self.programmes, kept_since_ms)]
        assert len({each.digest for each in found}) == len(found)
        return {each.digest: each for each in found}


@pytest.fixture
async def stage(db: Database, tmp_path: Path) -> Stage:
    return Stage(await AudioFolder.open(tmp_path / "audio"), Programmes(db), db, tmp_path)


async def test_what_is_well_is_well(stage: Stage) -> None:
    one, two = await stage.named(b"one"), await stage.named(b"two")
    same = await stage.named(b"two")
    assert same.sha256 == two.sha256
    assert await stage.findings() == {
        one.sha256: Finding(one.sha256, None, ("Bản tin",)),
        two.sha256: Finding(two.sha256, None, ("Bản tin", "Bản tin")),
    }


async def test_what_is_not_well_is_named(stage: Stage) -> None:
    good, missing = await stage.named(b"good"), await stage.named(b"missing", stored=False)
    damaged, cut = await stage.named(b"damaged"), await stage.named(b"cut off")
    for programme, data in ((damaged, b"dam4ged"), (cut, b"cut")):
        (await stage.store.fetch(programme.sha256)).write_bytes(data)
    orphan = await stage.stored(b"orphan")
    found = await stage.findings()
    assert {digest: each.fault for digest, each in found.items()} == {
        good.sha256: None,
        missing.sha256: Fault.MISSING,
        damaged.sha256: Fault.DAMAGED,
        cut.sha256: Fault.DAMAGED,
        orphan: Fault.ORPHAN,
    }
    assert found[missing.sha256].titles == ("Bản tin",)


async def test_what_was_taken_away_is_kept_for_a_while_and_then_left_over(stage: Stage) -> None:
    programme = await stage.named(b"gone")
    unstored = await stage.named(b"gone too", stored=False)
    for each in (programme, unstored):
        await stage.programmes.delete(each.id, system(NOW_MS + 5))
    assert await stage.findings(NOW_MS + 5) == {programme.sha256: Finding(programme.sha256, None)}
    assert await stage.findings(NOW_MS + 6) == {programme.sha256: Finding(programme.sha256, Fault.ORPHAN)}


async def test_what_comes_while_it_is_checked_is_not_called_missing(stage: Stage) -> None:
    first = await stage.named(b"first")
    late: list[Programme] = []
    found: list[Finding] = []
    async for each in check_audio(stage.store, stage.programmes, NOW_MS):
        found.append(each)
        if not late:
            late.append(await stage.named(b"late"))
    assert [each for each in found if each.digest == first.sha256] == [Finding(first.sha256, None, ("Bản tin",))]
    assert all(each.fault is None for each in found)
