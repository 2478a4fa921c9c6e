"""The Dockerfile and what builds it, as far as can be read; `make image` builds and tries it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from loa.config import CoreConfig
from tests.deploy.test_compose import SERVICES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
LAST = TEXT[TEXT.rindex("FROM ") :]


def values(name: str, of: str = TEXT) -> list[str]:
    return [value for word, value in re.findall(r"^([A-Z]+) +(.*)$", of, re.MULTILINE) if word == name]


def test_every_stage_stands_on_the_same_base() -> None:
    assert {value.split(" AS ")[0] for value in values("FROM")} == {"${BASE}"}


def test_nothing_is_copied_that_the_context_leaves_out() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    for value in values("COPY"):
        *sources, _ = [word for word in value.split() if not word.startswith("--")]
        if "--from=" not in value:
            assert set(sources) <= let_in, value
    for path in let_in:
        assert (ROOT / path).exists(), path


def test_what_runs_is_not_root_and_has_no_way_to_build() -> None:
    assert values("USER", LAST) == ["10001:10001"]
    assert "pip install" not in LAST
    assert "python3-venv" not in LAST


def test_packages_are_those_of_the_lock() -> None:
    (first, second) = re.findall(r"pip install ([^&\n]*)", TEXT)
    assert "--require-hashes -r requirements/cluster.lock" in first
    assert {"--no-index", "--no-deps"} <= set(second.split())


def test_its_settings_ports_and_folder_fit_together_and_fit_the_compose_file() -> None:
    told = dict(re.findall(r"LOA_(\w+)=(\S+)", " ".join(values("ENV", LAST))))
    assert {name.lower() for name in told} <= set(CoreConfig.model_fields)
    assert values("VOLUME") == [told["DATA_DIR"]]
    assert values("EXPOSE") == [f"{told['HTTP_PORT']}/tcp {told['MEDIA_PORT']}/udp"]
    assert SERVICES["core"]["volumes"] == [f"core:{told['DATA_DIR']}"]
    assert str(SERVICES["core"]["environment"]["LOA_MEDIA_PORT"]) == told["MEDIA_PORT"]


def test_it_is_asked_how_it_is_as_the_compose_file_asks() -> None:
    (check,) = values("HEALTHCHECK")
    assert str(SERVICES["core"]["healthcheck"]["test"][1:]).replace("'", '"') in check
    assert values("STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize("script", ["deploy/image.sh", "scripts/debian_packages.sh", ".ci/run"])
def test_scripts_can_be_read(script: str) -> None:
    done = subprocess.run(["bash", "-n", script], cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")
