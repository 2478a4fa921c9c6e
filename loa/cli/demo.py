"""`loa demo`: the system's main job on this machine, with proof."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from loa.errors import LoaError


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End when the check is done; its result is the exit code.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Where to keep everything; a temporary folder otherwise.")
    ] = None,
) -> None:
    """Trình diễn: tám loa cùng phát một bản tin. · The demo: eight speakers play one bulletin, in step."""
    from rich.console import Console

    from loa.app.demo.run import run_demo

    console = Console(width=None if sys.stdout.isatty() else 150)
    passed = False
    with tempfile.TemporaryDirectory(prefix="loa-demo-") as temporary:
        try:
            passed = asyncio.run(run_demo(folder or Path(temporary), console, once))
        except LoaError as error:
            console.print(f"[red]{error}[/]", highlight=False)
        except asyncio.CancelledError:
            console.print("dừng · interrupted")
    sys.exit(0 if passed else 1)
