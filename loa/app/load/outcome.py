"""A load run in figures: from what was counted to what people and programs read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loa.app.load.acceptance import Check, Limits, accepted, judge
from loa.app.load.histogram import Histogram
from loa.app.load.plan import LoadPlan
from loa.app.load.tally import DOORS, Tally

FORM = "loa-load/1"
SOUND = (
    "played",
    "repaired",
    "recovered",
    "concealed",
    "unsigned",
    "missing",
    "late",
    "preempted",
    "dropped",
)
"""What became of the sample's frames and packets."""
ROUNDS_PER_S = 100
BLOCKS_PER_S = 10


@dataclass
class Observed:
    """What the run saw beside the tally. `core_before`, `core_after`: the core's metrics, if it told any."""

    core_url: str
    started_at: str = ""
    enrolled: int = 0
    enrol_s: float = 0.0
    join_s: float = 0.0
    measured_s: float = 0.0
    ran_s: float = 0.0
    broadcasts: list[dict[str, Any]] = field(default_factory=list)
    core_before: Mapping[str, float] = field(default_factory=dict)
    core_after: Mapping[str, float] = field(default_factory=dict)
    interrupted: bool = False
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """The run, judged."""

    figures: Mapping[str, Any]
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether it was run to its end, and every limit that could be judged holds."""
        return accepted(self.checks) and not self.figures["interrupted"] and not self.figures["errors"]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "form": FORM,
            "passed": self.passed,
            **self.figures,
            "checks": [check.to_json() for check in self.checks],
        }


def outcome(plan: LoadPlan, tally: Tally, seen: Observed, limits: Limits) -> Outcome:
    """Everything that is known of a run."""
    gauges, counts = tally.gauges, tally.counts
    orders = _orders(tally)
    core = _core(seen)
    spread = tally.frames.spread_us(max(2, gauges["sampled"] // 2))
    frames = {name: gauges[f"sample_{name}"] for name in SOUND}
    wanted = frames["played"] + frames["recovered"] + frames["concealed"]
    packets = counts["sample_packets"] + frames["missing"]
    rounds = seen.measured_s * ROUNDS_PER_S * max(1, gauges["processes"])
    blocks = seen.measured_s * BLOCKS_PER_S * gauges["sampled"]
    late = [
        100 * count / of
        for count, of in ((counts["rounds_late"], rounds), (counts["sample_underruns"], blocks))
        if of
    ]
    measured: dict[str, float | None] = {
        "not_bound": gauges["endpoints"] - gauges["bound"] - gauges["away"] - gauges["joining"],
        "links_lost": counts["links_lost"],
        "join_p99_ms": _ms(tally.join_us, 0.99),
        "missing_percent": 100 * frames["missing"] / packets if packets else None,
        "concealed_percent": 100 * frames["concealed"] / wanted if wanted else None,
        "spread_p99_ms": _ms(spread, 0.99),
        "jitter_p99_ms": _ms(tally.jitter_us, 0.99),
        "order_p99_ms": _ms(orders["first"], 0.99),
        "receipt_p99_ms": _ms(orders["acknowledged"], 0.99),
        "ticks_late": core.get("ticks_late_20ms"),
        "frames_skipped": core.get("frames_skipped"),
        "generator_late_percent": max(late, default=None),
    }
    figures = {
        "started_at": seen.started_at,
        "core": seen.core_url,
        "plan": plan.to_json(),
        "interrupted": seen.interrupted,
        "errors": list(seen.errors),
        "seconds": {
            "enrol": round(seen.enrol_s, 3),
            "join": round(seen.join_s, 3),
            "measured": round(seen.measured_s, 3),
        },
        "enrolled": seen.enrolled,
        "endpoints": {name: gauges[name] for name in ("endpoints", "linked", "bound", "away", "sampled")},
        "links": {
            "joins": counts["joins"],
            "leaves": counts["leaves"],
            "lost": counts["links_lost"],
            "refused": counts["links_refused"],
            "reasons": {name: count for name, count in counts.items() if name.startswith(("lost: ", "refused: "))},
        },
        "frames": {**frames, "packets": counts["sample_packets"], "distinct": len(tally.frames)},
        "ms": {
            "join": summary_ms(tally.join_us),
            "spread": summary_ms(spread),
            "jitter": summary_ms(tally.jitter_us),
            "clock_error": summary_ms(tally.clock_error_us),
            **{f"order_{name}": summary_ms(times) for name, times in orders.items()},
        },
        "orders": len(tally.orders),
        "broadcasts": seen.broadcasts,
        "sent": {
            name: counts[name]
            for name in (
                "statuses",
                "probes",
                "probe_replies",
                "nacks",
                "receipts_sent",
                "receipts_acked",
                "datagrams_unsent",
                "orders_not_obeyed",
            )
        },
        "sink_packets": gauges["sink_packets"],
        "generator": {
            "processes": [
                {"cpu": round(gauges[name] / 1000 / seen.ran_s, 3) if seen.ran_s else None}
                for name in sorted(gauges)
                if name.startswith("cpu_ms_of_process_")
            ],
            "rss_bytes": gauges["rss_bytes"],
            "rounds_late": counts["rounds_late"],
            "underruns": counts["sample_underruns"],
        },
        "core_figures": core,
    }
    return Outcome(figures, judge(measured, limits))


def _orders(tally: Tally) -> dict[str, Histogram]:
    """Of all orders together: each door, whichever was first, and the stored receipt; µs after the issue."""
    whole = {name: Histogram() for name in (*DOORS, "first", "acknowledged")}
    for times in tally.orders.values():
        for door in DOORS:
            whole[door].merge(times.by_door[door])
        whole["first"].merge(times.first)
        whole["acknowledged"].merge(times.acknowledged)
    return whole


def _core(seen: Observed) -> dict[str, float]:
    """What the core says of itself: counters as they grew while it was measured, gauges as they stand."""
    before, after = seen.core_before, seen.core_after
    told: dict[str, float] = {}
    for name in (
        "ticks",
        "ticks_late_2ms",
        "ticks_late_20ms",
        "frames_sent",
        "frames_skipped",
        "packets_sent",
        "send_refused",
        "repaired_packets",
        "orders_sent",
    ):
        metric = f"loa_media_{name}_total"
        if metric in before and metric in after:
            told[name] = after[metric] - before[metric]
    for name, metric in (
        ("cpu", "process_cpu_seconds_total"),
        ("media_cpu", "loa_media_process_cpu_seconds_total"),
    ):
        if metric in before and metric in after and seen.measured_s:
            told[name] = round((after[metric] - before[metric]) / seen.measured_s, 4)
    for name, metric in (
        ("rss_bytes", "process_resident_memory_bytes"),
        ("media_rss_bytes", "loa_media_process_resident_memory_bytes"),
    ):
        if metric in after:
            told[name] = after[metric]
    return told


def summary_ms(times_us: Histogram) -> dict[str, float | int | None]:
    """How many there are, and p50, p99 and the most of them in ms."""
    return {
        "count": times_us.count,
        "p50": _ms(times_us, 0.5),
        "p99": _ms(times_us, 0.99),
        "max": times_us.most / 1000 if times_us.count else None,
    }


def _ms(times_us: Histogram, share: float) -> float | None:
    value = times_us.quantile(share)
    return None if value is None else value / 1000
