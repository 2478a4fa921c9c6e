"""Keys from a root that never comes near the core: made offline, asked for, signed, installed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from loa.app.ceremonies.desk import (
    keys_folder,
    note_ring,
    now_s,
    open_ring,
    read_file,
    say,
    say_in_force,
    typed_fingerprint,
    write_file,
)
from loa.app.ceremonies.order_keys import parse_key_id
from loa.broadcast.orders import key_exchange, key_files, root_custody
from loa.codecs import human_text, signed
from loa.config import CoreConfig
from loa.errors import ConfigError


def create_root(folder: Path) -> None:
    """Make the root key, offline. ConfigError."""
    public_key = root_custody.create_root(folder)
    say(f"Dấu vân tay khóa gốc: {human_text.fingerprint(public_key)}", "the root's fingerprint: write it down")
    say(
        f"Khóa gốc ở {folder / key_files.ROOT_KEY}. Sao ra hai bản (loa keys export --root {folder})",
        "Make two copies of it, and keep them in two places",
    )


def request(core: CoreConfig, out: Path, *, renew: bool, revoke: Iterable[str]) -> None:
    """Ask for a key list for this core. ConfigError."""
    ids = [parse_key_id(text) for text in revoke]
    if not core.data_dir.exists():
        key_files.make_folder(core.data_dir)
    data = key_exchange.make_request(keys_folder(core), now_s(), renew=renew, revoke=ids)
    write_file(out, data)
    say_request(out, data)


def say_request(out: Path, data: bytes) -> None:
    """What to do with a request that was written."""
    say(f"Yêu cầu: {out}", "the request; take it to where the root key is, and run loa keys sign there")
    say(f"Dấu vân tay của yêu cầu: {human_text.fingerprint(data)}", "its fingerprint: read it out there")


def sign(
    request: Path, root: Path, out: Path, *, fingerprint: str | None, at_least: int, revoke_others: bool
) -> None:
    """Sign a key list, where the root key is. ConfigError."""
    data = read_file(request)
    asked = key_exchange.open_request(data)
    say(f"Khóa lệnh được yêu cầu: {signed.key_id(asked.public_key).hex()}", "the order key that is asked for")
    for key_id in asked.revoke:
        say(f"Thu hồi: {key_id.hex()}", "to be revoked")
    typed_fingerprint(
        fingerprint,
        human_text.fingerprint(data),
        "Gõ dấu vân tay của yêu cầu như máy chủ hiện ra",
        "Type the request's fingerprint as the core shows it",
    )
    if not root.is_dir():
        raise ConfigError(f"{root} is not the folder of a root key")
    grant, key_list = key_exchange.sign_request(
        root, asked, now_s(), at_least=at_least, revoke_others=revoke_others
    )
    write_file(out, grant.encode())
    for key_id in set(key_list.revoked) - set(asked.revoke):
        say(f"Đã thu hồi: {key_id.hex()}", "revoked")
    say(f"Đã ký danh sách phiên bản {key_list.version}: {out}", "signed; take it to the core: loa keys install")
    say(f"Dấu vân tay khóa gốc: {human_text.fingerprint(grant.root_public_key)}", "the root's fingerprint")


def install(core: CoreConfig, grant: Path, root_fingerprint: str | None) -> None:
    """Take a signed key list into this core. ConfigError."""
    folder, data = keys_folder(core), read_file(grant)
    if not (folder / key_files.ROOT_PUBLIC).exists():
        root_fingerprint = confirmed_root(data, root_fingerprint)
    key_exchange.install_grant(folder, data, now_s(), root_fingerprint=root_fingerprint)
    ring = open_ring(folder, None)
    note_ring(core, "keys.install", ring)
    say_in_force(ring)


def confirmed_root(grant: bytes, given: str | None) -> str:
    """The fingerprint of the root that signed a grant, as a person has compared it; ConfigError."""
    shown = human_text.fingerprint(key_exchange.open_grant(grant)[0].root_public_key)
    return typed_fingerprint(
        given,
        shown,
        "Gõ dấu vân tay khóa gốc như máy giữ khóa gốc hiện ra",
        "Type the root's fingerprint as the machine that keeps it shows it",
    )
