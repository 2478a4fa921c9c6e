"""`loa check audio`: what it says of a core's data folder, and its exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loa import config as settings
from loa.app.api_client import ApiClient
from loa.app.core import Core
from tests import sounds


async def filled(folder: Path, sound: Path) -> str:
    """A core's data folder with one programme in it; the SHA-256 of its sound."""
    async with Core(settings.load(data_dir=folder, http_port=0, media_port=0)) as core:
        token = core.admin_token_file.read_text(encoding="utf-8").strip()
        async with ApiClient(f"http://127.0.0.1:{core.http_port}", token) as api:
            return str((await api.upload("Bản tin sáng", sound))["sha256"])


def checked(folder: Path) -> tuple[int, list[str], str]:
    """Exit code, lines of output, standard error."""
    command = [sys.executable, "-m", "loa", "check", "audio", "--data-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "siren.wav"
    path.write_bytes(sounds.wav(sounds.siren(0.5)))
    return path


async def test_the_check_says_what_is_wrong_and_whether_anything_is(tmp_path: Path, sound: Path) -> None:
    folder = tmp_path / "data"
    sha256 = await filled(folder, sound)
    assert checked(folder) == (
        0,
        ["1 nguyên vẹn · whole, 0 thiếu · missing, 0 hỏng · damaged, 0 thừa · orphan"],
        "",
    )
    file = folder / "audio" / sha256[:2] / f"{sha256}.ogg"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    code, lines, _ = checked(folder)
    assert (code, lines[0]) == (1, f"HỎNG · DAMAGED  {sha256}  Bản tin sáng")
    orphan = file.with_name(f"{sha256[:-4]}0000.ogg")
    file.rename(orphan)
    code, lines, _ = checked(folder)
    assert code == 1
    assert f"THIẾU · MISSING  {sha256}  Bản tin sáng" in lines
    file.write_bytes(whole)
    assert checked(folder)[0] == 1  # the orphan's name is not its hash either


def test_a_folder_without_a_store_is_told(tmp_path: Path) -> None:
    code, lines, error = checked(tmp_path)
    assert (code, lines, len(error.splitlines())) == (1, [], 1)
    assert not (tmp_path / "loa.sqlite").exists()
