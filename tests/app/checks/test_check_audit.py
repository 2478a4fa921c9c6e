"""`loa check audit` proves a log in the store or outside, and names the first entry that does not hold."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from loa.broadcast.journal.digest_folder import DigestFolder
from loa.broadcast.journal.export import export_line
from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.database import Database
from loa.broadcast.store.unmigrated import building
from loa.cli import app
from loa.codecs.signed import SigningKey
from tests.broadcast.backup.standing import DAY, Standing, standing
from tests.postgres import PostgresServer


@pytest.fixture
def core(tmp_path: Path) -> Standing:
    return asyncio.run(standing(sqlite_address(tmp_path / "a" / "loa.sqlite"), tmp_path / "a"))


def check(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
    done = CliRunner().invoke(app, ["check", "audit", *map(str, arguments), "--json"])
    assert done.output, repr(done.exception)
    said = json.loads(done.output)
    assert said["ok"] is (done.exit_code == 0)
    return done.exit_code, said["findings"]


def change(url: str, statement: str) -> None:
    async def run() -> None:
        async with building(url) as connection:
            await connection.execute(text(statement))

    asyncio.run(run())


def exported(core: Standing, path: Path, after: int = 0) -> Path:
    async def lines() -> bytes:
        db = await Database.open(core.url)
        try:
            return b"".join([export_line(link) async for links in Ledger(db).links(after) for link in links])
        finally:
            await db.close()

    path.write_bytes(asyncio.run(lines()))
    return path


def test_a_whole_log_holds_in_the_store_and_outside(core: Standing, tmp_path: Path) -> None:
    code, found = check("--data-dir", core.folder)
    assert code == 0
    assert found[0]["more"]["entries"] == 6
    assert found[0]["more"]["digests"] == 1
    assert check(core.folder) == (code, found), "the folder may be named in its place"
    export = exported(core, tmp_path / "log.ndjson")
    code, outside = check(export, "--digests", core.folder / "audit")
    assert code == 0
    assert [each["more"] for each in outside if "more" in each] == [
        each["more"] for each in found if "more" in each
    ]
    code, outside = check(export)
    assert (code, outside[-1]["grade"]) == (0, "warning"), "without a digest a cut would not show"
    part = exported(core, tmp_path / "part.ndjson", after=5)
    assert check(part)[0] == 1
    assert check(part, "--digests", core.folder / "audit")[0] == 0


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE audit SET entry = replace(entry, 'thing:2', 'thing:9') WHERE seq = 3", "entry 3 is not what"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 2", "entry 2 is not what was written"),
        ("DELETE FROM audit WHERE seq = 4", "entry 4 is missing"),
        ("DELETE FROM audit WHERE seq = 1", "the log begins at entry 2"),
        ("UPDATE audit SET subject = 'thing:9' WHERE seq = 5", "entry 5 is shown as something else"),
        ("UPDATE audit SET actor = 'nobody' WHERE seq = 5", "entry 5 is shown as something else"),
        ("DELETE FROM audit WHERE seq > 3", "ends at entry 3, and the digest of 2026-09-21 tells of entry 5"),
        ("DELETE FROM audit", "ends at entry 0"),
    ],
)
def test_what_was_changed_is_named(core: Standing, statement: str, why: str, tmp_path: Path) -> None:
    change(core.url, statement)
    code, found = check("--data-dir", core.folder)
    assert code == 1
    assert why in found[-1]["vi"]
    if "subject" not in statement and "actor" not in statement:
        export = exported(core, tmp_path / "log.ndjson")
        code, found = check(export, "--digests", core.folder / "audit")
        assert code == 1
        assert why in found[-1]["vi"]


def test_a_log_that_was_written_anew_shows_against_the_digest(core: Standing) -> None:
    digests = DigestFolder(core.folder / "audit")
    digest = digests.read(DAY)
    (digests.path / f"{DAY}.digest").write_bytes(
        type(digest)(DAY, digest.seq, bytes(32), 5, digest.made_ms).seal(SigningKey(bytes(32)))
    )
    code, found = check("--data-dir", core.folder)
    assert code == 1
    assert "entry 5 is not the one that the digest of 2026-09-21 tells of" in found[-1]["vi"]
    assert "not on the key list" in found[0]["en"], "and nobody knows who signed it"


def test_a_digest_that_was_changed_is_an_error(core: Standing) -> None:
    path = core.folder / "audit" / f"{DAY}.digest"
    path.write_bytes(path.read_bytes().replace(b'"seq":5', b'"seq":4'))
    code, found = check("--data-dir", core.folder)
    assert code == 1
    assert "signature" in found[-1]["vi"]


def test_a_line_that_is_none_is_named(core: Standing, tmp_path: Path) -> None:
    export = exported(core, tmp_path / "log.ndjson")
    export.write_bytes(export.read_bytes() + b"nonsense\n")
    code, found = check(export)
    assert code == 1
    assert "line 7" in found[-1]["vi"]


def test_postgresql_is_checked_too(postgres: PostgresServer, tmp_path: Path) -> None:
    async def run() -> tuple[int, int]:
        async with postgres.empty_database() as url:
            there = await standing(url, tmp_path / "b")
            settings = tmp_path / "loa.toml"
            settings.write_text(f"database_url = '{url}'\n")
            arguments = ("--config", settings, "--data-dir", there.folder)
            good, _ = await asyncio.to_thread(check, *arguments)
            async with building(url) as connection:
                await connection.execute(text("DELETE FROM audit WHERE seq = 4"))
            bad, _ = await asyncio.to_thread(check, *arguments)
            return good, bad

    assert asyncio.run(run()) == (0, 1)


def test_what_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["check", "audit", "--data-dir", str(tmp_path / "none")])
    assert "there is no database" in str(done.exception)
    done = CliRunner().invoke(app, ["check", "audit", str(tmp_path / "none.ndjson")])
    assert "cannot be read" in str(done.exception)
