"""The root key is lost: another in its place, and every device enrolled again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from loa.app.ceremonies import re_enrolment
from loa.app.ceremonies.desk import (
    confirm,
    keys_folder,
    note_ring,
    now_ms,
    now_s,
    open_ring,
    read_file,
    say,
    stopped_core,
    write_file,
)
from loa.app.ceremonies.exchange import confirmed_root, say_request
from loa.app.shell_act import shell_act
from loa.broadcast.orders import root_replacement
from loa.codecs import human_text
from loa.config import CoreConfig

DAY_S = 86_400


def ask_new_root(core: CoreConfig, request: Path) -> None:
    """Ask a root that is kept elsewhere, and is to take the place of the lost one. ConfigError."""
    data = root_replacement.request_of_new_root(keys_folder(core), now_s())
    write_file(request, data)
    say_request(request, data)
    say("Sau đó chạy lại với --grant", "then run this again with --grant")


def replace_root(
    core: CoreConfig,
    *,
    codes: Path | None,
    valid_days: int,
    grant: Path | None,
    root_fingerprint: str | None,
    yes: bool,
) -> None:
    """A new root in place of the lost one, on a stopped core, and who must enrol again. ConfigError; StoreError."""
    folder = keys_folder(core)
    answer = None if grant is None else read_file(grant)
    if answer is not None:
        root_fingerprint = confirmed_root(answer, root_fingerprint)
    with stopped_core(core):
        confirm(
            "Mọi thiết bị đã đăng ký sẽ không nghe lệnh nữa cho đến khi đăng ký lại. Tiếp tục?",
            "No enrolled device will obey any more until it is enrolled again. Go on?",
            yes,
        )
        kept = root_replacement.replace_root(folder, now_ms(), grant=answer, root_fingerprint=root_fingerprint)
        ring = open_ring(folder, None)
        note_ring(core, "keys.replace_root", ring)
        say(f"Khóa cũ được giữ ở {kept}", "the old keys are kept there")
        say(f"Khóa gốc mới: {human_text.fingerprint(ring.root_public_key)}", "the new root key")
        _left_behind(core)
        if codes is not None:
            _new_codes(core, codes, valid_days)
    if codes is None:
        say("Mã đăng ký mới cho tất cả: loa keys enrol-again --codes TỆP.csv", "new codes for all of them")
    if grant is None:
        say("Cất khóa gốc mới, hai bản: loa keys export, loa keys take-root-away", "now take the new root away")


def enrol_again(core: CoreConfig, *, codes: Path | None, list_to: Path | None, valid_days: int) -> None:
    """Who must be enrolled again, and new codes for them. ConfigError; StoreError."""
    keys_folder(core)
    if _left_behind(core) == 0:
        return
    if list_to is not None:
        count = asyncio.run(re_enrolment.list_devices(core, list_to))
        say(f"{count} thiết bị trong {list_to}", "the devices are in that file")
    if codes is not None:
        _new_codes(core, codes, valid_days)


def _left_behind(core: CoreConfig) -> int:
    devices = asyncio.run(re_enrolment.devices_left_behind(core))
    say(f"Phải đăng ký lại: {len(devices)} thiết bị", f"to be enrolled again: {len(devices)} devices")
    for place, count in re_enrolment.by_area(devices).items():
        print(f"  {count:6}  {' / '.join(place)}")
    return len(devices)


def _new_codes(core: CoreConfig, path: Path, valid_days: int) -> None:
    count = asyncio.run(re_enrolment.new_codes(core, path, shell_act(now_ms()), valid_days * DAY_S))
    say(
        f"{count} mã đăng ký trong {path}; ai có tệp này đăng ký được thiết bị",
        f"{count} codes: keep the file safe",
    )
