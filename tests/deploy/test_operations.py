"""docs/operations.md names what is there, and all of it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from loa.app.service import EXIT_ON_THE_SPOT
from loa.monitoring.catalogue import families
from loa.monitoring.readiness import MEDIA_SILENT_S
from tests.deploy.test_systemd import EXPOSURE, settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_metric_is_told_and_no_other() -> None:
    assert dict(re.findall(r"^\| `(loa_\w+)` \| (.*) \|$", TEXT, re.MULTILINE)) == families()


def test_every_alert_is_told_with_its_severity_and_no_other() -> None:
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text(encoding="utf-8"))["groups"]
    rules = {rule["alert"]: rule["labels"]["severity"] for group in groups for rule in group["rules"]}
    assert dict(re.findall(r"^\| `(Loa\w+)` \| (\w+) \|", TEXT, re.MULTILINE)) == rules


def test_files_of_the_repository_are_there() -> None:
    named = set(re.findall(r"\b(?:deploy|requirements)/[\w./@-]*\w", TEXT))
    made = {"deploy/.env", "deploy/secrets/loa-metrics-token"}
    assert len(named) > 10
    assert {name for name in named - made if not (ROOT / name).exists()} == set()


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    for file, anchor in re.findall(r"\]\(([\w.]*)(?:#([^)]*))?\)", TEXT):
        if file:
            other = (ROOT / "docs" / file).read_text(encoding="utf-8").lower()
            assert not anchor or anchor.replace("-", " ") in other, (file, anchor)
        else:
            assert anchor in headings, anchor


def test_its_figures_are_those_of_the_code() -> None:
    assert f"scores it {EXPOSURE['loa.service']} of 10" in TEXT
    assert f"unit {EXPOSURE['loa-speaker@.service']};" in TEXT
    assert f"exit code {EXIT_ON_THE_SPOT}" in TEXT
    assert f"said nothing for {MEDIA_SILENT_S:.0f} s and" in TEXT
    (watchdog,) = settings("loa.service")["WatchdogSec"]
    assert f"every {int(watchdog) // 2} s that it lives" in TEXT
    port = tomllib.loads((ROOT / "deploy/loa.toml").read_text(encoding="utf-8"))["media_port"]
    assert f"cổng UDP {port}" in TEXT
    assert f"UDP {port}) is open" in TEXT
