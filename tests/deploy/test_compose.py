"""The compose files: what they start is shut tight, watched, and told nothing secret by the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from loa.config import CoreConfig
from tests.deploy.test_systemd import settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILES = ("compose.yaml", "compose.host.yaml")
SECRET = re.compile("password|secret|token|auth|passwd", re.IGNORECASE)


def compose(name: str = "compose.yaml") -> dict[str, Any]:
    """The file, anchors followed."""
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return loaded


SERVICES: dict[str, dict[str, Any]] = compose()["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_shut_tight_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["pids_limit"] > 0
    assert service["logging"]["options"]["max-size"]
    assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_version(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert image
    assert tag not in ("", "latest")


@pytest.mark.parametrize("file", FILES)
def test_nothing_but_the_voice_listens_beyond_this_machine(file: str) -> None:
    for name, service in compose(file)["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:") or (name == "core" and port == "5004:5004/udp"), (name, port)


def test_the_port_of_the_voice_is_the_same_inside_and_outside() -> None:
    port = SERVICES["core"]["environment"]["LOA_MEDIA_PORT"]
    assert f"{port}:{port}/udp" in SERVICES["core"]["ports"]


@pytest.mark.parametrize("file", FILES)
def test_no_password_stands_in_the_file(file: str) -> None:
    text = (DEPLOY / file).read_text(encoding="utf-8")
    for line in text.splitlines():
        if SECRET.search(line) and not line.strip().startswith("#") and line.strip() != "secrets:":
            # Either it comes from the environment, or it names a file or a method.
            assert re.search(r"\$\{\w+:\?|loa_metrics_token|\./secrets/|scram-sha-256", line), line


def test_every_value_asked_of_the_environment_stands_in_its_example_and_is_empty_there() -> None:
    text = "".join((DEPLOY / file).read_text(encoding="utf-8") for file in FILES)
    asked = set(re.findall(r"\$\{(\w+)", text)) - {"LOA_TAG"}
    example = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(example) == asked
    assert set(example.values()) == {""}


def test_what_is_secret_belongs_into_no_commit() -> None:
    for name in ("deploy/.env", "deploy/secrets/loa-metrics-token"):
        assert subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False).returncode == 0, name


@pytest.mark.parametrize("file", FILES)
def test_the_core_is_told_settings_that_it_has(file: str) -> None:
    told = {
        name.removeprefix("LOA_").lower()
        for name in compose(file)["services"]["core"]["environment"]
        if name != "PGPASSWORD"
    }
    assert told <= set(CoreConfig.model_fields)


def test_every_volume_secret_and_dependency_is_there() -> None:
    whole = compose()
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), volume
            else:
                assert source in whole["volumes"], volume
        assert set(service.get("secrets", [])) <= set(whole["secrets"]), name
        assert set(service.get("depends_on", {})) <= set(SERVICES), name


def test_what_lies_above_names_services_that_are_there() -> None:
    assert set(compose("compose.host.yaml")["services"]) <= set(SERVICES)


def test_it_waits_as_long_as_systemd_does() -> None:
    (stop,) = settings("loa.service")["TimeoutStopSec"]
    assert SERVICES["core"]["stop_grace_period"] == f"{stop}s"


def test_the_source_of_the_dashboards_and_the_target_of_prometheus_are_services() -> None:
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    target = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"][0]
    assert target["static_configs"][0]["targets"] == ["core:8080"]
    (secret,) = SERVICES["prometheus"]["secrets"]
    assert target["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
