"""What people see of a load run: a live panel on a terminal, lines elsewhere, a table at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from loa.app.load.acceptance import NAMES, Check
from loa.app.load.outcome import Outcome

LINE_EVERY_S = 5.0
_WATCHED = (
    ("linked", "đã nối · linked"),
    ("bound", "sẵn sàng · bound"),
    ("joining", "đang nối · joining"),
    ("away", "tạm rời · away"),
)
_COUNTED = (
    ("links_lost", "mất đường truyền · links lost"),
    ("links_refused", "bị từ chối · refused"),
    ("receipts_acked", "biên nhận · receipts"),
    ("statuses", "báo tình trạng · statuses"),
    ("nacks", "xin gửi lại · NACKs"),
)
_SHOWN_MS = (
    ("join", "vào mạng · join"),
    ("spread", "chênh lệch một khung · spread of a frame"),
    ("jitter", "biến động · jitter"),
    ("clock_error", "sai số đồng hồ ± · clock error ±"),
    ("order_datagram", "lệnh qua UDP · order by datagram"),
    ("order_link", "lệnh qua đường truyền · order by link"),
    ("order_first", "lệnh, đường nào nhanh hơn · order, whichever first"),
    ("order_acknowledged", "biên nhận được lưu · receipt stored"),
)
_SOUND = ("played", "repaired", "recovered", "concealed", "missing", "late", "preempted")


class Screen:
    """`run.Show` on a console. `with Screen(console) as screen:`"""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._phase = ("", "")
        self._began_s = time.monotonic()
        self._said_s = 0.0

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def phase(self, vietnamese: str, english: str) -> None:
        """See Show."""
        self._phase = (vietnamese, english)
        self._said_s = 0.0
        passed_s = time.monotonic() - self._began_s
        self._console.print(f"{passed_s:7.1f} s  {vietnamese} · {english}", highlight=False, markup=False)

    def progress(self, done: float, wanted: float, gauges: Counter[str], counts: Counter[str]) -> None:
        """See Show."""
        if self._live is not None:
            self._live.update(_panel(self._phase, done, wanted, gauges, counts))
        elif time.monotonic() - self._said_s >= LINE_EVERY_S:
            self._said_s = time.monotonic()
            told = "".join(f"  {name} {gauges[name]:,}" for name, _ in _WATCHED if gauges[name])
            told += "".join(f"  {name} {counts[name]:,}" for name, _ in _COUNTED if counts[name])
            passed_s = time.monotonic() - self._began_s
            self._console.print(
                f"{passed_s:7.1f} s  {done:,.0f}/{wanted:,.0f}{told}", highlight=False, markup=False, soft_wrap=True
            )


def _panel(
    phase: tuple[str, str], done: float, wanted: float, gauges: Mapping[str, int], counts: Mapping[str, int]
) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row(f"[bold]{phase[0]} · {phase[1]}[/]", f"{done:,.0f} / {wanted:,.0f}")
    for name, words in _WATCHED:
        table.add_row(words, f"{gauges.get(name, 0):,}")
    for name, words in _COUNTED:
        table.add_row(words, f"{counts.get(name, 0):,}")
    return table


def tables(result: Outcome) -> list[Table]:
    """The run in two tables: what was measured, and what is held against limits."""
    figures = result.figures
    measured = Table("", "p50", "p99", "lớn nhất · max", "số lượng · count", title="Đo được · Measured (ms)")
    for column in measured.columns[1:]:
        column.justify = "right"
    for name, words in _SHOWN_MS:
        times = figures["ms"][name]
        measured.add_row(words, *(_number(times[key]) for key in ("p50", "p99", "max")), f"{times['count']:,}")
    checks = Table("", "đo được · measured", "giới hạn · limit", "", title="Nghiệm thu · Acceptance")
    for column in checks.columns[1:3]:
        column.justify = "right"
    for check in result.checks:
        values = (_with_unit(value, check.unit) for value in (check.measured, check.limit))
        checks.add_row(NAMES[check.name], *values, _mark(check))
    return [measured, checks]


def plain_lines(figures: Mapping[str, Any]) -> list[str]:
    """What stands in no table."""
    endpoints, links, frames = figures["endpoints"], figures["links"], figures["frames"]
    generator, core = figures["generator"], figures["core_figures"]
    cpu = ", ".join(f"{each['cpu']:.2f}" for each in generator["processes"] if each["cpu"] is not None)
    sound = ", ".join(f"{name} {frames[name]:,}" for name in _SOUND)
    stands = (
        f"thiết bị · endpoints: {endpoints['bound']:,} / {endpoints['endpoints']:,}",
        f"nghe đủ · heard in full: {endpoints['sampled']:,}",
        f"mất · links lost: {links['lost']:,}",
        f"bị từ chối · refused: {links['refused']:,}",
    )
    lines = [
        "; ".join(stands),
        f"âm thanh của mẫu, khung · sound of the sample, frames: {sound}",
        f"gói đến các thiết bị khác · packets to the others: {figures['sink_packets']:,}",
        f"máy phát tải · generator: {cpu} lõi · cores, {generator['rss_bytes'] / 2**20:,.0f} MiB",
    ]
    if core:
        lines.append(
            "máy chủ · core: "
            + ", ".join(
                f"{name} {value:,.2f}" if name.endswith("cpu") else f"{name} {value:,.0f}"
                for name, value in core.items()
            )
        )
    lines += [f"{name}: {count:,}" for name, count in links["reasons"].items()]
    lines += [f"lỗi · error: {error}" for error in figures["errors"]]
    return lines


def verdict(result: Outcome) -> str:
    """The last line."""
    if result.figures["interrupted"]:
        return "BỊ NGẮT, chưa nghiệm thu · INTERRUPTED, not accepted"
    return "ĐẠT · ACCEPTED" if result.passed else "KHÔNG ĐẠT · NOT ACCEPTED"


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:,.1f}"


def _with_unit(value: float | None, unit: str) -> str:
    if value is None:
        return "—"
    return f"{value:,.2f} {unit}" if unit else f"{value:,.0f}"


def _mark(check: Check) -> str:
    return {None: "—", True: "[green]đạt · ok[/]", False: "[red]vượt · over[/]"}[check.passed]
