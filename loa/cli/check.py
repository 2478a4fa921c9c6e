"""`loa check …`: whether what a core keeps is whole."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import typer

from loa.cli.options import ConfigOption, DataDirOption, core_settings

if TYPE_CHECKING:
    from loa.config import CoreConfig

check = typer.Typer(
    name="check", help="Kiểm tra dữ liệu của máy chủ. · Check what a core keeps.", no_args_is_help=True
)
WORDS = {
    "missing": "THIẾU · MISSING",
    "damaged": "HỎNG · DAMAGED",
    "orphan": "THỪA · ORPHAN",
}


@check.command()
def audio(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Đọc lại mọi tệp âm thanh, đối chiếu với chương trình. · Read every sound, compare it with the programmes.

    Mã thoát 1 khi có tệp thiếu hoặc hỏng; tệp thừa được dọn sau. Máy chủ có thể đang chạy. · Exit code 1 when
    something is missing or damaged; orphans are collected later. The core may be running.
    """
    raise typer.Exit(asyncio.run(_audio(core_settings(config, data_dir))))


async def _audio(config: CoreConfig) -> int:
    from loa.app.store import audio_folder, has_store, opened_store
    from loa.broadcast.content.audio_check import Fault, check_audio
    from loa.broadcast.content.audio_folder import AudioFolder
    from loa.broadcast.store.programmes import Programmes
    from loa.errors import ConfigError

    if not has_store(config):
        raise ConfigError(f"data_dir: there is no core's store in {config.data_dir}")
    counts = dict.fromkeys(("whole", *WORDS), 0)
    kept_since_ms = time.time_ns() // 1_000_000 - config.programme_kept_days * 86_400_000
    async with opened_store(config) as db:
        async for found in check_audio(AudioFolder(audio_folder(config)), Programmes(db), kept_since_ms):
            counts[found.fault or "whole"] += 1
            if found.fault is not None:
                print(f"{WORDS[found.fault]}  {found.digest.hex()}  {'; '.join(found.titles)}".rstrip(), flush=True)
    summary = (f"{counts['whole']} nguyên vẹn · whole", *(f"{counts[f]} {WORDS[f].lower()}" for f in Fault))
    print(", ".join(summary))
    return 1 if counts[Fault.MISSING] or counts[Fault.DAMAGED] else 0
