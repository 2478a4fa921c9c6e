"""`loa tokens`: the store's tokens from the shell of the core, for when the API is not to be trusted or not up."""

from __future__ import annotations

import typer

from loa.cli.options import ConfigOption, DataDirOption, YesOption, core_settings

tokens = typer.Typer(
    name="tokens",
    help="Mã truy cập API, từ dòng lệnh của máy chủ. · Tokens of the API, from the core's shell.",
    no_args_is_help=True,
)


@tokens.callback()
def _tokens() -> None:
    """Mã truy cập API, từ dòng lệnh của máy chủ. · Tokens of the API, from the core's shell."""


@tokens.command()
def revoke_all(yes: YesOption = False, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Thu hồi mọi mã, tạo một mã quản trị mới. · Revoke every token, and make a new administrator's."""
    from loa.app.ceremonies.core_compromised import revoke_tokens

    revoke_tokens(core_settings(config, data_dir), yes=yes)
