"""`loa upload`: a file becomes a programme, and what is wrong is one line."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from loa import config as settings
from loa.app.api_client import ApiClient, ApiError
from loa.app.core import Core
from loa.app.uploading import Seen, upload_watched
from tests import sounds

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def core(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Core]:
    config = settings.load(data_dir=tmp_path_factory.mktemp("core"), http_port=0, media_port=0)
    async with Core(config) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(core: Core) -> AsyncIterator[ApiClient]:
    token = core.admin_token_file.read_text(encoding="utf-8").strip()
    async with ApiClient(f"http://127.0.0.1:{core.http_port}", token) as client:
        yield client


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "Bản tin sáng.wav"
    path.write_bytes(sounds.wav(sounds.siren(2.0)))
    return path


@pytest.fixture
def long_sound(tmp_path: Path) -> Path:
    path = tmp_path / "dài.wav"
    path.write_bytes(sounds.wav(sounds.siren(40.0)))
    return path


async def loa(core: Core, *arguments: str | Path, url: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loa", *arguments, "--core", url or f"http://127.0.0.1:{core.http_port}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"LOA_TOKEN": core.admin_token_file.read_text(encoding="utf-8").strip()},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_file_becomes_a_programme_of_an_area(core: Core, api: ApiClient, sound: Path) -> None:
    area = await api.create_area("Phù Liễn", "commune")
    code, out, err = await loa(core, "upload", sound, "--class", "priority", "--area", area)
    assert (code, "Xong · Done" in err) == (0, True), err
    made = await api.call("GET", f"/api/v1/programmes/{out.strip()}")
    assert (made["title"], made["class"], made["area_id"]) == ("Bản tin sáng", "priority", area)


async def test_what_is_wrong_is_one_line_and_a_code(core: Core, sound: Path, tmp_path: Path) -> None:
    text = tmp_path / "notice.txt"
    text.write_bytes(b"Khong phai am thanh" * 100)
    code, out, err = await loa(core, "upload", text)
    assert (code, out) == (1, "")
    assert "422 not audio" in err.splitlines()[-1]
    code, _, err = await loa(core, "upload", sound, "--class", "loud")
    assert (code, "422 invalid" in err) == (1, True)
    code, _, err = await loa(core, "upload", sound, url="http://127.0.0.1:1")
    assert (code, "unreachable" in err) == (1, True)
    code, _, err = await loa(core, "upload", tmp_path / "nowhere.wav")
    assert code == 2
    code, _, err = await loa(core, "upload", sound, "--token-file", tmp_path / "no token")
    assert (code, "Traceback" in err) == (1, False)


async def test_who_uploads_sees_it_come_and_be_made(
    api: ApiClient, long_sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loa.app.uploading.LOOK_S", 0.02)
    seen: list[Seen] = []
    made = await upload_watched(api, long_sound, "Bản tin", "routine", None, seen.append)
    order = ["receiving", "queued", "measuring", "encoding", "done"]
    states = [each.state for each in seen]
    assert states == sorted(states, key=order.index)
    assert {"queued", "measuring", "encoding"} & set(states)
    assert seen[-1] == Seen("done", 1.0)
    assert all(0 <= each.share <= 1 for each in seen)
    assert (await api.call("GET", f"/api/v1/programmes/{made['id']}"))["title"] == "Bản tin"
    with pytest.raises(ApiError):
        await upload_watched(api, long_sound, "", "routine", None, seen.append)
    assert seen[-1].state == "failed"
