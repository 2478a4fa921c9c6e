"""`loa check`: what is wrong, in words, before somebody else finds it (docs/backup.md, docs/settings.md)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loa.cli.backup import PoolOption, SealOption
from loa.cli.options import ConfigOption, DataDirOption, JsonOption, core_settings

if TYPE_CHECKING:
    from loa.app.checks.findings import Finding

check = typer.Typer(
    name="check",
    help="Kiểm tra, nói rõ sai ở đâu; mã thoát 1 khi có lỗi. · Check, and say what is wrong; exit code 1 if so.",
    no_args_is_help=True,
)


@check.command()
def config(
    file: Annotated[
        Path | None, typer.Argument(help="Tệp cấu hình · Settings, as TOML; else the environment alone.")
    ] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Kiểm tra cấu hình và máy này. · Check settings, and the machine that they are for."""
    from loa.app.checks.config import check_config

    _end(check_config(file, data_dir), as_json)


@check.command()
def audit(
    where: Annotated[
        Path | None,
        typer.Argument(help="Tệp nhật ký đã xuất hoặc thư mục dữ liệu · An exported log, or a core's folder."),
    ] = None,
    digests: Annotated[
        Path | None, typer.Option("--digests", help="Thư mục bản tóm tắt · Folder of digests kept elsewhere.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Kiểm chứng nhật ký. · Prove the audit log, and name the first entry that does not hold."""
    from loa.app.checks.audit import check_export, check_stored

    if where is not None and where.is_dir():
        where, data_dir = None, where
    if where is None:
        _end(asyncio.run(check_stored(core_settings(config, data_dir), digests)), as_json)
    else:
        _end(check_export(where, digests), as_json)


@check.command()
def audio(as_json: JsonOption = False, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Đọc mọi tệp âm thanh, đối chiếu với chương trình. · Read every sound, compare it with the programmes.

    Máy chủ có thể đang chạy. · The core may be running.
    """
    from loa.app.checks.audio import check_sound

    _end(asyncio.run(check_sound(core_settings(config, data_dir), time.time_ns() // 1_000_000)), as_json)


@check.command()
def store(
    deep: Annotated[bool, typer.Option("--deep", help="Đọc mọi tệp âm thanh · Read all sound too.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Kiểm tra kho dữ liệu và âm thanh. · Check the database, its form, and that its sound is there."""
    from loa.app.checks.store import check_store

    _end(asyncio.run(check_store(core_settings(config, data_dir), deep=deep)), as_json)


@check.command()
def keys(as_json: JsonOption = False, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Kiểm tra khóa. · Check the keys."""
    from loa.app.checks.keys import check_keys

    _end(check_keys(core_settings(config, data_dir), int(time.time())), as_json)


@check.command()
def backup(
    archive: Annotated[Path, typer.Argument(help="Bản sao lưu · The backup.")],
    passphrase_file: SealOption = None,
    audio_pool: PoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Kiểm tra một bản sao lưu mà không khôi phục. · Check a backup without restoring it."""
    from loa.app.checks.backup import check_backup

    _end(asyncio.run(check_backup(archive, passphrase_file, audio_pool)), as_json)


def _end(found: list[Finding], as_json: bool) -> None:
    from loa.app.checks.findings import tell

    if not tell(found, as_json=as_json):
        raise typer.Exit(1)
