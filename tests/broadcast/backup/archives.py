"""Archives for tests: whole ones, and ones that nobody should believe."""

from __future__ import annotations

import gzip
import hashlib
import io
from typing import Any
from uuid import UUID

from loa.broadcast.backup.archive import ArchiveWriter
from loa.broadcast.backup.manifest import AudioContent, Manifest, TableContent
from loa.broadcast.backup.parts import Part, PartKind
from loa.broadcast.store.row_format import Kind
from loa.codecs.ustar import END, Member, padding

SOUND = b"OggS" * 300
SHA = hashlib.sha256(SOUND).hexdigest()
ROWS = gzip.compress(b'["one",1]\n["two",2]\n', mtime=0)


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "format": "loa-backup",
        "version": 1,
        "id": UUID(int=7),
        "made_ms": 1_790_000_000_000,
        "program": "loa test",
        "schema": "0003",
        "database": "sqlite",
        "tables": [TableContent("thing", 2, [("name", Kind.TEXT), ("n", Kind.INT)])],
        "audit": None,
        "audio": AudioContent(1, len(SOUND), False),
        "keys": ["key_list"],
        "digests": ["2026-11-25.digest"],
    }
    return Manifest(**(values | changes))


PARTS: list[tuple[Part, bytes]] = [
    (Part(PartKind.ROWS, "thing", 1), ROWS),
    (Part(PartKind.KEY, "key_list"), b"list"),
    (Part(PartKind.DIGEST, "2026-11-25.digest"), b"{}\n"),
    (Part(PartKind.AUDIO, SHA), SOUND),
]


def whole(parts: list[tuple[Part, bytes]] = PARTS) -> bytes:
    out = io.BytesIO()
    writer = ArchiveWriter(out, manifest())
    for part, data in parts:
        writer.add(part, data)
    writer.finish()
    return out.getvalue()


def raw(files: list[tuple[str, bytes]], sums: bytes | None = None) -> bytes:
    """An archive of these files, with hashes that are right, or `sums`."""
    if sums is None:
        sums = b"".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode() for name, data in files)
    out = []
    for name, data in [*files, ("SHA256SUMS", sums)]:
        out += [Member(name, len(data)).header(), data, bytes(padding(len(data)))]
    return b"".join([*out, END])


def files() -> list[tuple[str, bytes]]:
    """What `whole` holds, as names and content."""
    return [("manifest.json", manifest().encode()), *((part.name, data) for part, data in PARTS)]
