"""The demo's tables, for the eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from loa.app.api_client import Json
from loa.app.demo.check import SpeakerCheck
from loa.app.demo.stage import SpeakerPlan

_STATES = {
    "received": "đã nhận · received",
    "accepted": "chấp nhận · accepted",
    "refused": "[red]từ chối · refused[/]",
    "started": "[green]đang phát · playing[/]",
    "finished": "[bold green]xong · finished[/]",
}


def live_table(
    endpoints: Sequence[Json],
    receipts: Mapping[str, str],
    plans: Sequence[SpeakerPlan],
    communes: Sequence[str],
) -> Table:
    """Each speaker now: its clock, its sound, its receipt."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for words in ("loa · speaker", "xã · commune", "đường truyền · line"):
        table.add_column(words.replace(" · ", "\n"), no_wrap=True)
    for words in ("lệch giờ · clock ±", "đã phát · played", "vá · repaired", "che · concealed"):
        table.add_column(words.replace(" · ", "\n"), justify="right", no_wrap=True)
    table.add_column("biên nhận\nreceipt")
    by_name = {row["name"]: row for row in endpoints}
    for plan in plans:
        row = by_name.get(plan.name)
        status = row["status"] if row else None
        error = status["clock_error_ms"] if status else None
        state = receipts.get(row["id"], "") if row else ""
        line = (
            f"{plan.line.delay_ms:.0f}±{plan.line.jitter_ms:.0f} ms, {plan.line.loss:.0%}" if plan.line else "LAN"
        )
        table.add_row(
            plan.name,
            communes[plan.commune],
            line,
            "…" if error is None else f"{error:.2f} ms",
            *(str(status[key]) if status else "" for key in ("played", "repaired", "concealed")),
            _STATES.get(state, state),
        )
    return table


def check_table(checks: Sequence[SpeakerCheck]) -> Table:
    """What the checker found in each recording."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("bản ghi\nrecording", no_wrap=True)
    for title in ("khung · frames", "đúng · good", "hỏng · bad", "che · concealed", "lệch nhất · worst error"):
        table.add_column(title.replace(" · ", "\n"), justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for check in checks:
        worst = "?" if check.max_error_ns is None else f"{check.max_error_ns / 1e6:.3f} ms"
        table.add_row(
            check.name,
            str(len(check.frames)),
            str(sum(frame.good for frame in check.frames)),
            str(len(check.failed)),
            str(len(check.exempt)),
            worst,
            "[green]đạt · passed[/]" if check.passed else f"[red]{'; '.join(check.faults)}[/]",
        )
    return table
