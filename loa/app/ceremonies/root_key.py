"""The root key as a thing that is kept: taken away, brought back, put on paper, read from it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from loa.app.ceremonies.desk import keys_folder, note, now_s, read_file, say, utc_text
from loa.broadcast.orders import key_files, root_backup, root_custody
from loa.broadcast.orders.root_backup import LEAST_PASSPHRASE
from loa.codecs import human_text
from loa.config import CoreConfig
from loa.errors import ConfigError


def take_away(core: CoreConfig, places: Sequence[Path]) -> None:
    """Copy the root key, read it back, and remove it from the core. ConfigError."""
    folder = keys_folder(core)
    copies = root_custody.take_away(folder, places)
    fingerprint = human_text.fingerprint(key_files.read_root_public(folder))
    note(core, "keys.take_root_away", f"root:{fingerprint}", {"copies": len(copies)})
    for place in copies:
        say(f"Khóa gốc đã ở {place}, đã đọc lại", "the root key is there, and was read back")
        if root_custody.same_disk(folder, place):
            say(
                "  CẢNH BÁO: cùng một đĩa với máy chủ. Hãy chuyển nó đi",
                "WARNING: on the same disk as the core. Take it elsewhere",
            )
    say(f"Đã xóa khỏi {folder}", "removed there")
    if len(copies) < 2:
        say(
            "CHỈ CÓ MỘT BẢN. Hỏng nó là phải đăng ký lại mọi loa. Làm bản thứ hai: "
            f"loa keys export BACKUP.txt --root {copies[0]}",
            "ONLY ONE COPY. If it is lost, every speaker must be enrolled again. Make a second one",
        )


def bring_back(core: CoreConfig, source: Path) -> None:
    """Bring the root key back to the core. ConfigError."""
    folder = keys_folder(core)
    public_key = root_custody.bring_back(folder, source)
    note(core, "keys.bring_root_back", f"root:{human_text.fingerprint(public_key)}", {})
    say(f"Khóa gốc đã ở {folder}", "the root key is there; take it away when you are done: loa keys take-root-away")


def export(core: CoreConfig, out: Path, root: Path | None, passphrase_file: Path | None) -> None:
    """The root key on paper, under a passphrase. ConfigError."""
    key = key_files.read_root(keys_folder(core) if root is None else root)
    passphrase = _passphrase(passphrase_file, confirm=True)
    fingerprint = human_text.fingerprint(key.public_key)
    text = (
        f"# LOA: khóa gốc, mã hóa bằng mật khẩu · root key, under a passphrase\n"
        f"# Dấu vân tay · Fingerprint {fingerprint}\n"
        f"# {utc_text(now_s())}. Mở bằng · Opened by: loa keys import\n" + root_backup.seal(key, passphrase)
    )
    if root_backup.open_backup(text, passphrase).seed != key.seed:
        raise ConfigError("the backup does not open: this machine cannot be trusted")
    if str(out) == "-":
        print(text, end="")
        return
    _write_new(out, text)
    say(
        f"Bản sao: {out}", "the backup; print it, keep it away from its passphrase, and try loa keys import with it"
    )


def import_(core: CoreConfig, source: Path, to: Path | None, passphrase_file: Path | None) -> None:
    """The root key back from its paper. ConfigError."""
    if str(source) == "-":
        say("Gõ từng dòng, rồi Ctrl-D", "Type it line by line, then Ctrl-D")
        text = sys.stdin.read(root_backup.MAX_TEXT_BYTES)
    else:
        text = read_file(source).decode("utf-8", "replace")
    root_backup.check_lines(text)  # a typing mistake is told before the passphrase is asked for
    root = root_backup.open_backup(text, _passphrase(passphrase_file, confirm=False))
    if to is None:
        to = keys_folder(core)
        if not (to / key_files.ROOT_PUBLIC).exists():
            raise ConfigError(f"{to} holds no {key_files.ROOT_PUBLIC}: name a folder with --to")
    public_key = root_custody.create_root(to, root)
    say(f"Khóa gốc {human_text.fingerprint(public_key)} đã ở {to}", "the root key is there")


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    if file is None:
        if confirm:
            say(
                f"Mật khẩu, ít nhất {LEAST_PASSPHRASE} ký tự",
                f"A passphrase, at least {LEAST_PASSPHRASE} characters",
            )
        return str(typer.prompt("Mật khẩu · Passphrase", hide_input=True, confirmation_prompt=confirm))
    try:
        key_files.must_be_private(file)
    except FileNotFoundError as error:
        raise ConfigError(f"{file} is not there") from error
    return read_file(file).decode("utf-8", "replace")


def _write_new(path: Path, text: str) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {error.strerror or error}") from error
