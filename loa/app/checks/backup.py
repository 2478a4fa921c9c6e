"""`loa check backup`: could this backup be restored here? It is read to its end, and nothing is written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from loa.app.backup.passphrase import read_passphrase
from loa.app.backup.progress_bars import progress_bars
from loa.app.ceremonies.desk import utc_text
from loa.app.checks.findings import Finding, error, ok
from loa.broadcast.backup import audio_copy
from loa.broadcast.backup.contents import BackupFile, OnlyLook, read_through
from loa.broadcast.backup.load import forms_of
from loa.broadcast.store.address import sqlite_address
from loa.errors import AuthorityError, StoreError, WireError


async def check_backup(path: Path, passphrase_file: Path | None, pool: Path | None) -> list[Finding]:
    """A backup, and the sound that it names in a pool. ConfigError for a file or a passphrase that is of no use."""
    file = BackupFile(path, read_passphrase(passphrase_file))
    try:
        with file.opened() as reader:
            manifest = reader.manifest
        with tempfile.TemporaryDirectory(prefix="loa-check-") as folder:
            forms = await forms_of(manifest.schema, sqlite_address(Path(folder) / "scratch.db"))
        with progress_bars() as progress:
            contents = read_through(file, manifest, forms, OnlyLook(), progress)
    except (WireError, AuthorityError, StoreError) as fault:
        return [error("backup", f"KHÔNG khôi phục được: {fault}", "it canNOT be restored", where=str(path))]
    found = []
    for sha256, needed in contents.named.items():
        if sha256 in contents.audio:
            continue
        pooled = None if pool is None else audio_copy.sound_hash(audio_copy.audio_path(pool, sha256))
        if pooled is None and needed:
            found.append(error("backup", f"THIẾU âm thanh {sha256.hex()}", "sound that is MISSING"))
        elif pooled is not None and pooled[1] != sha256:
            found.append(error("backup", f"HỎNG trong kho âm thanh: {sha256.hex()}", "it is DAMAGED in the pool"))
    rows = sum(table.rows for table in manifest.tables)
    made = utc_text(manifest.made_ms // 1000)
    found.append(
        ok(
            "backup",
            f"toàn vẹn: {manifest.id}, {made}; {rows:,} dòng, {len(contents.audio):,} tệp âm thanh",
            "whole; made at; rows, files of sound in it",
            id=str(manifest.id),
            schema=manifest.schema,
            made_ms=manifest.made_ms,
            keys=manifest.keys,
        )
    )
    return found
