"""The desk at which ceremonies are held: where the keys are, how a person is told and asked, what is noted."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from loa.broadcast.orders import key_files
from loa.broadcast.orders.keyring import KeyRing
from loa.codecs import human_text
from loa.codecs.signed import SigningKey
from loa.config import CoreConfig
from loa.durable import replace_file
from loa.errors import ConfigError, FolderBusy, StoreError
from loa.folder_lock import folder_lock

MAX_FILE_BYTES = 1 << 20


def keys_folder(core: CoreConfig) -> Path:
    """Where the core's keys are. ConfigError for whom the core could not read the files of afterwards."""
    folder = core.data_dir / "keys"
    for path in (folder, core.data_dir):
        if path.exists() and path.stat().st_uid != os.geteuid():
            owner = path.stat().st_uid
            raise ConfigError(
                f"{path} belongs to another user ({owner}): run this as that user (sudo -u '#{owner}' loa keys …)"
            )
    return folder


def open_ring(folder: Path, root: Path | None) -> KeyRing:
    """The keys there, with the root that came for a visit."""
    visiting: SigningKey | None = None if root is None else key_files.read_root(root)
    return KeyRing.open(folder, now_s(), root=visiting, create=False)


def stopped_core(core: CoreConfig) -> AbstractContextManager[None]:
    """Hold the core's folder, as a running core does; ConfigError in words while one runs."""
    return _Stopped(core.data_dir)


class _Stopped(AbstractContextManager[None]):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = folder_lock(folder)

    def __enter__(self) -> None:
        try:
            self._lock.__enter__()
        except FolderBusy as error:
            raise ConfigError("Hãy dừng máy chủ trước (loa serve) · Stop the core first (loa serve)") from error
        except OSError as error:
            raise ConfigError(f"{self._folder} cannot be used: {error.strerror or error}") from error

    def __exit__(self, *error: Any) -> None:
        self._lock.__exit__(*error)


def now_s() -> int:
    """UTC."""
    return int(time.time())


def now_ms() -> int:
    """UTC."""
    return int(time.time() * 1000)


def utc_text(at_s: int) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def say(vietnamese: str, english: str) -> None:
    """One line in both languages."""
    print(f"{vietnamese} · {english}")


def confirm(vietnamese: str, english: str, yes: bool) -> None:
    """Go on only when a person says so."""
    if not yes and not typer.confirm(f"{vietnamese} · {english}"):
        raise ConfigError("Đã dừng, không thay đổi gì · Stopped, and nothing was changed")


def typed_fingerprint(given: str | None, shown: str, vietnamese: str, english: str) -> str:
    """The fingerprint that a person has compared: from the option, or typed now. ConfigError for another one."""
    text = typer.prompt(f"{vietnamese} · {english}") if given is None else given
    if not human_text.same_fingerprint(text, shown):
        raise ConfigError(
            "Dấu vân tay không khớp: có thể tệp đã bị tráo trên đường · "
            "The fingerprints differ: the file may have been exchanged on its way"
        )
    return str(text)


def read_file(path: Path) -> bytes:
    """What is in a file that came from elsewhere; ConfigError."""
    try:
        return key_files.read(path, MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is not there") from error


def write_file(path: Path, data: bytes) -> None:
    """Write a file that goes elsewhere; ConfigError."""
    try:
        replace_file(path, data, 0o644)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error


def note(core: CoreConfig, action: str, subject: str, after: Mapping[str, Any]) -> None:
    """Write the ceremony into the core's audit log. The keys are changed already: a failure is told, no more."""
    from loa.app.store import has_store  # an offline machine need not have what a store needs

    if not has_store(core):
        return
    from loa.app.ceremonies import diary
    from loa.app.shell_act import shell_act

    try:
        asyncio.run(diary.note(core, shell_act(now_ms()), action, subject, after))
    except (ConfigError, StoreError) as error:
        say(f"Chưa ghi được vào nhật ký: {error}", f"Not written into the audit log: {error}")


def note_ring(core: CoreConfig, action: str, ring: KeyRing) -> None:
    """Write down which keys are in force now."""
    after = {
        "version": ring.key_list.version,
        "expires_s": ring.key_list.expires_s,
        "order_key": ring.order_key.key_id.hex(),
        "revoked": [key_id.hex() for key_id in ring.key_list.revoked],
    }
    note(core, action, f"root:{human_text.fingerprint(ring.root_public_key)}", after)


def say_in_force(ring: KeyRing) -> None:
    """What holds now."""
    version, until = ring.key_list.version, utc_text(ring.key_list.expires_s)
    say(f"Danh sách khóa phiên bản {version}, đến {until}", f"Key list version {version}, until {until}")
    say(f"Khóa lệnh đang dùng: {ring.order_key.key_id.hex()}", "the order key in use")
    say_taken_up()


def say_taken_up() -> None:
    """How a running core learns of it."""
    say(
        "Máy chủ đang chạy sẽ nhận trong vòng 5 giây (hoặc kill -HUP)",
        "A running core takes it up within 5 seconds (or kill -HUP)",
    )
