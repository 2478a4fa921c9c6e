"""The dashboard asks only for what is exported, in a language that Prometheus reads, of the source it is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from loa.monitoring.catalogue import families
from tests.deploy.promql import complaints, metrics

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
OF_PROCESSES = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "loa_media_process_cpu_seconds_total",
    "loa_media_process_resident_memory_bytes",
}


def panels() -> list[dict[str, Any]]:
    """All panels but the rows."""
    board = json.loads((FOLDER / "dashboards" / "loa.json").read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_every_expression_is_one(tmp_path: Path) -> None:
    assert len(expressions()) > 30
    assert complaints(expressions(), tmp_path) == ""


def test_it_asks_only_for_what_is_exported() -> None:
    assert set().union(*map(metrics, expressions())) <= set(families()) | OF_PROCESSES


def test_every_query_of_a_panel_has_a_name_of_its_own_and_every_panel_a_number() -> None:
    for panel in panels():
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names) > 0, panel["title"]
        assert all(names), panel["title"]
    numbers = [panel["id"] for panel in panels()]
    assert len(set(numbers)) == len(numbers)


def test_panels_stand_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_it_asks_the_source_that_is_provisioned() -> None:
    (source,) = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    asked = {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]}
    assert asked == {source["uid"]}
