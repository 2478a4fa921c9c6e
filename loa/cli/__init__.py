"""The command line: one file a command. What a command needs is imported when it runs."""

from __future__ import annotations

import sys

import typer

from loa.cli.backup import backup
from loa.cli.check import check
from loa.cli.config import config
from loa.cli.demo import demo
from loa.cli.enrol import enrol
from loa.cli.impair import impair
from loa.cli.import_lists import import_lists
from loa.cli.keys import keys
from loa.cli.load import load
from loa.cli.restore import restore
from loa.cli.revoke_device import revoke_device
from loa.cli.serve import serve
from loa.cli.speaker import speaker
from loa.cli.tokens import tokens
from loa.cli.upload import upload
from loa.cli.users import users
from loa.errors import LoaError

app = typer.Typer(
    name="loa",
    help="Loa: tiếng nói của thành phố đến từng khu phố. · A city speaks to its people.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (serve, speaker, enrol, revoke_device, upload, backup, restore, demo, impair, load):
    app.command()(command)
for group in (check, config, import_lists, keys, tokens, users):
    app.add_typer(group)


def main() -> None:
    """The entry point: an error of ours is one line and exit code 1."""
    try:
        app()
    except LoaError as error:
        print(f"loa: {error}", file=sys.stderr)
        sys.exit(1)
