"""`loa check store`, `loa check keys` and `loa check backup`."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.unmigrated import building, known_revisions
from loa.cli import app
from tests.broadcast.backup.standing import HASHES, Standing, standing
from tests.postgres import PostgresServer


@pytest.fixture
def core(tmp_path: Path) -> Standing:
    return asyncio.run(standing(sqlite_address(tmp_path / "a" / "loa.sqlite"), tmp_path / "a"))


def check(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", *map(str, arguments), "--json"])
    assert done.output, repr(done.exception)
    said: dict[str, Any] = json.loads(done.output)
    assert said["ok"] is (done.exit_code == 0)
    return done.exit_code, "\n".join(f"{each['grade']} {each['vi']} {each['en']}" for each in said["findings"])


def change(url: str, *statements: str) -> None:
    async def run() -> None:
        async with building(url) as connection:
            for statement in statements:
                await connection.execute(text(statement))

    asyncio.run(run())


def test_a_whole_store_is_whole(core: Standing) -> None:
    code, found = check("store", "--data-dir", core.folder)
    assert (code, "error" in found, "3 tệp" in found) == (0, False, True)
    assert check("store", "--deep", "--data-dir", core.folder)[0] == 0


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (["PRAGMA defer_foreign_keys = ON", "DELETE FROM order_"], "refers to one of order_ that is not there"),
        (["ALTER TABLE token ADD COLUMN backdoor TEXT"], "cột thừa: token.backdoor text"),
        (["DROP TABLE done_once"], "thiếu cột: done_once.key text"),
        (["UPDATE alembic_version SET version_num = '9999'"], "newer Loa"),
        (["DELETE FROM alembic_version"], "holds no store of Loa"),
    ],
)
def test_what_is_wrong_with_a_store_is_told(core: Standing, statements: list[str], why: str) -> None:
    change(core.url, *statements)
    code, found = check("store", "--data-dir", core.folder)
    assert code == 1
    assert why in found


def test_a_damaged_file_is_told(core: Standing) -> None:
    path = core.folder / "loa.sqlite"
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 3 + 3000] = bytes(3000)
    path.write_bytes(data)
    code, found = check("store", "--data-dir", core.folder)
    assert code == 1
    assert "hỏng" in found or "không đọc được" in found


def test_an_older_form_is_a_warning(tmp_path: Path) -> None:
    old = known_revisions()[-1]
    core = asyncio.run(standing(sqlite_address(tmp_path / "o" / "loa.sqlite"), tmp_path / "o", old))
    code, found = check("store", "--data-dir", core.folder)
    assert code == 0
    assert f"warning dạng {old}" in found


def test_sound_that_is_not_there_is_an_error(core: Standing) -> None:
    core.sound(0).unlink()
    core.sound(1).write_bytes(b"rot")
    code, found = check("store", "--data-dir", core.folder)
    assert (code, f"THIẾU {HASHES[0].hex()}" in found, HASHES[1].hex() in found) == (1, True, False)
    code, found = check("store", "--deep", "--data-dir", core.folder)
    assert (code, f"HỎNG {HASHES[1].hex()}" in found) == (1, True)


def test_a_store_in_postgresql_is_checked_too(postgres: PostgresServer, tmp_path: Path) -> None:
    async def run() -> list[tuple[int, str]]:
        async with postgres.empty_database() as url:
            there = await standing(url, tmp_path / "b")
            settings = tmp_path / "loa.toml"
            settings.write_text(f"database_url = '{url}'\n")
            arguments = ("store", "--config", settings, "--data-dir", there.folder)
            found = [await asyncio.to_thread(check, *arguments)]
            async with building(url) as connection:
                await connection.execute(text("ALTER TABLE area ADD CONSTRAINT odd CHECK (level <> 'x') NOT VALID"))
            return [*found, await asyncio.to_thread(check, *arguments)]

    good, bad = asyncio.run(run())
    assert good[0] == 0
    assert bad[0] == 1
    assert "the constraint odd has not been validated" in bad[1]


def test_keys_are_checked(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert "warning" in check("keys", "--data-dir", folder)[1]
    KeyRing.open(folder / "keys", int(time.time()))
    code, found = check("keys", "--data-dir", folder)
    assert code == 0
    assert "The root key lies on the core" in found
    (folder / "keys" / "root.key").unlink()
    code, found = check("keys", "--data-dir", folder)
    assert (code, "warning" in found) == (0, False)
    (folder / "keys" / "order.key").chmod(0o644)
    assert check("keys", "--data-dir", folder)[0] == 1
    (folder / "keys" / "order.key").unlink()
    code, found = check("keys", "--data-dir", folder)
    assert (code, "vô dụng" in found) == (1, True)


def test_a_backup_is_checked_without_being_restored(core: Standing, tmp_path: Path) -> None:
    asyncio.run(core.back_up(tmp_path / "x.tar"))
    code, found = check("backup", tmp_path / "x.tar")
    assert (code, "whole" in found) == (0, True)
    data = bytearray((tmp_path / "x.tar").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "x.tar").write_bytes(data)
    assert check("backup", tmp_path / "x.tar")[0] == 1
    (tmp_path / "x.tar").write_bytes(data[:3000])
    code, found = check("backup", tmp_path / "x.tar")
    assert (code, "cut off" in found) == (1, True)


def test_a_backup_s_pool_is_checked_too(core: Standing, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    asyncio.run(core.back_up(tmp_path / "x.tar", pool=pool))
    assert "MISSING" in check("backup", tmp_path / "x.tar")[1]
    assert check("backup", tmp_path / "x.tar", "--audio-pool", pool)[0] == 0
    next(pool.rglob("*.ogg")).write_bytes(b"rot")
    code, found = check("backup", tmp_path / "x.tar", "--audio-pool", pool)
    assert (code, "DAMAGED" in found) == (1, True)
