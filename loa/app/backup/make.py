"""A backup of the core that settings describe, from the shell."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loa.app.backup.passphrase import read_passphrase
from loa.app.backup.progress_bars import progress_bars
from loa.app.ceremonies import diary
from loa.app.ceremonies.desk import keys_folder, now_ms, say
from loa.app.shell_act import shell_act
from loa.app.store import audio_folder, store_url
from loa.broadcast.backup.make import BackedUp, Plan, make_backup
from loa.broadcast.store.unmigrated import known_revisions
from loa.config import CoreConfig
from loa.errors import ConfigError, StoreError


async def back_up(
    core: CoreConfig,
    to: Path,
    *,
    with_root: bool = False,
    passphrase_file: Path | None = None,
    pool: Path | None = None,
    as_json: bool = False,
) -> bool:
    """Back a core up, running or not, to the new file `to`, or to one of its own name in the folder `to`.

    It is told here and in the core's audit log. Whether all is in it that the store names. ConfigError, StoreError.
    """
    keys_folder(core)
    act = shell_act(now_ms())
    passphrase = read_passphrase(passphrase_file)
    plan = Plan(store_url(core), core.data_dir, audio_folder(core), act.now_ms, with_root, passphrase, pool)
    path = _file(to, plan)
    with progress_bars() as progress:
        made = await make_backup(plan, path, progress)
    if as_json:
        print(json.dumps(_values(path, made), ensure_ascii=False))
    else:
        _tell(path, plan, made)
    if made.schema == known_revisions()[0]:  # to write into an older store would migrate it
        after = {
            "sealed": passphrase is not None,
            "with_root": with_root,
            "sound_missing": len(made.missing),
            "sound_damaged": len(made.damaged),
        }
        try:
            await diary.note(core, act, "backup.make", f"backup:{made.id}", after)
        except (ConfigError, StoreError) as error:
            say(f"Chưa ghi được vào nhật ký: {error}", f"Not written into the audit log: {error}")
    return made.complete


def _file(to: Path, plan: Plan) -> Path:
    if not to.is_dir():
        return to
    at = datetime.fromtimestamp(plan.made_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    return to / f"loa-{at}-{secrets.token_hex(2)}.tar{'.sealed' if plan.passphrase else ''}"


def _tell(path: Path, plan: Plan, made: BackedUp) -> None:
    say(f"Đã sao lưu vào {path} ({made.size_bytes:,} byte)", f"Backed up, as {made.id}")
    sound = (
        f"{made.audio_files:,}" if plan.pool is None else f"{made.audio_files:,} (+{made.pooled:,} → {plan.pool})"
    )
    say(f"{made.rows:,} dòng dữ liệu, {sound} tệp âm thanh", "rows, files of sound")
    if plan.passphrase is None:
        say(
            "Bản sao chứa khóa lệnh và bí mật của thiết bị, không có mật khẩu: giữ nó cẩn thận như giữ máy chủ",
            "It holds the order key and secrets of devices, under no passphrase: guard it like the core itself",
        )
    if plan.with_root:
        say(
            "CẢNH BÁO: bản sao chứa KHÓA GỐC. Ai đọc được nó thì ra lệnh được cho mọi loa: cất nó ngoại tuyến",
            "WARNING: it holds the ROOT KEY. Who reads it commands every speaker, for good: keep it offline",
        )
    for name in made.missing:
        say(f"THIẾU tệp âm thanh {name}", "sound that is MISSING")
    for name in made.damaged:
        say(f"HỎNG tệp âm thanh {name}, không sao", "sound that is DAMAGED, and left out")
    for fault in made.unread:
        say(
            f"Bỏ lại một bản tóm tắt nhật ký: {fault}", "a digest of the audit log is left out: run loa check audit"
        )


def _values(path: Path, made: BackedUp) -> dict[str, Any]:
    return {
        "file": str(path),
        "id": str(made.id),
        "schema": made.schema,
        "size_bytes": made.size_bytes,
        "rows": made.rows,
        "audio_files": made.audio_files,
        "audio_bytes": made.audio_bytes,
        "pooled": made.pooled,
        "complete": made.complete,
        "missing": made.missing,
        "damaged": made.damaged,
        "digests_left_out": made.unread,
    }
