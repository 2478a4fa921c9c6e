"""A core's folder and database into a backup, and out of it: all of it or nothing, on either database."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from loa.broadcast.backup.restored_keys import VERSION_JUMP, KeysAre
from loa.broadcast.backup.target import STAGE, unfinished
from loa.broadcast.journal.chain import verify
from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.store.address import file_of, sqlite_address
from loa.broadcast.store.copying import NOT_KEPT
from loa.broadcast.store.database import Database
from loa.broadcast.store.unmigrated import building, known_revisions
from loa.codecs.signed import SigningKey
from loa.errors import AuditError, ConfigError, LoaError, NotEmpty
from tests.broadcast.backup.standing import (
    HASHES,
    NOW_S,
    SOUNDS,
    Standing,
    content,
    files,
    make_folder,
    mode,
    restored,
    standing,
)
from tests.broadcast.store.full_store import dump
from tests.postgres import PostgresServer

CHANGED = {"endpoint", "audit", "event"}
"""Tables in which a restore itself changes something."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def first(tmp_path_factory: pytest.TempPathFactory) -> Standing:
    """A core on SQLite, to be copied: making one takes half a second."""
    folder = tmp_path_factory.mktemp("first")
    return await standing(sqlite_address(folder / "a.db"), folder / "a")


@pytest.fixture
async def core(backend: str, first: Standing, unmigrated_url: str, tmp_path: Path) -> Standing:
    if backend == "postgresql":
        return await standing(unmigrated_url, tmp_path / "a")
    path = file_of(unmigrated_url)
    assert path is not None
    shutil.copyfile(first.folder.with_suffix(".db"), path)
    return Standing(unmigrated_url, shutil.copytree(first.folder, tmp_path / "a"))


@pytest.fixture
async def archive(core: Standing, tmp_path: Path) -> Path:
    path = tmp_path / "backup.tar"
    made = await core.back_up(path)
    assert made.complete
    assert made.size_bytes == path.stat().st_size
    return path


def _cells(lines: dict[str, list[bytes]], table: str) -> list[list[Any]]:
    return [json.loads(line) for line in lines[table]]


async def _links(url: str) -> list[dict[str, Any]]:
    db = await Database.open(url)
    try:
        links = [link async for some in Ledger(db).links() for link in some]
    finally:
        await db.close()
    assert verify(links) == links[-1]
    return [json.loads(link.entry) for link in links]


async def test_all_of_it_is_there_again(core: Standing, archive: Path, tmp_path: Path) -> None:
    assert mode(archive) == 0o600
    back = tmp_path / "b"
    root = SigningKey((core.folder / "keys" / "root.key").read_bytes())
    found = await restored(None, back, archive, root=root)
    assert (found.missing, found.keys, found.audio_files) == ([], KeysAre.NEW, len(SOUNDS))
    url = sqlite_address(back / "loa.sqlite")
    before, after = await core.rows(), await dump(url)
    assert {name: rows for name, rows in after.items() if name not in CHANGED} == {
        name: rows for name, rows in before.items() if name not in CHANGED
    }
    assert after["audit"][:-1] == before["audit"]
    assert after["event"][:-1] == before["event"]
    assert not unfinished(back)
    assert sorted(each.name for each in back.iterdir()) == ["audio", "audit", "keys", "loa.sqlite"]
    for number, sound in enumerate(SOUNDS):
        assert Standing(url, back).sound(number).read_bytes() == sound
    assert files(back / "audit") == files(core.folder / "audit")
    modes = {path.name: mode(path) for path in (back / "keys").iterdir()}
    assert modes == {"order.key": 0o600, "key_list": 0o644, "root.pub": 0o644}
    assert {mode(path) for path in back.rglob("*") if path.is_dir()} == {0o700}


async def test_the_restore_is_told_in_the_log_and_numbers_jump(
    core: Standing, archive: Path, tmp_path: Path
) -> None:
    before = await core.rows()
    await restored(None, tmp_path / "b", archive, keep_order_key=True)
    url = sqlite_address(tmp_path / "b" / "loa.sqlite")
    entry = (await _links(url))[-1]
    assert (entry["action"], entry["subject"].partition(":")[0]) == ("restore", "backup")
    assert entry["after"]["audit_seq"] == 6
    assert entry["after"]["keys"] == "kept"
    after = await dump(url)
    assert _cells(after, "event")[-1][0] > _cells(before, "event")[-1][0] + 1_000_000
    async with building(url) as connection:
        serials = (await connection.execute(text("SELECT placement_serial FROM endpoint ORDER BY id"))).scalars()
        assert [serial - (1 << 62) for serial in serials] == [1_000_001, 1_000_002, 1_000_003]


async def test_from_one_database_to_the_other_and_back_nothing_is_lost(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    first = await standing(sqlite_address(tmp_path / "a.db"), tmp_path / "a")
    await first.back_up(tmp_path / "1.tar")
    async with postgres.empty_database() as url:
        await restored(url, tmp_path / "b", tmp_path / "1.tar", keep_order_key=True)
        across = Standing(url, tmp_path / "b")
        there = await across.rows()
        assert {name: rows for name, rows in there.items() if name not in CHANGED} == {
            name: rows for name, rows in (await first.rows()).items() if name not in CHANGED
        }
        await across.back_up(tmp_path / "2.tar")
    await restored(None, tmp_path / "c", tmp_path / "2.tar", keep_order_key=True)
    back = await dump(sqlite_address(tmp_path / "c" / "loa.sqlite"))
    assert {name: rows for name, rows in back.items() if name not in CHANGED} == {
        name: rows for name, rows in there.items() if name not in CHANGED
    }
    assert back["audit"][:-1] == there["audit"]
    assert len(await _links(sqlite_address(tmp_path / "c" / "loa.sqlite"))) == 8


async def test_a_core_that_has_outgrown_sqlite_is_moved_where_it_stands(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    core = await standing(sqlite_address(tmp_path / "a" / "loa.sqlite"), tmp_path / "a")
    before = await core.rows()
    await core.back_up(tmp_path / "move.tar")
    root = SigningKey((core.folder / "keys" / "root.key").read_bytes())
    async with postgres.empty_database() as url:
        found = await restored(url, core.folder, tmp_path / "move.tar", force=True, root=root)
        assert (await dump(url))["area"] == before["area"]
        assert len(await _links(url)) == 7
    assert sorted(each.name for each in core.folder.iterdir()) == ["audio", "audit", found.aside, "keys"]
    assert "loa.sqlite" in files(core.folder / found.aside)


@pytest.mark.parametrize("revision", known_revisions())
async def test_a_backup_of_every_older_form_is_restored(revision: str, tmp_path: Path) -> None:
    core = await standing(sqlite_address(tmp_path / "a.db"), tmp_path / "a", revision)
    made = await core.back_up(tmp_path / "backup.tar")
    assert made.schema == revision
    found = await restored(None, tmp_path / "b", tmp_path / "backup.tar", keep_order_key=True, despite_audit=True)
    assert found.rows == sum(len(rows) for rows in (await core.rows()).values())
    async with building(sqlite_address(tmp_path / "b" / "loa.sqlite")) as connection:
        revisions = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars().all()
        assert revisions == [known_revisions()[0]]
        assert (await connection.execute(text("SELECT count(*) FROM area"))).scalar_one() == 3


async def test_a_restored_core_gives_orders_by_a_key_of_its_own(
    core: Standing, archive: Path, tmp_path: Path
) -> None:
    old = KeyRing.open(core.folder / "keys", NOW_S)
    root = SigningKey((core.folder / "keys" / "root.key").read_bytes())
    assert (await restored(None, tmp_path / "b", archive, root=root)).keys is KeysAre.NEW
    new = KeyRing.open(tmp_path / "b" / "keys", NOW_S)
    assert new.order_key.key_id != old.order_key.key_id
    assert old.order_key.key_id in new.key_list.revoked
    assert new.key_list.version == old.key_list.version + VERSION_JUMP
    assert not (tmp_path / "b" / "keys" / "root.key").exists()


async def test_without_the_root_it_has_no_order_key_unless_somebody_vouches(
    core: Standing, archive: Path, tmp_path: Path
) -> None:
    assert (await restored(None, tmp_path / "b", archive)).keys is KeysAre.NEEDED
    assert sorted(files(tmp_path / "b" / "keys")) == ["key_list", "root.pub"]
    with pytest.raises(ConfigError, match=r"order\.key is missing"):
        KeyRing.open(tmp_path / "b" / "keys", NOW_S)
    assert (await restored(None, tmp_path / "c", archive, keep_order_key=True)).keys is KeysAre.KEPT
    kept = KeyRing.open(tmp_path / "c" / "keys", NOW_S)
    assert kept.order_key.seed == (core.folder / "keys" / "order.key").read_bytes()


async def test_the_root_is_in_a_backup_only_when_it_is_asked_for(
    core: Standing, archive: Path, tmp_path: Path
) -> None:
    seed = (core.folder / "keys" / "root.key").read_bytes()
    assert seed not in content(archive)
    await core.back_up(tmp_path / "with-root.tar", with_root=True)
    assert seed in (tmp_path / "with-root.tar").read_bytes()
    assert (await restored(None, tmp_path / "b", tmp_path / "with-root.tar")).keys is KeysAre.NEW
    assert (tmp_path / "b" / "keys" / "root.key").read_bytes() == seed
    with pytest.raises(ConfigError, match="is not the key of"):
        await restored(None, tmp_path / "c", archive, root=SigningKey(bytes(32)))
    assert files(tmp_path / "c") == {}


async def test_who_was_signed_in_is_not_carried_over(archive: Path) -> None:
    data = content(archive)
    for name in NOT_KEPT:
        assert f"rows/{name}/".encode() not in data


async def test_under_a_passphrase(core: Standing, tmp_path: Path) -> None:
    await core.back_up(tmp_path / "sealed", passphrase=b"con ngua thanh troy")
    with pytest.raises(ConfigError, match="passphrase-file"):
        await restored(None, tmp_path / "b", tmp_path / "sealed")
    with pytest.raises(LoaError, match="passphrase is another"):
        await restored(None, tmp_path / "b", tmp_path / "sealed", passphrase=b"another passphrase")
    assert files(tmp_path / "b") == {}
    await restored(None, tmp_path / "b", tmp_path / "sealed", passphrase=b"con ngua thanh troy")
    assert len(await _links(sqlite_address(tmp_path / "b" / "loa.sqlite"))) == 7


async def test_sound_that_is_not_there_or_not_right_is_told_and_left_out(core: Standing, tmp_path: Path) -> None:
    core.sound(0).unlink()
    core.sound(1).write_bytes(b"something else")
    made = await core.back_up(tmp_path / "backup.tar")
    assert (made.missing, made.damaged, made.audio_files) == ([HASHES[0].hex()], [HASHES[1].hex()], 1)
    assert not made.complete
    found = await restored(None, tmp_path / "b", tmp_path / "backup.tar", keep_order_key=True)
    assert sorted(found.missing) == sorted([HASHES[0].hex(), HASHES[1].hex()])


async def test_sound_of_a_deleted_programme_is_kept_while_it_is_there_and_not_missed_afterwards(
    core: Standing, tmp_path: Path
) -> None:
    async with building(core.url) as connection:
        await connection.execute(text("UPDATE programme SET deleted_ms = 1"))
    core.sound(0).unlink()
    made = await core.back_up(tmp_path / "backup.tar")
    assert (made.complete, made.audio_files) == (True, 2)
    found = await restored(None, tmp_path / "b", tmp_path / "backup.tar", keep_order_key=True)
    assert (found.missing, found.audio_files) == ([], 2)


async def test_a_pool_holds_sound_once_for_many_backups(core: Standing, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    first = await core.back_up(tmp_path / "1.tar", pool=pool)
    second = await core.back_up(tmp_path / "2.tar", pool=pool)
    assert (first.pooled, second.pooled, second.audio_files) == (3, 0, 3)
    assert SOUNDS[2] not in (tmp_path / "2.tar").read_bytes()
    without = await restored(None, tmp_path / "b", tmp_path / "2.tar", keep_order_key=True)
    assert len(without.missing) == 3
    found = await restored(None, tmp_path / "c", tmp_path / "2.tar", keep_order_key=True, pool=pool)
    assert found.missing == []
    assert files(tmp_path / "c" / "audio") == files(pool)
    next(pool.rglob("*.ogg")).write_bytes(b"rot")
    with pytest.raises(LoaError, match="not what its name says"):
        await restored(None, tmp_path / "d", tmp_path / "2.tar", pool=pool)
    assert files(tmp_path / "d") == {}


async def test_what_is_there_is_not_touched_but_by_force_and_then_put_aside(
    core: Standing, archive: Path, tmp_path: Path
) -> None:
    other = await standing(sqlite_address(tmp_path / "b" / "loa.sqlite"), tmp_path / "b")
    (other.folder / "admin.token").write_text("secret")
    (other.folder / "notes").write_text("mine")
    before = files(other.folder)
    with pytest.raises(NotEmpty, match="is not empty"):
        await restored(None, other.folder, archive)
    assert files(other.folder) == before
    found = await restored(None, other.folder, archive, keep_order_key=True, force=True)
    assert found.aside == "before-restore-20260921T141320Z"
    aside = files(other.folder / found.aside)
    kept = {name: data for name, data in before.items() if not name.startswith("audio/") and name != "notes"}
    assert aside == kept
    assert (other.folder / "notes").read_text() == "mine"
    assert files(other.folder / "keys") != files(other.folder / found.aside / "keys")
    assert len(await _links(other.url)) == 7


async def test_a_database_elsewhere_must_be_empty_too(core: Standing, archive: Path, tmp_path: Path) -> None:
    rows = await core.rows()
    with pytest.raises(NotEmpty, match="the database"):
        await restored(core.url, tmp_path / "b", archive)
    assert await core.rows() == rows
    assert files(tmp_path / "b") == {}
    if core.url.startswith("sqlite"):
        with pytest.raises(ConfigError, match="move it away first"):
            await restored(core.url, tmp_path / "b", archive, force=True)
        return
    await restored(core.url, tmp_path / "b", archive, force=True, keep_order_key=True)
    async with building(core.url) as connection:
        query = text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'before_restore%'")
        (aside,) = (await connection.execute(query)).scalars().all()
        assert (await connection.execute(text(f"SELECT count(*) FROM {aside}.audit"))).scalar_one() == 6
    assert len(await _links(core.url)) == 7


async def test_an_audit_log_that_was_changed_is_restored_only_knowingly(core: Standing, tmp_path: Path) -> None:
    async with building(core.url) as connection:
        await connection.execute(text("UPDATE audit SET entry = '{}' WHERE seq = 3"))
    await core.back_up(tmp_path / "backup.tar")
    with pytest.raises(AuditError, match="entry 3"):
        await restored(None, tmp_path / "b", tmp_path / "backup.tar")
    assert files(tmp_path / "b") == {}
    await restored(None, tmp_path / "b", tmp_path / "backup.tar", keep_order_key=True, despite_audit=True)
    async with building(sqlite_address(tmp_path / "b" / "loa.sqlite")) as connection:
        query = text("SELECT entry FROM audit ORDER BY seq DESC LIMIT 1")
        assert "entry 3" in json.loads((await connection.execute(query)).scalar_one())["after"]["audit_fault"]


async def test_a_log_whose_end_was_cut_off_shows_against_the_digest(core: Standing, tmp_path: Path) -> None:
    (digest,) = (core.folder / "audit").iterdir()
    async with building(core.url) as connection:
        await connection.execute(text("DELETE FROM audit WHERE seq > 3"))
    made = await core.back_up(tmp_path / "backup.tar")
    assert made.unread == [f"{digest} tells of entry 5, and the audit log ends at 3"]
    assert not made.complete


async def test_an_existing_file_is_not_overwritten(core: Standing, archive: Path) -> None:
    before = content(archive)
    with pytest.raises(ConfigError, match="is there already"):
        await core.back_up(archive)
    assert content(archive) == before


async def test_a_half_written_one_that_was_left_is_removed_and_none_is_left_by_a_failure(
    core: Standing, tmp_path: Path
) -> None:
    (tmp_path / "x.tar.0badcafe.partial").write_bytes(b"half")
    await core.back_up(tmp_path / "x.tar")
    (core.folder / "keys" / "key_list").write_bytes(bytes(100_000))
    with pytest.raises(ConfigError, match="more than"):
        await core.back_up(tmp_path / "y.tar")
    assert [name for name in files(tmp_path) if "tar" in name] == ["x.tar"]


@pytest.fixture(autouse=True)
def _nothing_is_staged(tmp_path: Path) -> Iterator[None]:
    yield
    assert list(tmp_path.rglob(STAGE)) == []


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no second file system")
async def test_sound_may_lie_on_another_disk(archive: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        make_folder(tmp_path / "b")
        (tmp_path / "b" / "audio").symlink_to(other)
        await restored(None, tmp_path / "b", archive, keep_order_key=True)
        assert sorted(files(Path(other)).values()) == sorted(SOUNDS)
