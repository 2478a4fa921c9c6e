"""Whether the audio store and the database say the same: every programme has its sound, and every file is whole."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from loa.broadcast.content.audio_store import AudioStore
from loa.broadcast.content.disk import failure
from loa.broadcast.store.paging import Page
from loa.broadcast.store.programmes import Programmes
from loa.errors import NotFound

_PAGE = 500


class Fault(StrEnum):
    """What can be wrong with a sound. An orphan is no loss: it is collected in its time."""

    MISSING = "missing"
    DAMAGED = "damaged"
    ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Finding:
    """A sound and what is the matter with it, None for nothing. `titles`: of the programmes that have it."""

    digest: bytes
    fault: Fault | None
    titles: tuple[str, ...] = ()


async def check_audio(store: AudioStore, programmes: Programmes, kept_since_ms: int) -> AsyncIterator[Finding]:
    """Read every file and compare it with its name; then name what programmes miss. StoreError.

    What programmes had that were deleted since `kept_since_ms` is no orphan. What comes and goes while this runs is
    looked for again before it is called missing or an orphan.
    """
    titles = await _titles(programmes)
    seen: set[bytes] = set()
    async for each in store.stored():
        seen.add(each.digest)
        try:
            whole = await _is_whole(await store.fetch(each.digest), each.digest)
        except NotFound:
            continue  # it was taken away meanwhile; whether it may is seen below
        if not whole:
            yield Finding(each.digest, Fault.DAMAGED, titles.get(each.digest, ()))
        elif each.digest in titles or await programmes.naming([each.digest], kept_since_ms):
            yield Finding(each.digest, None, titles.get(each.digest, ()))
        else:
            yield Finding(each.digest, Fault.ORPHAN)
    for digest in sorted(titles):
        if digest not in seen or not await store.exists(digest):
            gone = not await programmes.naming([digest], kept_since_ms)
            if not gone and not await store.exists(digest):
                yield Finding(digest, Fault.MISSING, titles[digest])


async def _titles(programmes: Programmes) -> dict[bytes, tuple[str, ...]]:
    """The titles of all programmes, by their sound."""
    found: dict[bytes, tuple[str, ...]] = {}
    page = Page(limit=_PAGE)
    while True:
        rows = await programmes.list(page)
        for row in rows:
            found[row.sha256] = (*found.get(row.sha256, ()), row.title)
        if len(rows) < _PAGE:
            return found
        page = page.behind(rows[-1])


async def _is_whole(path: Path, digest: bytes) -> bool:
    try:
        return await asyncio.to_thread(_sha256, path) == digest
    except FileNotFoundError as error:
        raise NotFound(f"there is no sound {digest.hex()}") from error
    except OSError as error:
        raise failure("the sound cannot be read", error) from error


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
