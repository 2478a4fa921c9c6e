"""`loa config`: the settings there are (docs/settings.md)."""

from __future__ import annotations

import typer

config = typer.Typer(
    name="config", help="Các cài đặt của máy chủ. · The settings of the core.", no_args_is_help=True
)


@config.command()
def reference() -> None:
    """Bảng mọi cài đặt, dạng Markdown. · All settings as a table, in Markdown."""
    from loa.app.settings_reference import reference_table

    print(reference_table(), end="")


@config.command()
def example() -> None:
    """Tệp cấu hình mẫu, dạng TOML. · A settings file to begin with, as TOML."""
    from loa.app.settings_reference import example

    print(example(), end="")
