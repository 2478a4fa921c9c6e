"""/metrics: plain counters of the hot paths, read when scraped. Never an endpoint's id or address as a label."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from loa import __version__
from loa.monitoring.catalogue import COUNTERS, FALLING, GAUGES

Counters = Mapping[str, int]


class LoaCollector(Collector):
    """Turns counters and gauges into families: `loa_<room>_<name>`, `loa_<name>`."""

    def __init__(
        self, counters: Callable[[], Mapping[str, Counters]], gauges: Callable[[], Mapping[str, float]]
    ) -> None:
        """`counters` by room and name; `gauges` by full name without the prefix."""
        self._counters = counters
        self._gauges = gauges
        self._started_s = time.time()

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """One family for each name. A counter of the catalogue that has not counted yet is 0, not missing."""
        info = GaugeMetricFamily("loa_build_info", "The version that runs.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        counted = self._counters()
        for room in sorted({*COUNTERS, *counted}):
            known, values = COUNTERS.get(room, {}), counted.get(room, {})
            for name in sorted({*known, *values}):
                family = GaugeMetricFamily if name in FALLING.get(room, ()) else CounterMetricFamily
                text = known.get(name, f"{name} in {room}.")
                yield family(f"loa_{room}_{name}", text, value=values.get(name, 0))
        for name, gauge in sorted({"start_time_seconds": self._started_s, **self._gauges()}.items()):
            yield GaugeMetricFamily(f"loa_{name}", GAUGES.get(name, f"{name}."), value=gauge)


def make_exporter(
    counters: Callable[[], Mapping[str, Counters]],
    gauges: Callable[[], Mapping[str, float]],
    media_pid: Callable[[], int],
) -> Callable[[], bytes]:
    """A function that gives the text of /metrics. `media_pid`: 0 while there is no media process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LoaCollector(counters, gauges))
    ProcessCollector(registry=registry)
    ProcessCollector(namespace="loa_media", pid=media_pid, registry=registry)
    return lambda: generate_latest(registry)
