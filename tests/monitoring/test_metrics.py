"""/metrics says of each value whether it only grows."""

from __future__ import annotations

from loa.broadcast.air import air_counters
from loa.monitoring.metrics import make_exporter


def test_what_can_go_down_is_a_gauge_and_what_only_grows_a_counter() -> None:
    values = dict.fromkeys(air_counters.NAMES, 7)
    export = make_exporter(lambda: {"media": values, "hub": {"links": 3}}, lambda: {"endpoints_linked": 2})
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
