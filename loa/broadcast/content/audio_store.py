"""Where the sound of programmes lies: files that never change, each named by the SHA-256 of what it holds.

What holds for every store: a file is there whole or not at all, and the same name means the same bytes, so that two
who put the same sound at once do no harm.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """One file of a store. `put_ms`: when it was put there last."""

    digest: bytes
    size_bytes: int
    put_ms: int


class AudioStore(Protocol):
    """Files by their SHA-256. Every method raises StoreError when the store fails, DiskFull when it is full."""

    async def put(self, digest: bytes, file: Path, now_ms: int) -> None:
        """Take `file`, which holds what `digest` names, over: durable when this returns, and gone from its place.

        What is there already is the same, and counts as put now.
        """

    async def fetch(self, digest: bytes) -> Path:
        """A file of this machine that holds it, to be read and not to be changed; NotFound.

        A store elsewhere brings it here first.
        """

    async def exists(self, digest: bytes) -> bool:
        """Whether it is there."""

    async def delete(self, digest: bytes, *, put_before_ms: int) -> bool:
        """Remove it unless it was put at that time or later; whether it was removed."""

    def removing(self) -> AbstractContextManager[bool]:
        """Whether files may be removed inside: not while a backup copies them."""

    def stored(self) -> AsyncIterator[Stored]:
        """All that is there, in the order of their digests. What comes or goes meanwhile may be among it or not."""

    async def total_bytes(self) -> int:
        """How many bytes all files have."""
