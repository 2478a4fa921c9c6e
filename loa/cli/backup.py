"""`loa backup`: back a core up (docs/backup.md)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from loa.cli.options import ConfigOption, DataDirOption, JsonOption, core_settings

EXIT_INCOMPLETE = 3
SealOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="Tệp (0600) chứa mật khẩu bản sao · A file (0600) with its passphrase."),
]
PoolOption = Annotated[
    Path | None,
    typer.Option("--audio-pool", help="Thư mục giữ âm thanh cho nhiều bản sao · A folder for many backups' sound."),
]


def backup(
    to: Annotated[Path, typer.Argument(help="Tệp mới, hoặc thư mục cho nó · A new file, or a folder for it.")],
    with_root: Annotated[
        bool, typer.Option("--with-root", help="Sao cả khóa gốc: nguy hiểm · The root key too: dangerous.")
    ] = False,
    passphrase_file: SealOption = None,
    audio_pool: PoolOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Sao lưu máy chủ, kể cả khi đang chạy. · Back the core up, while it runs too.

    Exit codes: 0 all is in it, 3 it was made and something is missing or damaged, 1 none was made.
    """
    from loa.app.backup.make import back_up

    complete = asyncio.run(
        back_up(
            core_settings(config, data_dir),
            to,
            with_root=with_root,
            passphrase_file=passphrase_file,
            pool=audio_pool,
            as_json=as_json,
        )
    )
    if not complete:
        raise typer.Exit(EXIT_INCOMPLETE)
