"""`loa backup` and `loa restore`, as people call them."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from loa import config as settings
from loa.app.backup.progress_bars import WORDS
from loa.app.backup.restore import KEY_WORDS
from loa.app.core import Core
from loa.broadcast.backup.progress import Step
from loa.broadcast.backup.restored_keys import KeysAre
from loa.broadcast.backup.target import STAGE
from loa.broadcast.store.address import sqlite_address
from loa.cli import app
from loa.errors import ConfigError
from loa.folder_lock import folder_lock
from tests.broadcast.backup.standing import standing


def loa(*arguments: str | Path) -> Result:
    """`loa …` in this process."""
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
async def stopped(tmp_path: Path) -> Path:
    """The folder of a core that ran once."""
    async with Core(settings.load(data_dir=tmp_path / "a", http_port=0, media_port=0)):
        pass
    return tmp_path / "a"


def _backed_up(folder: Path, to: Path, *more: str | Path) -> Path:
    done = loa("backup", to, "--data-dir", folder, "--json", *more)
    assert done.exit_code == 0, done.output
    return Path(json.loads(done.output)["file"])


def test_a_backup_goes_to_an_empty_folder(stopped: Path, tmp_path: Path) -> None:
    path = _backed_up(stopped, tmp_path)
    assert re.fullmatch(r"loa-\d{8}T\d{6}Z-[0-9a-f]{4}\.tar", path.name)
    done = loa("restore", path, "--data-dir", tmp_path / "b", "--root", stopped / "keys")
    assert done.exit_code == 0, done.output
    assert "the old ones are revoked" in done.output
    again = loa("restore", path, "--data-dir", tmp_path / "b")
    assert isinstance(again.exception, ConfigError)
    assert "--force" in str(again.exception)
    assert loa("restore", path, "--data-dir", tmp_path / "b", "--force", "--keep-order-key").exit_code == 0
    assert not (tmp_path / "b" / STAGE).exists()


def test_a_backup_is_told_in_the_audit_log_and_warns(stopped: Path, tmp_path: Path) -> None:
    done = loa("backup", tmp_path / "x.tar", "--data-dir", stopped, "--with-root")
    assert done.exit_code == 0, done.output
    assert "CẢNH BÁO" in done.output
    assert "no passphrase" in done.output
    said = json.loads(loa("restore", tmp_path / "x.tar", "--data-dir", tmp_path / "b", "--json").output)
    assert said["keys"] == "new"
    second = json.loads(loa("backup", tmp_path / "y.tar", "--data-dir", tmp_path / "b", "--json").output)
    assert second["rows"] > said["rows"]


def test_under_a_passphrase_that_others_cannot_read(stopped: Path, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("con ngựa thành Troy\n")
    secret.chmod(0o644)
    open_file = loa("backup", tmp_path / "x", "--data-dir", stopped, "--passphrase-file", secret)
    assert "0600" in str(open_file.exception)
    secret.chmod(0o600)
    path = _backed_up(stopped, tmp_path, "--passphrase-file", secret)
    assert path.name.endswith(".tar.sealed")
    without = loa("restore", path, "--data-dir", tmp_path / "b")
    assert "--passphrase-file" in str(without.exception)
    done = loa("restore", path, "--data-dir", tmp_path / "b", "--passphrase-file", secret)
    assert done.exit_code == 0, done.output
    assert "loa keys request" in done.output


async def test_a_core_does_not_start_on_what_is_half_restored(stopped: Path) -> None:
    (stopped / STAGE).mkdir()
    (stopped / STAGE / "keys").mkdir()
    with pytest.raises(ConfigError, match="a restore into"):
        async with Core(settings.load(data_dir=stopped, http_port=0, media_port=0)):
            pass


def test_nothing_is_restored_under_a_running_core(stopped: Path, tmp_path: Path) -> None:
    path = _backed_up(stopped, tmp_path)
    with folder_lock(stopped):
        done = loa("restore", path, "--data-dir", stopped, "--force")
    assert "Stop the core first" in str(done.exception)


async def test_sound_that_is_missing_shows_in_the_exit_code(tmp_path: Path) -> None:
    core = await standing(sqlite_address(tmp_path / "a" / "loa.sqlite"), tmp_path / "a")
    core.sound(1).unlink()
    made = await asyncio.to_thread(loa, "backup", tmp_path / "x.tar", "--data-dir", tmp_path / "a")
    assert (made.exit_code, "MISSING" in made.output) == (3, True)
    arguments = ("restore", tmp_path / "x.tar", "--data-dir", tmp_path / "b", "--keep-order-key")
    done = await asyncio.to_thread(loa, *arguments)
    assert (done.exit_code, "MISSING" in done.output) == (3, True)


def test_without_a_core_nothing_is_made(tmp_path: Path) -> None:
    assert loa("backup", tmp_path / "x.tar", "--data-dir", tmp_path / "none").exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_every_step_and_every_state_of_keys_has_words() -> None:
    assert set(WORDS) == set(Step)
    assert set(KEY_WORDS) == set(KeysAre)
