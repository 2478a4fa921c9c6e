"""Limits held against what was measured, the figures of a run, and who may be loaded."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from loa.app.load.acceptance import NAMES, Limits, accepted, judge, with_limits
from loa.app.load.core_metrics import parse
from loa.app.load.on_air import bulletin
from loa.app.load.outcome import Observed, outcome
from loa.app.load.plan import LoadPlan
from loa.app.load.tally import Tally
from loa.cli import app
from loa.codecs.ogg_opus import read_ogg_opus
from loa.errors import ConfigError

ALL = [each.name for each in fields(Limits)]


def test_every_limit_has_words_and_a_default() -> None:
    assert list(NAMES) == ALL
    assert all(getattr(Limits(), name) is not None for name in ALL)


@given(st.dictionaries(st.sampled_from(ALL), st.floats(0, 1e6)), st.sets(st.sampled_from(ALL)))
def test_accepted_means_that_nothing_judged_is_over_its_limit(measured: dict[str, float], waived: set[str]) -> None:
    limits = with_limits([f"{name}=none" for name in waived])
    checks = judge(measured, limits)
    over = [name for name, value in measured.items() if name not in waived and value > getattr(Limits(), name)]
    assert accepted(checks) is (not over)
    assert [check.name for check in checks if check.passed is False] == [name for name in ALL if name in over]
    assert all(check.passed is None for check in checks if check.name not in measured)


@pytest.mark.parametrize(
    "text", ["", "spread_p99_ms", "spread=3", "join_p99_ms=x", "join_p99_ms=-1", "ticks_late=inf"]
)
def test_a_limit_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--limit"):
        with_limits([text])


def test_a_limit_is_changed_by_its_name() -> None:
    assert with_limits(["spread-p99-ms=33.5", "ticks_late=none"]) == Limits(spread_p99_ms=33.5, ticks_late=None)


def _run(**gauges: int) -> Tally:
    tally = Tally()
    tally.gauges.update({"endpoints": 10, "bound": 10, "sampled": 4, "processes": 2, **gauges})
    tally.counts["sample_packets"] = 1_000
    tally.gauges["sample_played"] = 1_000
    for index in range(100):
        for at_ns in (0, 1_000_000, 2_000_000):
            tally.frames.add(7, index, at_ns)
    return tally


def test_a_clean_run_is_accepted_and_is_json() -> None:
    seen = Observed(
        "http://127.0.0.1",
        measured_s=10,
        ran_s=20,
        core_before={"loa_media_ticks_late_20ms_total": 3, "process_cpu_seconds_total": 1.0},
        core_after={"loa_media_ticks_late_20ms_total": 3, "process_cpu_seconds_total": 6.0},
    )
    result = outcome(LoadPlan(10), _run(), seen, Limits())
    assert result.passed
    told = json.loads(json.dumps(result.to_json()))
    assert told["passed"] is True
    assert told["ms"]["spread"] == {"count": 100, "p50": 2.0, "p99": 2.0, "max": 2.0}
    assert told["core_figures"]["cpu"] == 0.5
    assert {check["name"] for check in told["checks"]} == set(ALL)


@pytest.mark.parametrize(
    ("gauges", "seen", "name"),
    [
        ({"bound": 9}, {}, "not_bound"),
        ({"sample_missing": 5}, {}, "missing_percent"),
        ({"sample_concealed": 50}, {}, "concealed_percent"),
        (
            {},
            {
                "core_before": {"loa_media_ticks_late_20ms_total": 3.0},
                "core_after": {"loa_media_ticks_late_20ms_total": 4.0},
            },
            "ticks_late",
        ),
    ],
)
def test_what_is_over_its_limit_is_named(
    gauges: dict[str, int], seen: dict[str, dict[str, float]], name: str
) -> None:
    result = outcome(LoadPlan(10), _run(**gauges), Observed("x", **seen), Limits())  # type: ignore[arg-type]
    assert not result.passed
    assert [check.name for check in result.checks if check.passed is False] == [name]


def test_a_run_that_was_cut_off_is_not_accepted() -> None:
    assert not outcome(LoadPlan(10), _run(), Observed("x", interrupted=True), Limits()).passed
    assert not outcome(LoadPlan(10), _run(), Observed("x", errors=["e"]), Limits()).passed


def test_an_endpoint_that_is_on_its_way_back_is_not_missing() -> None:
    assert outcome(LoadPlan(10), _run(bound=8, away=1, joining=1), Observed("x"), Limits()).passed


@given(st.text(max_size=300))
def test_any_text_has_metrics_or_none(text: str) -> None:
    assert all(isinstance(value, float) for value in parse(text).values())


def test_metrics_without_labels_are_read() -> None:
    text = '# HELP a b\na_total 3.0\nb{x="1"} 4\nc 1.5e+08\nd NaN\n'
    assert parse(text)["a_total"] == 3.0
    assert parse(text)["c"] == 1.5e8
    assert "b" not in parse(text)


@pytest.mark.parametrize(("seconds", "siren"), [(1.0, True), (3.0, True), (20.0, False)])
def test_its_own_bulletin_is_as_long_as_wanted(seconds: float, siren: bool) -> None:
    assert len(read_ogg_opus(bulletin(seconds, siren=siren)).packets) == seconds * 50


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--core", "http://203.0.113.7:8080"], "--i-own-this-network"),
        (["--core", "nonsense"], "--core"),
        (["--endpoints", "0"], "--endpoints"),
        (["--seconds", "0"], "--seconds"),
        (["--preempt-every", "1"], "--preempt-every"),
        (["--area", "x"], "--area"),
        (["--limit", "x=1"], "--limit"),
        (["--loss", "200%"], "--loss"),
    ],
)
def test_what_must_not_be_run_is_refused_before_anything_is_asked(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    result = CliRunner().invoke(
        app, ["load", "--state", str(tmp_path / "state"), *arguments], env={"LOA_TOKEN": "loa_x"}
    )
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "state").exists()
