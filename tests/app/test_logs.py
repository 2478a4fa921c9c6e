"""Logs: one line an event whoever wrote it, and nothing secret in them whatever happens."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from loa.app.api_client import ApiClient, ApiError
from loa.app.demo.stage import SpeakerPlan, Stage
from loa.config import load
from loa.errors import ConfigError

_PROGRAM = """
import logging, sys, warnings
import structlog
from loa.app.logs import log_to_stderr
log_to_stderr(sys.argv[1], sys.argv[2])
structlog.get_logger("loa.test").debug("private")
structlog.get_logger("loa.test").info("phát thanh", area="Phù Liễn\\nInjected")
library = logging.getLogger("aiohttp.server")
library.info("chatter")
library.warning("slow %s", "client")
library.warning("%d of %d", "text")
try:
    1 / 0
except ZeroDivisionError:
    library.exception("request failed")
warnings.warn("old", DeprecationWarning, stacklevel=1)
"""


def lines(level: str, form: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", _PROGRAM, level, form],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.parametrize("form", ["json", "auto"])
def test_everything_is_one_json_object_a_line(form: str) -> None:
    said = [json.loads(line) for line in lines("info", form)]
    assert [(entry["logger"], entry["level"]) for entry in said] == [
        ("loa.test", "info"),
        ("aiohttp.server", "warning"),
        ("aiohttp.server", "warning"),
        ("aiohttp.server", "error"),
        ("py.warnings", "warning"),
    ]
    assert [entry["event"] for entry in said[:4]] == ["phát thanh", "slow client", "%d of %d", "request failed"]
    assert said[0]["area"] == "Phù Liễn\nInjected"
    assert "ZeroDivisionError" in said[3]["exception"]
    assert "DeprecationWarning: old" in said[4]["event"]
    assert all(entry["timestamp"].endswith("Z") for entry in said)


def test_levels_hold_for_all_and_libraries_never_chatter() -> None:
    assert [json.loads(line)["event"] for line in lines("debug", "json")][:3] == [
        "private",
        "phát thanh",
        "slow client",
    ]
    assert [json.loads(line)["level"] for line in lines("error", "json")] == ["error"]


def test_a_person_gets_readable_lines_without_colours_in_a_file() -> None:
    said = lines("info", "console")
    assert "phát thanh" in said[0]
    assert not said[0].startswith("{")
    assert "\x1b" not in "".join(said)


@pytest.mark.parametrize("values", [{"log_level": "loud"}, {"log_format": "xml"}])
def test_a_level_or_a_format_that_is_none_is_an_error_that_names_it(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"settings: {next(iter(values))}: Input should be"):
        load(None, **values)


async def test_no_secret_is_in_the_log_of_a_core_that_did_everything(tmp_path: Path) -> None:
    secrets: list[str] = []
    async with Stage(tmp_path, core_options=["--log-level=debug"]) as stage:
        await stage.open_core()
        data = tmp_path / "core"
        secrets.append(_text(data / "admin.token"))
        await stage.build_areas("Hải Phòng", [("Kiến An", ["Phù Liễn"])])
        await stage.add_speaker(SpeakerPlan("Cụm loa 1", 0, 0, 0))
        made = await stage.api.call("POST", "/api/v1/tokens", {"name": "ops", "role": "ops"})
        secrets.append(made["token"])
        secrets.append(await stage.api.enrolment_code(stage.communes[0], "Cụm loa 2"))
        secrets.append("no-token-of-ours-at-all")
        async with ApiClient(stage.url, secrets[-1]) as stranger:
            with pytest.raises(ApiError, match="401"):
                await stranger.call("GET", "/api/v1/areas")
        async with aiohttp.ClientSession() as session:
            bad = {"code_id": 1, "device_key": secrets[0]}
            async with session.post(f"{stage.url}/api/v1/enrolments/claim", json=bad) as answer:
                assert answer.status == 422
            async with session.get(f"{stage.url}/api/v1/areas", headers={"Authorization": secrets[1]}) as answer:
                assert answer.status == 401
        assert stage.core is not None
        await stage.core.stop()
        for key in ("root.key", "order.key"):
            raw = (data / "keys" / key).read_bytes()
            secrets += [raw.hex(), base64.b64encode(raw).decode(), str(raw)]
        log = _text(stage.core.log)
    assert [json.loads(line) for line in log.splitlines()], "an empty log proves nothing"
    for secret in secrets:
        assert secret not in log
        assert secret.replace("-", "") not in log


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
