"""How far it has come, on stderr, for what takes longer than a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from loa.broadcast.backup.progress import Progress, Step

QUIET_S = 1.0
WORDS = {
    Step.ROWS: "Ghi dữ liệu · Writing rows",
    Step.AUDIO: "Chép âm thanh · Copying sound",
    Step.CHECK: "Kiểm tra bản sao · Checking the backup",
    Step.LOAD: "Nạp dữ liệu · Loading rows",
}


@contextmanager
def progress_bars(console: Console | None = None) -> Iterator[Progress]:
    """Something to report progress to. On a terminal, a bar for each step appears once a second is over."""
    shown = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    bars = Bars(*columns, TimeRemainingColumn(), console=shown, transient=True)
    began_s = time.monotonic()
    tasks: dict[Step, TaskID] = {}

    def progress(step: Step, done: int, of_all: int) -> None:
        if not tasks:
            if not shown.is_terminal or time.monotonic() - began_s < QUIET_S:
                return
            bars.start()
        if step not in tasks:
            tasks[step] = bars.add_task(WORDS[step], total=of_all)
        bars.update(tasks[step], completed=done)

    try:
        yield progress
    finally:
        if tasks:
            bars.stop()
