"""What a role needs is asked for by name, and the examples of the documents are good."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from loa import config as settings
from loa.app.api_process import ApiProcess
from loa.app.core import Core
from loa.app.roles import check_role, cluster_secret
from loa.errors import ConfigError
from loa.timing.clock import SystemClock

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "cluster.md"
GOOD: dict[str, Any] = {
    "database_url": "postgresql://loa@db/loa",
    "redis_url": "redis://host",
    "cluster_secret_file": "/secret",
    "core_url": "http://core:8080",
    "media_advertise": "core",
    "audio_dir": "/audio",
}


def test_the_documents_examples_can_be_played() -> None:
    examples = [tomllib.loads(text) for text in re.findall("```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)]
    assert [example["role"] for example in examples] == ["core", "api"]
    for example in examples:
        check_role(settings.load(**example))


def test_everything_on_one_machine_needs_nothing() -> None:
    check_role(settings.load())
    check_role(settings.load(redis_url="redis://host"))


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("core", ["database_url", "redis_url", "cluster_secret_file", "media_advertise"]),
        ("api", ["database_url", "redis_url", "cluster_secret_file", "core_url", "audio_dir"]),
    ],
)
def test_what_is_missing_is_named(role: str, names: list[str]) -> None:
    check_role(settings.load(role=role, **GOOD))
    for name in names:
        rest = {key: value for key, value in GOOD.items() if key != name}
        with pytest.raises(ConfigError, match=f"^{name}: role {role} needs it"):
            check_role(settings.load(role=role, **rest))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "sqlite:////var/lib/loa.sqlite"),
        ("redis_url", "redis//host"),
        ("core_url", "core:8080"),
        ("core_url", "ftp://core"),
        ("core_url", "http://core:99999"),
        ("core_url", "http://core/api"),
        ("core_url", "http://user@core"),
        ("core_url", "http://[core"),
        ("role", "relay"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        check_role(settings.load(**({"role": "api", **GOOD} | {name: value})))


def test_the_secret_is_for_nobody_else_and_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    config = settings.load(cluster_secret_file=path)
    assert cluster_secret(settings.load(), SystemClock()) is None
    for content, mode, why in (
        ("", None, "No such file"),
        ("s" * 64, 0o644, "chmod 600"),
        ("s" * 31, 0o600, "needs 32"),
    ):
        if mode is not None:
            path.write_text(content)
            path.chmod(mode)
        with pytest.raises(ConfigError, match=f"^cluster_secret_file: .*{why}"):
            cluster_secret(config, SystemClock())
    path.write_text("s" * 32 + "\n")
    assert cluster_secret(config, SystemClock()) is not None


async def test_a_role_that_cannot_be_played_does_not_start(tmp_path: Path) -> None:
    for process in (Core(settings.load(role="core", data_dir=tmp_path)), ApiProcess(settings.load(role="api"))):
        with pytest.raises(ConfigError, match="database_url: role"):
            async with process:
                pass
