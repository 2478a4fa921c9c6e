"""`loa enrol`: a one-time code for a device, from the core's API."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from loa.cli.options import CoreOption, TokenFileOption, read_token


def enrol(
    area: Annotated[str, typer.Option(help="The area's identifier.")],
    name: Annotated[str, typer.Option(help="What people shall call the device.")],
    core: CoreOption = "http://127.0.0.1:8080",
    token_file: TokenFileOption = None,
) -> None:
    """Lấy mã đăng ký một lần cho thiết bị. · Get a one-time enrolment code for a device."""
    print(asyncio.run(_ask(core, read_token(token_file), area, name)))


async def _ask(core: str, token: str, area: str, name: str) -> str:
    from loa.app.api_client import ApiClient

    async with ApiClient(core, token) as api:
        return await api.enrolment_code(area, name)
