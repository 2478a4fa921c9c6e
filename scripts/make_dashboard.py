"""Makes deploy/grafana/dashboards/loa.json anew (`make dashboard`): each panel answers one question of ops."""

from __future__ import annotations

from pathlib import Path
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

OUT = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "dashboards" / "loa.json"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="prometheus")
GREEN, ORANGE, RED = "green", "orange", "red"


def query(expression: str, legend: str, name: str = "A") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).datasource(SOURCE).ref_id(name)


def levels(*steps: tuple[float | None, str]) -> dashboards.ThresholdsConfig:
    return (
        dashboards.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


def figure(
    title: str, expression: str, unit: str, steps: dashboards.ThresholdsConfig, description: str
) -> stat.Panel:
    """One number now."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(query(expression, title))
        .unit(unit)
        .thresholds(steps)
        .color_mode(common.BigValueColorMode.BACKGROUND)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .height(4)
        .span(4)
    )


def graph(title: str, unit: str, description: str, *queries: tuple[str, str]) -> timeseries.Panel:
    """Lines over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(8)
        .show_points(common.VisibilityMode.NEVER)
        .legend(common_builders.VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.LIST))
        .height(8)
        .span(12)
    )
    for name, (expression, legend) in zip(ascii_uppercase, queries, strict=False):
        panel = panel.with_target(query(expression, legend, name))
    return panel


def build() -> models.Dashboard:
    """The dashboard."""
    yes_no = levels((None, RED), (1, GREEN))
    return (
        dashboards.Dashboard("Loa: tiếng nói của thành phố · the city's voice")
        .uid("loa")
        .tags(["loa"])
        .readonly()
        .timezone("Asia/Ho_Chi_Minh")
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_row(dashboards.Row("Bây giờ · Now"))
        .with_panel(
            figure(
                "Sẵn sàng · Ready",
                "min(loa_ready)",
                "bool_yes_no",
                yes_no,
                "GET /readyz nói rõ · says what is missing",
            )
        )
        .with_panel(
            figure(
                "Đang phát · On air",
                "sum(loa_broadcasts_on_air)",
                "short",
                levels((None, "blue")),
                "Số buổi đang phát · Broadcasts on air",
            )
        )
        .with_panel(
            figure(
                "Loa mất kết nối · Not linked",
                "1 - sum(loa_endpoints_linked) / (sum(loa_endpoints_enrolled) > 0)",
                "percentunit",
                levels((None, GREEN), (0.05, ORANGE), (0.1, RED)),
                "Trong số đã đăng ký · Of those enrolled",
            )
        )
        .with_panel(
            figure(
                "Có kết nối, không có tiếng · Linked, no sound",
                "1 - sum(loa_endpoints_bound) / (sum(loa_endpoints_linked) > 0)",
                "percentunit",
                levels((None, GREEN), (0.05, ORANGE), (0.1, RED)),
                "UDP bị chặn? · Is UDP blocked?",
            )
        )
        .with_panel(
            figure(
                "Khoá còn hiệu lực · Keys good for",
                "min(loa_key_list_expires_seconds)",
                "s",
                levels((None, RED), (3 * 86_400, ORANGE), (21 * 86_400, GREEN)),
                "Gia hạn: loa keys renew · renew them: loa keys renew",
            )
        )
        .with_panel(
            figure(
                "Đĩa trống · Disk free",
                "min(loa_disk_free_bytes)",
                "bytes",
                levels((None, RED), (1 << 30, ORANGE), (10 << 30, GREEN)),
                "Của thư mục dữ liệu · Of the data folder",
            )
        )
        .with_row(dashboards.Row("Loa và biên nhận · Endpoints and receipts"))
        .with_panel(
            graph(
                "Loa · Endpoints",
                "short",
                "Đã đăng ký, có kết nối, nhận được âm thanh · Enrolled, linked, reached by sound",
                ("loa_endpoints_enrolled", "đăng ký · enrolled"),
                ("loa_endpoints_linked", "kết nối · linked"),
                ("loa_endpoints_bound", "có tiếng · bound"),
            )
        )
        .with_panel(
            graph(
                "Kết nối bị từ chối · Links refused",
                "cps",
                "Theo lý do · By reason",
                ("rate(loa_hub_refused_unknown_endpoint_total[5m])", "không có · unknown"),
                ("rate(loa_hub_refused_revoked_total[5m])", "đã thu hồi · revoked"),
                ("rate(loa_hub_refused_bad_proof_total[5m])", "sai khoá · bad proof"),
                ("rate(loa_hub_refused_malformed_total[5m])", "sai dạng · malformed"),
                ("rate(loa_hub_refused_timeout_total[5m])", "quá giờ · timeout"),
                ("rate(loa_hub_refused_shutdown_total[5m])", "máy chủ bận · core not serving"),
            )
        )
        .with_panel(
            graph(
                "Buổi phát · Broadcasts",
                "short",
                "Trong 15 phút · Within 15 minutes",
                ("increase(loa_air_broadcasts_started_total[15m])", "bắt đầu · started"),
                ("increase(loa_air_broadcasts_ended_total[15m])", "hết · ended"),
                ("increase(loa_air_broadcasts_stopped_total[15m])", "dừng · stopped"),
                ("increase(loa_air_broadcasts_failed_total[15m])", "hỏng · failed"),
                ("increase(loa_air_broadcasts_not_started_total[15m])", "không bắt đầu được · not started"),
                ("increase(loa_air_stops_unconfirmed_total[15m])", "dừng chưa xác nhận · stops unconfirmed"),
            )
        )
        .with_panel(
            graph(
                "Biên nhận · Receipts",
                "cps",
                "Nhận và ghi · Received and written",
                ("rate(loa_receipts_received_total[5m])", "nhận · received"),
                ("rate(loa_receipts_stored_total[5m])", "ghi · stored"),
                ("rate(loa_hub_receipts_not_stored_total[5m])", "không ghi được · not stored"),
            )
        )
        .with_panel(
            graph(
                "Loa theo cửa · Endpoints by door",
                "short",
                "Đường tới mỗi loa; nhường cho buổi ưu tiên hơn"
                " · How sound goes to them; those that play something of higher priority",
                ("loa_endpoints_bound - loa_endpoints_by_link - loa_endpoints_in_groups", "unicast"),
                ("loa_endpoints_in_groups", "multicast"),
                ("loa_endpoints_by_link", "kết nối TCP · by link"),
                ("loa_endpoints_pre_empted", "nhường · pre-empted"),
            )
        )
        .with_panel(
            graph(
                "Người nghe qua mạng · HTTP listeners",
                "short",
                "Đang nghe; trong 15 phút: đến, đi, bị bỏ vì chậm, bị từ chối"
                " · Listening; within 15 minutes: came, went, dropped, refused",
                ("loa_listeners", "đang nghe · listening"),
                ("increase(loa_listen_joined_total[15m])", "đến · joined"),
                ("increase(loa_listen_gone_total[15m])", "đi · gone"),
                ("increase(loa_listen_dropped_slow_total[15m])", "quá chậm · too slow"),
                ("increase(loa_listen_refused_total[15m])", "từ chối · refused"),
            )
        )
        .with_row(dashboards.Row("Âm thanh · Sound"))
        .with_panel(
            graph(
                "Gói tin · Packets",
                "pps",
                "Gửi đi, gửi lại · Sent, and sent again",
                ("rate(loa_media_packets_sent_total[5m])", "gửi · sent"),
                ("rate(loa_media_repaired_packets_total[5m])", "gửi lại · repaired"),
                ("rate(loa_media_repair_misses_total[5m])", "không còn để gửi lại · repair misses"),
                ("rate(loa_media_send_refused_total[5m])", "hệ điều hành từ chối · refused by the kernel"),
            )
        )
        .with_panel(
            graph(
                "Đúng giờ · In time",
                "percentunit",
                "Phần lần phát bị muộn · Share of the times that packets left late",
                (
                    "rate(loa_media_ticks_late_2ms_total[5m]) / (rate(loa_media_ticks_total[5m]) > 0)",
                    "muộn hơn 2 ms · later than 2 ms",
                ),
                (
                    "rate(loa_media_ticks_late_20ms_total[5m]) / (rate(loa_media_ticks_total[5m]) > 0)",
                    "muộn hơn 20 ms · later than 20 ms",
                ),
            )
        )
        .with_panel(
            graph(
                "Khoảng lặng · Holes",
                "short",
                "Khung không được gửi, trong 5 phút · Frames never sent, within 5 minutes",
                ("increase(loa_media_frames_skipped_total[5m])", "bỏ qua · skipped"),
                ("increase(loa_media_frames_late_total[5m])", "đến muộn · handed over late"),
            )
        )
        .with_panel(
            graph(
                "Bị loại · Dropped",
                "pps",
                "Gói tin lạ và giả · Strange and forged datagrams",
                ("rate(loa_media_dropped_mac_total[5m])", "giả · forged"),
                ("rate(loa_media_dropped_replay_total[5m])", "lặp lại · replayed"),
                ("rate(loa_media_dropped_unknown_total[5m])", "kênh lạ · unknown channel"),
                ("rate(loa_media_dropped_foreign_total[5m])", "không phải của Loa · foreign"),
                ("rate(loa_media_dropped_malformed_total[5m])", "sai dạng · malformed"),
                ("rate(loa_media_dropped_limited_total[5m])", "quá nhiều · too many"),
                ("rate(loa_media_receive_lost_total[5m])", "bộ đệm đầy · no room"),
            )
        )
        .with_panel(
            graph(
                "Gửi tới mọi loa · Fan-out",
                "percentunit",
                "Phần khung cần hơn 20 ms tới hết các loa; phần việc luồng khác làm hộ, làm chậm (mỗi khung)"
                " · Share of frames that need more than 20 ms for all; pieces helped with, and held up, a frame",
                (
                    "rate(loa_media_ticks_long_20ms_total[5m]) / (rate(loa_media_ticks_total[5m]) > 0)",
                    "lâu hơn 20 ms · longer than 20 ms",
                ),
                (
                    "rate(loa_media_chunks_helped_total[5m]) / (rate(loa_media_ticks_total[5m]) > 0)",
                    "làm hộ · helped",
                ),
                ("rate(loa_media_chunks_slow_total[5m]) / (rate(loa_media_ticks_total[5m]) > 0)", "chậm · slow"),
            )
        )
        .with_panel(
            graph(
                "Hệ điều hành từ chối · Refused by the kernel",
                "pps",
                "Theo lý do; địa chỉ được nghỉ một giây · By reason; addresses that rest for a second",
                ("rate(loa_media_send_refused_unreachable_total[5m])", "không có đường · unreachable"),
                ("rate(loa_media_send_refused_port_closed_total[5m])", "cổng đóng · port closed"),
                ("rate(loa_media_send_refused_forbidden_total[5m])", "bị cấm · forbidden"),
                ("rate(loa_media_send_refused_full_total[5m])", "bộ đệm đầy · buffer full"),
                ("rate(loa_media_send_refused_other_total[5m])", "khác · other"),
                ("rate(loa_media_addresses_rested_total[5m])", "nghỉ · rested"),
                ("rate(loa_media_group_send_refused_total[5m])", "tới nhóm · to groups"),
            )
        )
        .with_panel(
            graph(
                "Qua kết nối TCP · By link",
                "pps",
                "Gói âm thanh cho mỗi loa; tin nhắn bị giữ lại vì loa nói quá nhiều"
                " · Packets of sound for each endpoint; messages held back since their endpoint says too much",
                ("rate(loa_hub_link_frames_sent_total[5m])", "gửi · sent"),
                ("rate(loa_hub_link_frames_dropped_total[5m])", "bỏ · dropped"),
                ("rate(loa_hub_messages_held_total[5m])", "giữ lại · held"),
                ("rate(loa_hub_links_too_slow_total[5m])", "cắt vì chậm · ended, too slow"),
            )
        )
        .with_panel(
            graph(
                "Nhóm multicast · Multicast groups",
                "short",
                "Đang dùng; trong 15 phút: loa nghe được, không còn nghe được"
                " · In use; within 15 minutes: endpoints that hear theirs, and that do not any more",
                ("loa_media_groups", "nhóm · groups"),
                ("loa_media_plain_outputs", "RTP thường · plain RTP"),
                ("increase(loa_groups_heard_total[15m])", "nghe được · heard"),
                ("increase(loa_groups_lost_total[15m])", "mất · lost"),
            )
        )
        .with_row(dashboards.Row("Máy chủ · The core"))
        .with_panel(
            graph(
                "Bộ xử lý · Processor",
                "percentunit",
                "1 = một nhân · 1 = one core",
                ('rate(process_cpu_seconds_total{job="loa"}[5m])', "điều khiển · control"),
                ("rate(loa_media_process_cpu_seconds_total[5m])", "âm thanh · media"),
            )
        )
        .with_panel(
            graph(
                "Bộ nhớ · Memory",
                "bytes",
                "Đang dùng · Resident",
                ('process_resident_memory_bytes{job="loa"}', "điều khiển · control"),
                ("loa_media_process_resident_memory_bytes", "âm thanh · media"),
            )
        )
        .with_panel(
            graph(
                "Điều khiển · Control",
                "s",
                "Vòng lặp chậm nhất trong một phút; tiến trình âm thanh im bao lâu"
                " · The event loop at its latest; how long the media process has been silent",
                ("loa_event_loop_late_seconds", "vòng lặp chậm · loop late"),
                ("loa_media_silent_seconds", "âm thanh im · media silent"),
            )
        )
        .with_panel(
            graph(
                "Trục trặc · Troubles",
                "short",
                "Trong 15 phút · Within 15 minutes",
                ("increase(loa_core_media_restarts_total[15m])", "tiến trình âm thanh chết · media restarts"),
                ("increase(loa_core_media_events_failed_total[15m])", "lỗi chương trình · faults of control"),
                ("increase(loa_core_broadcasts_not_written_total[15m])", "không ghi được · not written"),
                ("changes(loa_start_time_seconds[15m])", "khởi động lại · core restarts"),
                ("1 - loa_store_up", "kho không trả lời · store down"),
            )
        )
        .build()
    )


if __name__ == "__main__":
    made = build()
    for number, panel in enumerate(made.panels or [], 1):
        panel.id_val = number
    encoder = JSONEncoder(sort_keys=True, indent=1, ensure_ascii=False)
    OUT.write_text(encoder.encode(made) + "\n", encoding="utf-8")
