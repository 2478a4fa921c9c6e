"""Uploads under way, and those that have just ended, for who watches their own. Pure; the time is handed in."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from loa.broadcast.content.progress import Stage
from loa.broadcast.content.worker import Work
from loa.errors import Conflict, LoaError, NotFound
from loa.model import id_text

KEPT_MS = 15 * 60_000
"""How long an upload that has ended is told of."""
MOST_ENDED = 1000
"""Ended uploads that are remembered; the one that ended first is forgotten first."""


class UploadState(StrEnum):
    """The life of an upload."""

    RECEIVING = "receiving"
    QUEUED = "queued"
    MEASURING = "measuring"
    ENCODING = "encoding"
    DONE = "done"
    FAILED = "failed"


_STAGES = {
    Stage.QUEUED: UploadState.QUEUED,
    Stage.MEASURING: UploadState.MEASURING,
    Stage.ENCODING: UploadState.ENCODING,
}


class TooManyUploads(LoaError):
    """As many uploads are under way as are allowed; `own`: of this owner alone."""

    def __init__(self, own: bool) -> None:
        super().__init__("you have as many uploads under way as are allowed" if own else "too many uploads at once")
        self.own = own


@dataclass(eq=False, slots=True)
class Upload:
    """One upload, as its owner sees it. `expected_bytes`: about how many will come, None when nobody has said."""

    id: bytes
    owner: str
    begun_ms: int
    expected_bytes: int | None
    received_bytes: int = 0
    work: Work | None = None
    ended_ms: int | None = None
    programme_id: bytes | None = None
    problem: str = ""
    detail: str = ""

    def view(self) -> tuple[UploadState, float | None]:
        """Its state, and how much of what that state does is done, 0 to 1; None when nobody knows."""
        if self.ended_ms is not None:
            return (UploadState.FAILED, None) if self.programme_id is None else (UploadState.DONE, 1.0)
        if self.work is not None:
            stage, share = self.work.progress()
            return _STAGES[stage], share
        known = self.expected_bytes
        return UploadState.RECEIVING, min(1.0, self.received_bytes / known) if known else None

    def succeed(self, programme_id: bytes, now_ms: int) -> None:
        """It has become a programme."""
        self.programme_id, self.ended_ms, self.work = programme_id, now_ms, None

    def fail(self, problem: str, detail: str, now_ms: int) -> None:
        """It has become nothing; `problem` is a slug."""
        self.problem, self.detail, self.ended_ms, self.work = problem, detail, now_ms, None


class Uploads:
    """All uploads of this core, each by its owner and the id that its owner gave it."""

    def __init__(self, at_once: int, per_owner: int) -> None:
        """How many may be under way, of all owners and of each."""
        self._at_once = at_once
        self._per_owner = per_owner
        self._known: OrderedDict[tuple[str, bytes], Upload] = OrderedDict()

    def begin(self, upload_id: bytes, owner: str, expected_bytes: int | None, now_ms: int) -> Upload:
        """A new upload. TooManyUploads; Conflict while one of the same owner and id is under way."""
        self._forget(now_ms)
        under_way = [upload for upload in self._known.values() if upload.ended_ms is None]
        before = self._known.get((owner, upload_id))
        if before is not None and before.ended_ms is None:
            raise Conflict(f"the upload {id_text(upload_id)} is under way")
        if sum(upload.owner == owner for upload in under_way) >= self._per_owner:
            raise TooManyUploads(own=True)
        if len(under_way) >= self._at_once:
            raise TooManyUploads(own=False)
        upload = self._known[owner, upload_id] = Upload(upload_id, owner, now_ms, expected_bytes)
        self._known.move_to_end((owner, upload_id))
        return upload

    def get(self, upload_id: bytes, owner: str, now_ms: int) -> Upload:
        """The owner's upload; NotFound, also for one that ended long ago."""
        self._forget(now_ms)
        upload = self._known.get((owner, upload_id))
        if upload is None:
            raise NotFound(f"no upload {id_text(upload_id)}")
        return upload

    def _forget(self, now_ms: int) -> None:
        ended = sorted((upload.ended_ms, key) for key, upload in self._known.items() if upload.ended_ms is not None)
        for at, (ended_ms, key) in enumerate(ended):
            if at < len(ended) - MOST_ENDED or now_ms > ended_ms + KEPT_MS:
                del self._known[key]
