"""A shell on the core's machine, and what the processes' logs say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WAIT_S = 30.0


async def loa(*arguments: str | Path) -> str:
    """What `loa …` said; AssertionError with its last words when it failed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loa",
        *(str(each) for each in arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if not key.startswith("LOA_")},
    )
    out, err = await child.communicate()
    assert child.returncode == 0, f"loa {arguments[0]} {arguments[1]}: {out.decode()}{err.decode()}"
    return out.decode()


def logged(log: Path) -> list[dict[str, Any]]:
    """The events in a log."""
    events = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            events.append(json.loads(line))
    return events


async def until_logged(log: Path, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first event of which this is true, once it is there."""
    async with asyncio.timeout(WAIT_S):
        while True:
            for event in logged(log):
                if true(event):
                    return event
            await asyncio.sleep(0.1)
