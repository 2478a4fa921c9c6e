"""Uploads as they are watched."""

from __future__ import annotations

from datetime import datetime

from loa.broadcast.content.uploads import Upload, UploadState
from loa.control_api.models.base import Strict, utc
from loa.model import id_text


class UploadOut(Strict):
    """How far an upload is. `share` is how much of what its state does is done, 0 to 1, where that is known.

    `expected_bytes` is the length of the whole body until the file is there; `problem` is a slug.
    """

    id: str
    state: UploadState
    received_bytes: int
    expected_bytes: int | None
    share: float | None
    programme_id: str | None
    problem: str | None
    detail: str | None
    begun_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, upload: Upload) -> UploadOut:
        """As it is shown."""
        state, share = upload.view()
        return cls(
            id=id_text(upload.id),
            state=state,
            received_bytes=upload.received_bytes,
            expected_bytes=upload.expected_bytes,
            share=None if share is None else round(share, 4),
            programme_id=None if upload.programme_id is None else id_text(upload.programme_id),
            problem=upload.problem or None,
            detail=upload.detail or None,
            begun_at=utc(upload.begun_ms),
            ended_at=utc(upload.ended_ms),
        )
