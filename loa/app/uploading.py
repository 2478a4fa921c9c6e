"""An upload that tells how far it is: first by what was sent, then by what the core says of it."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loa.app.api_client import ApiClient, ApiError, Json

LOOK_S = 0.3


@dataclass(frozen=True, slots=True)
class Seen:
    """A state of docs/http.md, *Uploads*, and how much of what it does is done, 0 to 1."""

    state: str
    share: float


async def upload_watched(
    api: ApiClient, file: Path, title: str, klass: str, area_id: str | None, tell: Callable[[Seen], None]
) -> Json:
    """Make a programme of `file`, whose SHA-256 goes with it; the programme. ApiError for a problem.

    `tell` is told now and then how far it is, and at last that it is done or has failed.
    """
    size, sha256 = await asyncio.to_thread(_measured, file)
    upload_id, sent = str(uuid.uuid4()), 0

    def count(count_bytes: int) -> None:
        nonlocal sent
        sent = count_bytes

    making = asyncio.create_task(
        api.upload(title, file, klass, area_id, upload_id=upload_id, sha256=sha256, sent=count)
    )
    try:
        while not (await asyncio.wait({making}, timeout=LOOK_S))[0]:
            seen = Seen("receiving", sent / size) if sent < size else await _asked(api, upload_id)
            if seen is not None:
                tell(seen)
        made = await making
    except ApiError:
        tell(Seen("failed", 0.0))
        raise
    finally:
        making.cancel()
    tell(Seen("done", 1.0))
    return made


async def _asked(api: ApiClient, upload_id: str) -> Seen | None:
    try:
        said = await api.call("GET", f"/api/v1/uploads/{upload_id}")
    except ApiError:
        return None  # the upload itself will say what is wrong
    return Seen(said["state"], said["share"] or 0.0)


def _measured(file: Path) -> tuple[int, str]:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
    return file.stat().st_size, digest.hexdigest()
