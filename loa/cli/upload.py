"""`loa upload`: a programme from a sound file, through the core's API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loa.cli.options import CoreOption, TokenFileOption, read_token

if TYPE_CHECKING:
    from loa.app.uploading import Seen

STATES = {
    "receiving": "Đang gửi · Sending",
    "queued": "Đang chờ · Waiting",
    "measuring": "Đang đo độ lớn · Measuring",
    "encoding": "Đang mã hóa · Encoding",
    "done": "Xong · Done",
    "failed": "Không thành · Failed",
}


def upload(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="Tệp âm thanh · The sound file.")
    ],
    title: Annotated[
        str | None, typer.Option(help="Tên chương trình · What people shall call it; else the file's name.")
    ] = None,
    programme_class: Annotated[
        str, typer.Option("--class", help="Loại · routine, priority or emergency.")
    ] = "routine",
    area: Annotated[
        str | None, typer.Option(help="Của địa bàn nào · Identifier of its area; else the whole city's.")
    ] = None,
    core: CoreOption = "http://127.0.0.1:8080",
    token_file: TokenFileOption = None,
) -> None:
    """Đưa một tệp âm thanh thành chương trình phát thanh. · Make a programme of a sound file."""
    print(asyncio.run(_upload(core, read_token(token_file), file, title or file.stem, programme_class, area)))


async def _upload(core: str, token: str, file: Path, title: str, programme_class: str, area: str | None) -> str:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from loa.app.api_client import ApiClient
    from loa.app.uploading import upload_watched

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(STATES["receiving"], total=1.0)

        def tell(seen: Seen) -> None:
            bar.update(task, description=STATES.get(seen.state, seen.state), completed=seen.share)

        async with ApiClient(core, token) as api:
            made = await upload_watched(api, file, title, programme_class, area, tell)
    return str(made["id"])
