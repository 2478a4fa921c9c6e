"""The audio store in a folder: whole files under their hashes, and none that somebody still needs taken away."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.content.audio_folder import AudioFolder
from loa.broadcast.content.audio_store import AudioStore, Stored
from loa.broadcast.content.disk import failure, require_room
from loa.errors import DiskFull, NotFound, StoreError

NOW_MS = 1_790_000_000_000


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


async def put(store: AudioStore, folder: Path, data: bytes, now_ms: int = NOW_MS) -> bytes:
    """Put `data` into the store, as the library does: from a file beside it."""
    file = folder / "fresh"
    file.write_bytes(data)
    await store.put(digest_of(data), file, now_ms)
    assert not file.exists()
    return digest_of(data)


async def all_of(store: AudioStore) -> list[Stored]:
    return [each async for each in store.stored()]


@pytest.fixture
async def store(tmp_path: Path) -> AudioFolder:
    return await AudioFolder.open(tmp_path / "audio")


async def test_what_was_put_is_there_under_its_hash(store: AudioFolder, tmp_path: Path) -> None:
    digest = await put(store, tmp_path, b"sound")
    assert (await store.fetch(digest)).read_bytes() == b"sound"
    assert await store.exists(digest)
    assert await all_of(store) == [Stored(digest, 5, NOW_MS)]
    assert await store.fetch(digest) == tmp_path / "audio" / digest.hex()[:2] / f"{digest.hex()}.ogg"
    with pytest.raises(NotFound):
        await store.fetch(digest_of(b"other"))
    assert not await store.exists(digest_of(b"other"))


async def test_what_is_put_again_is_there_once_and_counts_as_put_now(store: AudioFolder, tmp_path: Path) -> None:
    digest = await put(store, tmp_path, b"sound")
    await put(store, tmp_path, b"sound", NOW_MS + 9)
    assert await all_of(store) == [Stored(digest, 5, NOW_MS + 9)]
    assert await store.total_bytes() == 5


async def test_only_what_is_old_enough_is_removed(store: AudioFolder, tmp_path: Path) -> None:
    digest = await put(store, tmp_path, b"sound")
    assert not await store.delete(digest, put_before_ms=NOW_MS)
    assert await store.exists(digest)
    assert await store.delete(digest, put_before_ms=NOW_MS + 1)
    assert not await store.exists(digest)
    assert not await store.delete(digest, put_before_ms=NOW_MS + 1)


@pytest.mark.parametrize("moment", ["before the step", "after the step"])
async def test_what_another_process_puts_while_it_is_being_removed_stays(
    store: AudioFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    digest = await put(store, tmp_path, b"sound")
    rename = Path.rename

    def anew() -> None:
        fresh = tmp_path / "fresh"
        fresh.write_bytes(b"sound")
        os.utime(fresh, ns=(NOW_MS * 2_000_000,) * 2)
        fresh.replace(tmp_path / "audio" / digest.hex()[:2] / f"{digest.hex()}.ogg")

    def put_meanwhile(self: Path, target: Path) -> Path:
        if moment == "before the step":
            anew()
        moved = rename(self, target)
        if moment == "after the step":
            anew()
        return moved

    monkeypatch.setattr(Path, "rename", put_meanwhile)
    # What was moved away may be gone (the new file stands in its place), but the sound is there.
    assert await store.delete(digest, put_before_ms=NOW_MS + 1) == (moment == "after the step")
    assert (await store.fetch(digest)).read_bytes() == b"sound"
    assert len(list((tmp_path / "audio").rglob("*.*"))) == 1


async def test_what_was_on_its_way_out_when_a_process_ended_is_asked_about_anew(
    store: AudioFolder, tmp_path: Path
) -> None:
    alone, twice = await put(store, tmp_path, b"alone"), await put(store, tmp_path, b"twice")
    for digest in (alone, twice):
        path = await store.fetch(digest)
        path.rename(path.with_suffix(".going"))
    await put(store, tmp_path, b"twice", NOW_MS + 1)
    again = await AudioFolder.open(tmp_path / "audio")
    assert sorted(await all_of(again), key=lambda each: each.put_ms) == [
        Stored(alone, 5, NOW_MS),
        Stored(twice, 5, NOW_MS + 1),
    ]
    assert len(list((tmp_path / "audio").rglob("*.*"))) == 2


async def test_files_of_other_names_are_none_of_the_stores(store: AudioFolder, tmp_path: Path) -> None:
    digest = await put(store, tmp_path, b"sound")
    folder = tmp_path / "audio"
    (folder / "tmp").mkdir()
    (folder / "zz").mkdir()
    (folder / digest.hex()[:2] / "notes.txt").write_bytes(b"?")
    (folder / digest.hex()[:2] / f"{digest.hex().upper()}.ogg").write_bytes(b"?")
    other = "00" if digest.hex()[:2] != "00" else "11"
    (folder / other).mkdir()
    (folder / other / f"{digest.hex()}.ogg").write_bytes(b"in the wrong folder")
    assert await all_of(store) == [Stored(digest, 5, NOW_MS)]
    assert await store.total_bytes() == 5


async def test_a_store_that_fails_says_so(store: AudioFolder, tmp_path: Path) -> None:
    digest = digest_of(b"sound")
    (tmp_path / "audio" / digest.hex()[:2]).write_bytes(b"a file where a folder should be")
    (tmp_path / "fresh").write_bytes(b"sound")
    with pytest.raises(StoreError, match="cannot be stored"):
        await store.put(digest, tmp_path / "fresh", NOW_MS)
    (tmp_path / "no folder").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be used"):
        await AudioFolder.open(tmp_path / "no folder")


def test_a_full_disk_is_told_apart_from_a_broken_one(tmp_path: Path) -> None:
    assert isinstance(failure("it", OSError(errno.ENOSPC, "no space left")), DiskFull)
    assert isinstance(failure("it", OSError(errno.EDQUOT, "quota")), DiskFull)
    broken = failure("it", OSError(errno.EIO, "broken"))
    assert not isinstance(broken, DiskFull)
    require_room(tmp_path, 0, 1)
    for reserve, wanted in ((1 << 62, 0), (0, 1 << 62)):
        with pytest.raises(DiskFull):
            require_room(tmp_path, reserve, wanted)


Step = tuple[str, int, int]
STEPS = st.lists(st.tuples(st.sampled_from(["put", "delete"]), st.integers(0, 3), st.integers(0, 5)), max_size=25)


@given(STEPS)
def test_it_holds_what_was_put_and_not_removed(steps: list[Step]) -> None:
    async def run(folder: Path) -> None:
        store = await AudioFolder.open(folder / "audio")
        model: dict[bytes, Stored] = {}
        for what, which, at_ms in steps:
            data = b"x" * (which + 1)
            digest = digest_of(data)
            if what == "put":
                await put(store, folder, data, at_ms)
                model[digest] = Stored(digest, len(data), at_ms)
            else:
                old = digest in model and model[digest].put_ms < at_ms
                assert await store.delete(digest, put_before_ms=at_ms) == old
                if old:
                    del model[digest]
        assert await all_of(store) == [model[digest] for digest in sorted(model)]
        assert await store.total_bytes() == sum(each.size_bytes for each in model.values())

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
