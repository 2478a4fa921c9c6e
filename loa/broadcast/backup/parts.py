"""The files in a backup: what each is called, how large it may be, and in which order they come."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from loa.broadcast.backup.manifest import MAX_MANIFEST_BYTES
from loa.broadcast.store.row_format import MAX_PART_BYTES
from loa.errors import WireError

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
MAX_PARTS = 500_000
"""So many files at most are in a backup."""


class PartKind(IntEnum):
    """What a file in a backup is. Files come in this order."""

    MANIFEST = 0
    ROWS = 1
    KEY = 2
    DIGEST = 3
    AUDIO = 4
    SUMS = 5


MAX_BYTES = {
    PartKind.MANIFEST: MAX_MANIFEST_BYTES,
    PartKind.ROWS: MAX_PART_BYTES + 65_536,
    PartKind.KEY: 65_536,
    PartKind.DIGEST: 65_536,
    PartKind.AUDIO: 256 * 2**20,
    PartKind.SUMS: MAX_PARTS * 170,
}
_FORMS: dict[PartKind, re.Pattern[str]] = {
    PartKind.MANIFEST: re.compile(re.escape(MANIFEST)),
    PartKind.ROWS: re.compile(r"rows/([a-z][a-z0-9_]{0,47})/(\d{6})\.gz", re.ASCII),
    PartKind.KEY: re.compile(r"keys/([A-Za-z0-9_-][A-Za-z0-9._-]{0,60})", re.ASCII),
    PartKind.DIGEST: re.compile(r"audit/([A-Za-z0-9_-][A-Za-z0-9._-]{0,60})", re.ASCII),
    PartKind.AUDIO: re.compile(r"audio/[0-9a-f]{2}/([0-9a-f]{64})\.ogg", re.ASCII),
    PartKind.SUMS: re.compile(re.escape(SUMS)),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a backup. `what`: the table, its own name, or the hash in hex; `number`: of a part of rows."""

    kind: PartKind
    what: str = ""
    number: int = 0

    @property
    def name(self) -> str:
        """What it is called in the archive."""
        match self.kind:
            case PartKind.ROWS:
                return f"rows/{self.what}/{self.number:06d}.gz"
            case PartKind.KEY:
                return f"keys/{self.what}"
            case PartKind.DIGEST:
                return f"audit/{self.what}"
            case PartKind.AUDIO:
                return f"audio/{self.what[:2]}/{self.what}.ogg"
            case PartKind.SUMS:
                return SUMS
            case PartKind.MANIFEST:
                return MANIFEST


def parse_part(name: str, size: int) -> Part:
    """The part that is called so; WireError when a backup holds none of that name, or none that large."""
    for kind, form in _FORMS.items():
        if found := form.fullmatch(name):
            groups = found.groups()
            part = Part(kind, groups[0] if groups else "", int(groups[1]) if len(groups) > 1 else 0)
            if part.name != name:
                break
            if size > MAX_BYTES[kind]:
                raise WireError(f"{name} has {size} bytes, more than the {MAX_BYTES[kind]} it may have")
            return part
    raise WireError(f"{name} does not belong into a backup")


def sum_line(digest: bytes, name: str) -> bytes:
    """The line of a part in SHA256SUMS, as sha256sum(1) writes and checks it."""
    return f"{digest.hex()}  {name}\n".encode("ascii")
