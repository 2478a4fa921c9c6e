"""A restore into the core that settings describe, from the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loa.app.backup.passphrase import read_passphrase
from loa.app.backup.progress_bars import progress_bars
from loa.app.ceremonies.desk import keys_folder, now_ms, say, stopped_core, utc_text
from loa.app.shell_act import shell_act
from loa.app.store import audio_folder
from loa.broadcast.backup.contents import BackupFile
from loa.broadcast.backup.restore import Restored, RestorePlan, restore_backup
from loa.broadcast.backup.restored_keys import KeysAre
from loa.broadcast.orders import key_files
from loa.config import CoreConfig
from loa.control_api.first_token import private_folder
from loa.errors import AuditError, ConfigError, NotEmpty


async def restore(
    core: CoreConfig,
    archive: Path,
    *,
    passphrase_file: Path | None = None,
    pool: Path | None = None,
    root: Path | None = None,
    keep_order_key: bool = False,
    force: bool = False,
    despite_audit: bool = False,
    as_json: bool = False,
) -> bool:
    """Restore a backup; it is told here. Whether no sound is missing. When it raises, nothing was changed.

    ConfigError while a core runs there, and for what `restore_backup` refuses.
    """
    keys_folder(core)
    file = BackupFile(archive, read_passphrase(passphrase_file))
    plan = RestorePlan(
        core.data_dir,
        audio_folder(core),
        core.database_url or None,
        shell_act(now_ms()),
        root=None if root is None else key_files.read_root(root),
        keep_order_key=keep_order_key,
        force=force,
        despite_audit=despite_audit,
        pool=pool,
    )
    private_folder(core.data_dir)
    try:
        with stopped_core(core), progress_bars() as progress:
            done = await restore_backup(plan, file, progress)
    except NotEmpty as error:
        raise ConfigError(
            f"{error}. --force: dời sang một bên, không xóa · moves it aside, removes nothing"
        ) from error
    except AuditError as error:
        raise ConfigError(f"{error}. --despite-audit: vẫn khôi phục · restores it all the same") from error
    if as_json:
        print(json.dumps(_values(done), ensure_ascii=False))
    else:
        _tell(done, core.data_dir)
    return not done.missing


def _tell(done: Restored, folder: Path) -> None:
    if done.resumed:
        say(
            f"Đã hoàn tất lần khôi phục bị ngắt, bản sao {done.backup_id}",
            "The restore that was cut off is finished",
        )
        say("Xem khóa: loa keys show", "Look at the keys: loa keys show")
        return
    made = utc_text(done.made_ms // 1000)
    say(f"Đã khôi phục vào {folder} bản sao {done.backup_id} của {made}", "restored")
    say(f"{done.rows:,} dòng dữ liệu, {done.audio_files:,} tệp âm thanh", "rows, files of sound")
    if done.aside:
        say(f"Dữ liệu cũ ở {folder / done.aside}", "what was there before")
    for vietnamese, english in KEY_WORDS[done.keys]:
        say(vietnamese, english)
    for name in done.missing:
        say(f"THIẾU tệp âm thanh {name}", "sound that is MISSING")
    say(
        "Thay đổi sau bản sao đã mất: thu hồi lại thiết bị và mã truy cập đã thu hồi từ đó đến nay",
        "What changed after the backup is lost: revoke again what was revoked since then, devices and tokens",
    )


KEY_WORDS: dict[KeysAre, tuple[tuple[str, str], ...]] = {
    KeysAre.NEW: (
        ("Khóa lệnh mới có hiệu lực, các khóa cũ bị thu hồi", "A new order key; the old ones are revoked"),
    ),
    KeysAre.KEPT: (
        (
            "Khóa lệnh như cũ. Máy chủ cũ KHÔNG được chạy lại: hai máy sẽ cùng ra lệnh",
            "The order key is the old one. The lost core must NEVER run again: two would give orders",
        ),
        ("Đổi khóa khi có khóa gốc: loa keys rotate --root …", "Rotate it when the root key is at hand"),
    ),
    KeysAre.NEEDED: (
        (
            "Máy chủ CHƯA chạy được: khóa gốc phải ký một khóa lệnh mới",
            "It does NOT start before the root has signed",
        ),
        ("Tại đây: loa keys request --out YÊU-CẦU", "Here: loa keys request --out REQUEST"),
        (
            "Ở máy giữ khóa gốc: loa keys sign YÊU-CẦU --root … --revoke-others --out TRẢ-LỜI",
            "Where the root key is: loa keys sign REQUEST --root … --revoke-others --out GRANT",
        ),
        ("Tại đây: loa keys install TRẢ-LỜI", "Here: loa keys install GRANT (docs/keys.md)"),
    ),
    KeysAre.NONE: (("Bản sao không có khóa: máy chủ tự tạo khi chạy", "No keys in it: the core makes its own"),),
}
"""What is said of the keys, and what is to be done about them."""


def _values(done: Restored) -> dict[str, Any]:
    return {
        "id": done.backup_id,
        "resumed": done.resumed,
        "made_ms": done.made_ms,
        "rows": done.rows,
        "audio_files": done.audio_files,
        "keys": str(done.keys),
        "aside": done.aside,
        "missing": done.missing,
    }
