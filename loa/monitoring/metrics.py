"""/metrics: plain counters of the hot paths, read when scraped. Never an endpoint's id or address as a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from loa import __version__
from loa.broadcast.air import air_counters

Counters = Mapping[str, int]
GAUGES: Mapping[str, frozenset[str]] = {"media": air_counters.GAUGES}
"""Those among a room's counters that go down too, by room."""


class LoaCollector(Collector):
    """Turns counters and gauges into families: `loa_<room>_<name>`."""

    def __init__(
        self, counters: Callable[[], Mapping[str, Counters]], gauges: Callable[[], Mapping[str, float]]
    ) -> None:
        """`counters` by room and name; `gauges` by full name without the prefix."""
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """One family for each name."""
        info = GaugeMetricFamily("loa_build_info", "The version that runs.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        for room, values in sorted(self._counters().items()):
            for name, value in sorted(values.items()):
                family = GaugeMetricFamily if name in GAUGES.get(room, ()) else CounterMetricFamily
                yield family(f"loa_{room}_{name}", f"{name} in {room}.", value=value)
        for name, gauge in sorted(self._gauges().items()):
            yield GaugeMetricFamily(f"loa_{name}", f"{name}.", value=gauge)


def make_exporter(
    counters: Callable[[], Mapping[str, Counters]], gauges: Callable[[], Mapping[str, float]]
) -> Callable[[], bytes]:
    """A function that gives the text of /metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LoaCollector(counters, gauges))
    return lambda: generate_latest(registry)
