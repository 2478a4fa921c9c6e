"""`loa revoke-device`: a device is good for nothing any more, by the core's API."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from loa.cli.options import CoreOption, TokenFileOption, read_token
from loa.errors import ConfigError
from loa.model import id_text, parse_id


def revoke_device(
    endpoint: Annotated[
        str, typer.Argument(help="Mã thiết bị, xem /api/v1/endpoints · The endpoint's identifier.")
    ],
    core: CoreOption = "http://127.0.0.1:8080",
    token_file: TokenFileOption = None,
) -> None:
    """Thu hồi một thiết bị, vĩnh viễn. · Revoke a device for good: stolen, broken, or another's now."""
    try:
        endpoint_id = id_text(parse_id(endpoint))
    except ValueError as error:
        raise ConfigError(f"{endpoint!r} is not the identifier of an endpoint") from error
    shown = asyncio.run(_ask(core, read_token(token_file), endpoint_id))
    print(f"Đã thu hồi · Revoked: {shown['name']} ({endpoint_id}), {shown['revoked_at']}")


async def _ask(core: str, token: str, endpoint_id: str) -> dict[str, Any]:
    from loa.app.api_client import ApiClient

    async with ApiClient(core, token) as api:
        return await api.call("POST", f"/api/v1/endpoints/{endpoint_id}/revoke")
