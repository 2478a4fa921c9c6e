"""A backup and a restore in processes of their own that may be killed in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from loa.broadcast.backup.contents import BackupFile
from loa.broadcast.backup.make import Plan, make_backup
from loa.broadcast.backup.progress import silent
from loa.broadcast.backup.restore import Restored, RestorePlan, restore_backup
from loa.broadcast.journal.act import system
from tests.crash.points import Points

NOW_MS = 1_790_000_000_000


def back_up(url: str, folder: str, path: str, kill_at: int, count: str) -> None:
    """Back up, killed at this point; `count` gets the points when it was not."""
    _killed(
        make_backup(Plan(url, Path(folder), Path(folder) / "audio", NOW_MS), Path(path), silent), kill_at, count
    )


def restore(folder: str, url: str | None, path: str, kill_at: int, count: str, force: bool) -> None:
    """Restore, killed at this point; `count` gets the points when it was not."""
    _killed(restoring(Path(folder), url, Path(path), force=force), kill_at, count)


def restoring(folder: Path, url: str | None, path: Path, *, force: bool = False) -> Awaitable[Restored]:
    """The same restore, of which each attempt is one."""
    plan = RestorePlan(folder, folder / "audio", url, system(NOW_MS + 1), keep_order_key=True, force=force)
    return restore_backup(plan, BackupFile(path), silent)


def _killed(work: Awaitable[Any], kill_at: int, count: str) -> None:
    points = Points()
    points.install()

    async def armed() -> None:
        points.arm(kill_at)
        await work

    asyncio.run(armed())
    Path(count).write_text(str(points.passed))
