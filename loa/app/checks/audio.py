"""`loa check audio`: has every programme its sound, is every file whole, and is nothing left over?"""

from __future__ import annotations

from collections import Counter

from loa.app.checks.findings import Finding, error, ok, warning
from loa.app.store import audio_folder, has_store, opened_as_it_is
from loa.broadcast.content.audio_check import Fault, check_audio
from loa.broadcast.content.audio_folder import AudioFolder
from loa.broadcast.store.programmes import Programmes
from loa.config import CoreConfig
from loa.errors import ConfigError, StoreError

_DAY_MS = 86_400_000
_NAMED = 200
"""So many files are named; more are counted."""
_WORDS = {
    Fault.MISSING: ("THIẾU", "is MISSING: bring it back from a backup, or upload the programme anew"),
    Fault.DAMAGED: ("HỎNG", "is DAMAGED: bring it back from a backup, or upload the programme anew"),
    Fault.ORPHAN: ("THỪA", "is left over; the core removes it in its time"),
}


async def check_sound(core: CoreConfig, now_ms: int) -> list[Finding]:
    """The sound of a core, which may be running. All of it is read; nothing is changed."""
    if not has_store(core):
        return [error("sound", f"không có kho dữ liệu trong {core.data_dir}", "there is no core's store there")]
    found: list[Finding] = []
    counts: Counter[Fault | None] = Counter()
    try:
        async with opened_as_it_is(core) as db:
            store, programmes = AudioFolder(audio_folder(core)), Programmes(db)
            async for each in check_audio(store, programmes, now_ms - core.programme_kept_days * _DAY_MS):
                counts[each.fault] += 1
                if each.fault is not None and len(found) < _NAMED:
                    grade = warning if each.fault is Fault.ORPHAN else error
                    vietnamese, english = _WORDS[each.fault]
                    titles = "; ".join(each.titles)
                    named = f"{vietnamese} {each.digest.hex()} {titles}".rstrip()
                    found.append(grade("sound", named, english, sha256=each.digest.hex(), titles=each.titles))
    except (ConfigError, StoreError) as fault:
        return [*found, error("sound", f"không đọc được: {fault}", "it cannot be read")]
    if (more := counts.total() - counts[None] - len(found)) > 0:
        found.append(error("sound", f"và {more} tệp nữa", "and so many more"))
    return [*found, ok("sound", f"{counts[None]} tệp âm thanh nguyên vẹn", "files are whole")]
