"""What a backup says of itself, as the first file in it: JSON for people too, checked before it is believed."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass as checked_dataclass

from loa.broadcast.store.row_format import Column, Kind
from loa.errors import WireError

FORMAT = "loa-backup"
VERSION = 1
MAX_MANIFEST_BYTES = 4 * 2**20
MAX_TABLES = 200
MAX_COLUMNS = 200
MAX_DIGESTS = 40_000
_STRICT = ConfigDict(extra="forbid", strict=True)

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,60}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class TableContent:
    """One table: its columns as [name, kind], and how many rows follow."""

    name: Name
    rows: Count
    columns: Annotated[list[tuple[Name, Kind]], Field(max_length=MAX_COLUMNS)]

    @property
    def row_columns(self) -> tuple[Column, ...]:
        """The columns, as rows are read by them."""
        return tuple(Column(name, kind) for name, kind in self.columns)


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class AuditEnd:
    """The newest entry of the audit chain in the backup."""

    seq: Annotated[int, Field(ge=1, lt=1 << 63)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class AudioContent:
    """The audio files that the rows name: how many, and their bytes. `pool`: they are kept beside the archive."""

    files: Count
    size_bytes: Count
    pool: bool


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class Manifest:
    """What is in a backup. `schema`: the revision of the store's form. `program`: what made it."""

    format: Literal["loa-backup"]
    version: Literal[1]
    id: UUID
    made_ms: Count
    program: Annotated[str, Field(max_length=100)]
    schema: Annotated[str, Field(pattern=r"^[0-9A-Za-z_]{1,32}$")]
    database: Literal["sqlite", "postgresql"]
    tables: Annotated[list[TableContent], Field(max_length=MAX_TABLES)]
    audit: AuditEnd | None
    audio: AudioContent
    keys: Annotated[list[FileName], Field(max_length=16)]
    digests: Annotated[list[FileName], Field(max_length=MAX_DIGESTS)]

    @model_validator(mode="after")
    def _each_once(self) -> Manifest:
        for what, names in (
            ("table", [table.name for table in self.tables]),
            ("key", self.keys),
            ("digest", self.digests),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"a {what} stands there twice")
        for table in self.tables:
            if len({name for name, _ in table.columns}) != len(table.columns):
                raise ValueError(f"a column of {table.name} stands there twice")
        return self

    def encode(self) -> bytes:
        """The file."""
        values: dict[str, Any] = _MANIFEST.dump_python(self, mode="json")
        return json.dumps(values, ensure_ascii=False, indent=1).encode() + b"\n"


_MANIFEST = TypeAdapter(Manifest)


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in a file; WireError, which names what is wrong, when it is none of this version."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise WireError("a manifest that is too large")
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError("the manifest is no JSON") from error
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise WireError("not a backup of Loa")
    version = said.get("version")
    if type(version) is int and version > VERSION:
        raise WireError(f"the backup has format {version}, and this Loa reads {VERSION}: take a newer Loa")
    try:
        return _MANIFEST.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WireError(f"the manifest does not hold: {where}: {first['msg']}") from error
