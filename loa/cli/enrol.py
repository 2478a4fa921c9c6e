"""`loa enrol`: a one-time code for a device, from the core's API."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from loa.errors import ConfigError


def enrol(
    area: Annotated[str, typer.Option(help="The area's identifier.")],
    name: Annotated[str, typer.Option(help="What people shall call the device.")],
    core: Annotated[str, typer.Option(help="Address of the core.")] = "http://127.0.0.1:8080",
    token_file: Annotated[Path | None, typer.Option(help="File with a token; else LOA_TOKEN.")] = None,
) -> None:
    """Lấy mã đăng ký một lần cho thiết bị. · Get a one-time enrolment code for a device."""
    token = token_file.read_text(encoding="utf-8").strip() if token_file else os.environ.get("LOA_TOKEN", "")
    if not token:
        raise ConfigError("no token: give --token-file or LOA_TOKEN")
    print(asyncio.run(_ask(core, token, area, name)))


async def _ask(core: str, token: str, area: str, name: str) -> str:
    from loa.app.api_client import ApiClient

    async with ApiClient(core, token) as api:
        return await api.enrolment_code(area, name)
