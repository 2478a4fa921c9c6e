"""What a container runtime asks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from loa import config as settings
from loa.app.core import Core
from loa.app.healthcheck import main


async def _asked(url: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "loa.app.healthcheck", url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"http_proxy": "http://127.0.0.1:9", "PYTHONPATH": ":".join(sys.path)},
    )


async def test_it_is_0_when_the_core_answers_and_1_with_the_reason_when_not(tmp_path: Path) -> None:
    async with Core(settings.load(data_dir=tmp_path, http_port=0, min_free_bytes=1 << 60)) as core:
        url = f"http://127.0.0.1:{core.http_port}"
        well = await _asked(f"{url}/healthz")
        assert (well.returncode, well.stderr) == (0, "")
        lacking = await _asked(f"{url}/readyz")
        assert lacking.returncode == 1
        assert "503" in lacking.stderr
        assert "min_free_bytes" in lacking.stderr
    gone = await _asked(f"{url}/healthz")
    assert gone.returncode == 1
    assert "refused" in gone.stderr


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["a", "b"], 2), (["no-url"], 1), (["http://["], 1)])
def test_what_is_no_address_is_told(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    assert capsys.readouterr().err
