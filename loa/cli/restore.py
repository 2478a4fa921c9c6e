"""`loa restore`: restore a backup into an empty core (docs/backup.md)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from loa.cli.backup import EXIT_INCOMPLETE, PoolOption, SealOption
from loa.cli.keys import RootOption
from loa.cli.options import ConfigOption, DataDirOption, JsonOption, core_settings


def restore(
    archive: Annotated[Path, typer.Argument(help="Bản sao lưu · The backup.")],
    root: RootOption = None,
    keep_order_key: Annotated[
        bool,
        typer.Option(
            "--keep-order-key",
            help="Giữ khóa lệnh cũ, khi máy chủ cũ chắc chắn không bao giờ chạy lại · "
            "Keep the old order key, when the lost core is sure never to run again.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Dời dữ liệu đang có sang một bên · Move aside what is there.")
    ] = False,
    despite_audit: Annotated[
        bool,
        typer.Option(
            "--despite-audit",
            help="Khôi phục dù nhật ký không toàn vẹn · Restore though the audit log does not hold.",
        ),
    ] = False,
    passphrase_file: SealOption = None,
    audio_pool: PoolOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Khôi phục bản sao vào một máy chủ trống. · Restore a backup into an empty core.

    Exit codes: 0 done, 3 done and sound is missing, 1 nothing was changed.
    """
    from loa.app.backup.restore import restore as restore_core

    whole = asyncio.run(
        restore_core(
            core_settings(config, data_dir),
            archive,
            passphrase_file=passphrase_file,
            pool=audio_pool,
            root=root,
            keep_order_key=keep_order_key,
            force=force,
            despite_audit=despite_audit,
            as_json=as_json,
        )
    )
    if not whole:
        raise typer.Exit(EXIT_INCOMPLETE)
