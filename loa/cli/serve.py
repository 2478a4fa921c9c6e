"""`loa serve`: run the core."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer


def serve(
    config: Annotated[Path | None, typer.Option(help="Settings, as TOML.")] = None,
    role: Annotated[str | None, typer.Option(help="all, core or api: what runs in this process.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of database, keys and audio.")] = None,
    http_host: Annotated[str | None, typer.Option(help="Address of the HTTP face.")] = None,
    http_port: Annotated[int | None, typer.Option(help="Port of the HTTP face; 0 takes a free one.")] = None,
    media_host: Annotated[str | None, typer.Option(help="Address of the media socket.")] = None,
    media_port: Annotated[int | None, typer.Option(help="UDP port of the media socket.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json, console or auto.")] = None,
) -> None:
    """Chạy máy chủ phát thanh. · Run the core, or a process beside it."""
    import uvloop

    from loa import config as settings
    from loa.app.logs import log_to_stderr
    from loa.app.service import run_core

    os.umask(0o077)  # what a core writes, its database first, is for nobody else to read
    given: dict[str, Any] = {
        "role": role,
        "data_dir": data_dir,
        "http_host": http_host,
        "http_port": http_port,
        "media_host": media_host,
        "media_port": media_port,
        "log_level": log_level,
        "log_format": log_format,
    }
    loaded = settings.load(config, **{key: value for key, value in given.items() if value is not None})
    log_to_stderr(loaded.log_level, loaded.log_format)
    uvloop.run(run_core(loaded, lambda line: print(line, flush=True)))
