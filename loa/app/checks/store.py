"""`loa check store`: is the database whole, of the form it should have, and is the sound there that it names?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.app.checks.findings import Finding, error, ok, warning
from loa.app.store import audio_folder, store_url
from loa.broadcast.backup import audio_copy
from loa.broadcast.backup.load import forms_of
from loa.broadcast.backup.target import unfinished
from loa.broadcast.store.address import parse, sqlite_address
from loa.broadcast.store.copying import Forms, Tables
from loa.broadcast.store.integrity import faults
from loa.broadcast.store.unmigrated import known_revisions, reading
from loa.config import CoreConfig
from loa.errors import ConfigError, StoreError

_NAMED = 20
"""So many missing files are named; more are counted."""


async def check_store(core: CoreConfig, *, deep: bool = False) -> list[Finding]:
    """The core's store, which may be running. `deep`: all sound is read, and compared with its name."""
    if unfinished(core.data_dir):
        return [
            error("store", "một lần khôi phục bị ngắt: chạy lại loa restore", "a restore was cut off: do it again")
        ]
    try:
        async with reading(store_url(core)) as connection:
            tables = await Tables.find(connection)
            found = _form(tables.revision)
            for fault in await faults(connection):
                found.append(error("store", f"cơ sở dữ liệu hỏng: {fault}", "the database is damaged"))
            if tables.revision in known_revisions():
                found += _differences(tables.forms(), await _expected(tables.revision))
            found += await _sound(connection, tables, audio_folder(core), deep=deep)
    except (ConfigError, StoreError) as fault:
        return [error("store", f"không đọc được: {fault}", "it cannot be read")]
    if all(each.grade != "error" for each in found):
        shown = parse(store_url(core)).shown
        found.append(ok("store", f"nguyên vẹn: {shown}", "whole", revision=tables.revision))
    return found


def _form(revision: str) -> list[Finding]:
    known = known_revisions()
    if revision not in known:
        return [error("store", f"dạng {revision} là của Loa mới hơn", "its form is a newer Loa's: use that one")]
    if revision != known[0]:
        return [
            warning(
                "store",
                f"dạng {revision}; lần chạy tới sẽ nâng lên {known[0]}: sao lưu trước",
                "of an older form, which the next start brings up to date: make a backup before",
            )
        ]
    return []


async def _expected(revision: str) -> Forms:
    with tempfile.TemporaryDirectory(prefix="loa-check-") as folder:
        return await forms_of(revision, sqlite_address(Path(folder) / "scratch.db"))


def _differences(there: Forms, expected: Forms) -> list[Finding]:
    def columns(forms: Forms) -> set[str]:
        return {f"{name}.{column.name} {column.kind}" for name, form in forms.items() for column in form}

    here, wanted = columns(there), columns(expected)
    extra = [error("store", f"cột thừa: {name}", "a column that does not belong there") for name in here - wanted]
    return extra + [error("store", f"thiếu cột: {name}", "a column is missing") for name in wanted - here]


async def _sound(connection: AsyncConnection, tables: Tables, folder: Path, *, deep: bool) -> list[Finding]:
    missing, damaged, there = [], [], 0
    for named in await tables.audio(connection):
        path = audio_copy.audio_path(folder, named.sha256)
        if not path.exists():
            if named.needed:
                missing.append(named.sha256.hex())
        elif deep and audio_copy.sound_hash(path) != (path.stat().st_size, named.sha256):
            damaged.append(named.sha256.hex())
        else:
            there += 1
    found = [error("sound", f"THIẾU {name}", "is MISSING") for name in missing[:_NAMED]]
    found += [error("sound", f"HỎNG {name}", "is DAMAGED") for name in damaged[:_NAMED]]
    if (more := len(missing) + len(damaged) - len(found)) > 0:
        found.append(error("sound", f"và {more} tệp nữa", "and so many more"))
    how = "đã đọc và so từng tệp · read and compared" if deep else "chưa đọc nội dung: --deep · not read: --deep"
    return [*found, ok("sound", f"{there} tệp âm thanh có đủ ({how})", "files are there")]
