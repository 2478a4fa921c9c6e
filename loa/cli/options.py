"""Options that several commands have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loa.errors import ConfigError

if TYPE_CHECKING:
    from loa.config import CoreConfig

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Tệp cấu hình · Settings, as TOML.")]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Thư mục dữ liệu · Folder of database, keys and audio.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Cho máy đọc · For programs.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Không hỏi lại · Do not ask.")]
CoreOption = Annotated[str, typer.Option(help="Địa chỉ máy chủ · Address of the core.")]
TokenFileOption = Annotated[
    Path | None, typer.Option(help="Tệp chứa mã truy cập, hoặc LOA_TOKEN · File with a token; else LOA_TOKEN.")
]


def core_settings(config: Path | None, data_dir: Path | None) -> CoreConfig:
    """The core's settings, as `loa serve` has them. What is written from now on is for nobody else to read."""
    from loa.config import load

    os.umask(0o077)
    return load(config, **({} if data_dir is None else {"data_dir": data_dir}))


def read_token(file: Path | None) -> str:
    """The token in the file, or in LOA_TOKEN; ConfigError when there is none."""
    try:
        token = file.read_text(encoding="utf-8").strip() if file else os.environ.get("LOA_TOKEN", "")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {file}: {error}") from error
    if not token:
        raise ConfigError("no token: give --token-file or LOA_TOKEN")
    return token
