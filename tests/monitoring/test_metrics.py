"""/metrics says of each value what it is and whether it only grows."""

from __future__ import annotations

import os
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from loa import config as settings
from loa.app.core import Core
from loa.broadcast.air import air_counters
from loa.monitoring import catalogue
from loa.monitoring.metrics import make_exporter

ROOT = Path(__file__).resolve().parents[2]


def test_what_can_go_down_is_a_gauge_and_what_only_grows_a_counter() -> None:
    values = dict.fromkeys(air_counters.NAMES, 7)
    export = make_exporter(
        lambda: {"media": values, "hub": {"links": 3}}, lambda: {"endpoints_linked": 2}, os.getpid
    )
    lines = export().decode().splitlines()
    for name in air_counters.NAMES:
        if name in air_counters.GAUGES:
            assert {f"# TYPE loa_media_{name} gauge", f"loa_media_{name} 7.0"} <= set(lines), name
        else:
            assert {f"# TYPE loa_media_{name}_total counter", f"loa_media_{name}_total 7.0"} <= set(lines), name
    assert {"loa_hub_links_total 3.0", "loa_endpoints_linked 2.0"} <= set(lines)


def test_gauges_are_names_that_are_kept() -> None:
    assert set(air_counters.NAMES) >= air_counters.GAUGES
    assert {"channels", "channels_bound", "buffers_small", "dscp_unset", "priority_unset"} <= air_counters.GAUGES


def test_what_has_not_counted_yet_is_zero_and_what_is_not_known_is_told_all_the_same() -> None:
    export = make_exporter(lambda: {"hub": {"refused_new": 1}}, dict, lambda: 0)
    lines = export().decode().splitlines()
    assert {"loa_core_media_restarts_total 0.0", "loa_hub_refused_new_total 1.0"} <= set(lines)


def test_both_processes_are_told_of_and_one_that_is_not_there_is_not() -> None:
    here = make_exporter(dict, dict, os.getpid)().decode()
    assert "\nprocess_resident_memory_bytes " in here
    assert "\nloa_media_process_resident_memory_bytes " in here
    gone = make_exporter(dict, dict, lambda: 0)().decode()
    assert "\nprocess_resident_memory_bytes " in gone
    assert "loa_media_process_resident_memory_bytes" not in gone


def test_every_help_is_a_sentence() -> None:
    for name, text in catalogue.families().items():
        assert text[0].isupper() or text[0].isdigit(), name
        assert text.endswith("."), name


async def test_a_running_core_exports_what_the_catalogue_says_and_nothing_else(tmp_path: Path) -> None:
    nowhere = "redis://127.0.0.1:1"  # it need not be there to be told of
    async with Core(settings.load(data_dir=tmp_path, http_port=0, redis_url=nowhere)) as core:
        exported = make_exporter(core._counters, core._gauges, os.getpid)().decode()
        told = {family.name: family.documentation for family in text_string_to_metric_families(exported)}
    ours = {name: text for name, text in told.items() if "process_" not in name}
    expected = {name.removesuffix("_total"): text for name, text in catalogue.families().items()}
    assert ours == expected | {"loa_build_info": "The version that runs."}


def test_what_is_counted_in_the_code_stands_in_the_catalogue() -> None:
    for room, path in (("air", "air/director.py"), ("hub", "air/hub.py"), ("receipts", "orders/receipts.py")):
        source = (ROOT / "loa" / "broadcast" / path).read_text(encoding="utf-8")
        names = set(re.findall(r'(?:self\.counters|tally)\["(\w+)"\]', source))
        assert names, path
        assert names <= set(catalogue.COUNTERS[room]), path
