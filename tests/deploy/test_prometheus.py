"""The alert rules, evaluated by Prometheus itself over made-up minutes of a city; and its configuration."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from loa.monitoring.catalogue import families
from tests.deploy.promql import complaints, metrics, promtool

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
RULES = FOLDER / "rules.yml"
OF_PROCESSES = {"process_open_fds", "process_max_fds"}
OF_PROMETHEUS = {"up"}
MINUTES = 1_000
VIETNAMESE = re.compile("[ạảấầậặẹềểếệịọốồổộớờợụủứừữựỳáàãíìóòúùýăâđêôơư]", re.IGNORECASE)

CALM = {
    'up{job="loa",instance="core:8080"}': "1",
    "loa_ready": "1",
    "loa_going_down": "0",
    "loa_start_time_seconds": "1000",
    "loa_event_loop_late_seconds": "0.01",
    'process_open_fds{job="loa"}': "400",
    'process_max_fds{job="loa"}': "65536",
    "loa_core_media_restarts_total": "1",
    "loa_media_frames_skipped_total": "7",
    "loa_media_ticks_total": "0+3000",
    "loa_media_ticks_late_20ms_total": "0+1",
    "loa_media_ticks_long_20ms_total": "0+1",
    "loa_media_receive_lost_total": "0+10",
    "loa_media_dropped_limited_total": "0+60",
    "loa_media_group_send_refused_total": "5",
    "loa_media_group_sockets_refused_total": "2",
    "loa_media_packets_sent_total": "0+100000",
    "loa_media_send_refused_total": "0+10",
    "loa_media_repaired_packets_total": "0+1000",
    "loa_media_dropped_mac_total": "0+3",
    "loa_media_buffers_small": "0",
    "loa_media_dscp_unset": "0",
    "loa_media_priority_unset": "0",
    "loa_air_broadcasts_failed_total": "2",
    "loa_air_broadcasts_not_started_total": "1",
    "loa_air_stops_unconfirmed_total": "1",
    "loa_store_up": "1",
    "loa_core_broadcasts_not_written_total": "3",
    "loa_core_media_events_failed_total": "1",
    "loa_hub_receipts_not_stored_total": "4",
    "loa_hub_messages_held_total": "0+60",
    "loa_hub_link_frames_sent_total": "0+3000",
    "loa_hub_link_frames_dropped_total": "0+10",
    "loa_groups_lost_total": "3",
    "loa_listen_refused_total": "6",
    "loa_disk_free_bytes": "50000000000",
    "loa_disk_least_bytes": "268435456",
    "loa_key_list_expires_seconds": "5000000",
    "loa_audit_digests_contradicted": "0",
    "loa_endpoints_enrolled": "100",
    "loa_endpoints_linked": "95",
    "loa_endpoints_bound": "93",
}
"""A city where all is well: each series with its value, or its value and growth a minute."""


@dataclass(frozen=True)
class Trouble:
    """What is other than CALM, for all the time or as a series of its own; which alerts that makes, and when."""

    alerts: set[str]
    series: dict[str, str]
    at_minutes: int
    not_yet_at_minutes: int | None = None
    without: set[str] = field(default_factory=set)


TROUBLES = [
    Trouble(set(), {}, 600),
    Trouble({"LoaCoreDown"}, {'up{job="loa",instance="core:8080"}': "1x10 0x99"}, 13, 11),
    Trouble({"LoaCoreUnknown"}, {}, 6, 4, {'up{job="loa",instance="core:8080"}'}),
    Trouble({"LoaNotReady"}, {"loa_ready": "0"}, 2, 0),
    Trouble(set(), {"loa_ready": "0", "loa_going_down": "1"}, 10),
    Trouble({"LoaCoreRestarts"}, {"loa_start_time_seconds": "1 2 3 4x99"}, 4, 2),
    Trouble({"LoaEventLoopLate"}, {"loa_event_loop_late_seconds": "0.6"}, 6, 4),
    Trouble({"LoaFewDescriptorsLeft"}, {'process_open_fds{job="loa"}': "60000"}, 6, 4),
    Trouble({"LoaMediaRestarts"}, {"loa_core_media_restarts_total": "1x10 2x1 3x99"}, 14, 11),
    Trouble({"LoaFramesSkipped"}, {"loa_media_frames_skipped_total": "7x10 9x99"}, 12, 10),
    Trouble({"LoaTicksLate"}, {"loa_media_ticks_late_20ms_total": "0+10"}, 10, 4),
    Trouble(set(), {"loa_media_ticks_total": "0", "loa_media_ticks_late_20ms_total": "0"}, 60),
    Trouble({"LoaSendRefused"}, {"loa_media_send_refused_total": "0+2000"}, 10, 4),
    Trouble({"LoaFanoutSlow"}, {"loa_media_ticks_long_20ms_total": "0+60"}, 10, 4),
    Trouble({"LoaDatagramsLost"}, {"loa_media_receive_lost_total": "0+600"}, 10, 4),
    Trouble({"LoaManyRepairs"}, {"loa_media_repaired_packets_total": "0+6000"}, 20, 9),
    Trouble({"LoaForgedDatagrams"}, {"loa_media_dropped_mac_total": "0+600"}, 10, 4),
    Trouble({"LoaEndpointTalksTooMuch"}, {"loa_media_dropped_limited_total": "0+6000"}, 10, 4),
    Trouble({"LoaEndpointTalksTooMuch"}, {"loa_hub_messages_held_total": "0+6000"}, 10, 4),
    Trouble({"LoaKernelRefusesSettings"}, {"loa_media_buffers_small": "1"}, 61, 59),
    Trouble({"LoaControlFault"}, {"loa_core_media_events_failed_total": "1x10 2x99"}, 12, 10),
    Trouble({"LoaBroadcastsFail"}, {"loa_air_broadcasts_failed_total": "2x10 3x99"}, 12, 10),
    Trouble({"LoaBroadcastsFail"}, {"loa_air_broadcasts_not_started_total": "1x10 2x99"}, 12, 10),
    Trouble({"LoaStopUnconfirmed"}, {"loa_air_stops_unconfirmed_total": "1x10 2x99"}, 12, 10),
    Trouble({"LoaStoreFails"}, {"loa_store_up": "0"}, 2, 0),
    Trouble({"LoaStoreFails"}, {"loa_core_broadcasts_not_written_total": "3x10 5x99"}, 13, 10),
    Trouble({"LoaStoreFails"}, {"loa_hub_receipts_not_stored_total": "4x10 9x99"}, 13, 10),
    Trouble({"LoaDiskLow"}, {"loa_disk_free_bytes": "1000000000"}, 11, 9),
    Trouble({"LoaDiskFills"}, {"loa_disk_free_bytes": "50000000000-30000000"}, 480, 30),
    Trouble({"LoaKeysExpire"}, {"loa_key_list_expires_seconds": "1800000"}, 11, 9),
    Trouble({"LoaKeysExpire", "LoaKeysExpireNow"}, {"loa_key_list_expires_seconds": "200000"}, 11),
    Trouble({"LoaAuditLogChanged"}, {"loa_audit_digests_contradicted": "0x10 2x99"}, 11, 10),
    Trouble({"LoaEndpointsUnlinked"}, {"loa_endpoints_linked": "85", "loa_endpoints_bound": "85"}, 11, 9),
    Trouble(
        {"LoaEndpointsUnlinked", "LoaHalfOfTheEndpointsUnlinked"},
        {"loa_endpoints_linked": "40", "loa_endpoints_bound": "40"},
        11,
        4,
    ),
    Trouble({"LoaEndpointsWithoutSound"}, {"loa_endpoints_bound": "80"}, 11, 9),
    Trouble({"LoaGroupsUnsent"}, {"loa_media_group_send_refused_total": "0+50"}, 6, 2),
    Trouble({"LoaGroupsUnsent"}, {"loa_media_group_sockets_refused_total": "0+12"}, 6, 2),
    Trouble({"LoaGroupsUnheard"}, {"loa_groups_lost_total": "3x10 30x99"}, 12, 10),
    Trouble({"LoaLinkSoundDropped"}, {"loa_hub_link_frames_dropped_total": "0+100"}, 20, 9),
    Trouble(set(), {"loa_hub_link_frames_dropped_total": "0", "loa_hub_link_frames_sent_total": "0"}, 60),
    Trouble({"LoaListenersRefused"}, {"loa_listen_refused_total": "6x10 7x99"}, 12, 10),
    Trouble(set(), {"loa_endpoints_enrolled": "0", "loa_endpoints_linked": "0", "loa_endpoints_bound": "0"}, 60),
]


def alerts() -> dict[str, dict[str, Any]]:
    """The rules by alert."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def _values(text: str) -> str:
    """A value, or a value and a growth, as a series of MINUTES."""
    if "x" in text:
        return text
    return f"{text}x{MINUTES}" if re.search(r"\d[+-]\d", text) else f"{text}+0x{MINUTES}"


def _firing(minutes: int, names: set[str]) -> dict[str, Any]:
    return {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{minutes}m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)],
    }


def test_each_alert_fires_in_its_trouble_and_no_other_does(tmp_path: Path) -> None:
    tests = []
    for trouble in TROUBLES:
        series = {name: text for name, text in (CALM | trouble.series).items() if name not in trouble.without}
        expected = [_firing(trouble.at_minutes, trouble.alerts)]
        if trouble.not_yet_at_minutes is not None:
            expected.append(_firing(trouble.not_yet_at_minutes, set()))
        tests.append(
            {
                "name": f"{sorted(trouble.alerts)} by {trouble.series}",
                "interval": "1m",
                "input_series": [{"series": name, "values": _values(text)} for name, text in series.items()],
                "promql_expr_test": expected,
            }
        )
    path = tmp_path / "test.yml"
    path.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}), encoding="utf-8"
    )
    assert promtool("test", "rules", path) == f"Unit Testing:  {path}\n  SUCCESS\n\n"
    assert {name for trouble in TROUBLES for name in trouble.alerts} == set(alerts())
    assert {name for trouble in TROUBLES for name in trouble.series} <= set(CALM)


def test_figures_in_words_are_rendered(tmp_path: Path) -> None:
    shown = {key: str(text) for key, text in alerts()["LoaKeysExpireNow"]["annotations"].items()}
    shown |= {
        "summary": "Khoá lệnh chỉ còn hiệu lực 2d 0h 0m 0s",
        "summary_en": "The order key is good for only 2d 0h 0m 0s more",
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": "loa_key_list_expires_seconds", "values": "172800+0x9"}],
        "alert_rule_test": [
            {
                "alertname": "LoaKeysExpireNow",
                "eval_time": "1m",
                "exp_alerts": [{"exp_labels": {"severity": "critical"}, "exp_annotations": shown}],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "tests": [test]}), encoding="utf-8")
    assert "SUCCESS" in promtool("test", "rules", path)


def test_every_alert_speaks_both_languages_and_says_what_to_do() -> None:
    for name, rule in alerts().items():
        said = rule["annotations"]
        assert set(said) == {"summary", "summary_en", "description", "description_en"}, name
        assert VIETNAMESE.search(said["summary"]), name
        assert VIETNAMESE.search(said["description"]), name
        assert rule["labels"]["severity"] in ("critical", "warning"), name


def test_the_rules_name_only_what_is_exported(tmp_path: Path) -> None:
    expressions = [rule["expr"] for rule in alerts().values()]
    assert complaints(expressions, tmp_path) == ""
    named = set().union(*map(metrics, expressions))
    assert named <= set(families()) | OF_PROCESSES | OF_PROMETHEUS | {"loa_build_info"}
    assert named - {name.partition("{")[0] for name in CALM} == set()


@pytest.mark.parametrize("wrong", ["rate(loa_ready)", "loa_ready ==", "sum by loa_ready"])
def test_the_parser_sees_what_is_wrong(tmp_path: Path, wrong: str) -> None:
    assert complaints(["loa_ready", wrong], tmp_path) != ""


def test_names_are_found_in_expressions() -> None:
    expression = (
        'sum by (job) (rate(a_total{x="b{c}",y=~"d"}[5m] offset 1h)) / on (e) group_left(f) (g > bool 0) or h'
    )
    assert metrics(expression) == {"a_total", "g", "h"}


def test_the_configuration_is_one(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("token")
    text = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/loa_metrics_token", str(token)))
    shutil.copy(RULES, tmp_path)
    said = promtool("check", "config", tmp_path / "prometheus.yml")
    assert "1 rule files found" in said
    assert "FAILED" not in said
