"""A backup as one file: whole, or refused with one line that says what is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.backup.archive import ArchiveReader, ArchiveWriter
from loa.broadcast.backup.manifest import MAX_MANIFEST_BYTES, decode_manifest
from loa.broadcast.backup.parts import Part, PartKind, parse_part
from loa.codecs.ustar import END, MAX_SIZE, Member, padding
from loa.errors import LoaError, WireError
from tests.broadcast.backup.archives import PARTS, ROWS, SHA, SOUND, files, manifest, raw, whole


def read(data: bytes) -> list[tuple[Part, bytes]]:
    reader = ArchiveReader(io.BytesIO(data))
    found = [(part, reader.data()) for part in reader.parts()]
    assert reader.read_bytes == len(data)
    return found


def test_what_was_written_is_read() -> None:
    assert read(whole()) == PARTS
    assert ArchiveReader(io.BytesIO(whole())).manifest == manifest()
    assert read(raw(files())) == PARTS, "the helper of these tests makes whole ones too"


def test_parts_that_nobody_looks_at_are_proved_all_the_same() -> None:
    data = bytearray(whole())
    assert list(ArchiveReader(io.BytesIO(data)).parts()) == [part for part, _ in PARTS]
    data[data.index(SOUND) + 5] ^= 1
    with pytest.raises(WireError, match=f"{SHA}.ogg is not what was written"):
        list(ArchiveReader(io.BytesIO(data)).parts())


def test_tools_of_the_system_read_and_check_it(tmp_path: Path) -> None:
    (tmp_path / "backup.tar").write_bytes(whole())
    subprocess.run(["tar", "-xf", "backup.tar"], cwd=tmp_path, check=True)
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)


WHOLE = whole()


@given(st.integers(0, len(WHOLE) - 1))
def test_cut_off_anywhere_it_is_refused(at: int) -> None:
    with pytest.raises(WireError):
        read(WHOLE[:at])


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_one_changed_byte_is_refused(at: int, change: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= change
    with pytest.raises(LoaError):
        read(bytes(data))


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        read(data)
    with pytest.raises(WireError):
        read(WHOLE + data[:1] + b"\0")


def _sums() -> bytes:
    return b"".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode() for name, data in files())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (raw(files()[1:]), "not a backup of Loa"),
        (raw([*files(), ("keys/extra/x", b"")]), "keys/extra/x does not belong into a backup"),
        (raw([*files(), ("etc/passwd", b"x")]), "etc/passwd does not belong into a backup"),
        (raw([*files(), files()[1]]), "does not stand in its place"),
        (raw([files()[0], files()[2], files()[1]]), "does not stand in its place"),
        (raw([files()[0], ("rows/thing/000002.gz", ROWS)]), "does not follow"),
        (raw([files()[0], ("rows/thing/000001.gz", ROWS), ("rows/thing/000003.gz", ROWS)]), "does not follow"),
        (raw([files()[0], ("rows/thing/1.gz", ROWS)]), "does not belong"),
        (raw([files()[0], ("audio/00/" + "11" * 32 + ".ogg", SOUND)]), "does not belong"),
        (raw(files(), b""), "5 parts, and hashes of 0"),
        (raw(files()[:-1], _sums()), "4 parts, and hashes of 5"),
        (raw(files(), b"x" + _sums()[1:]), "manifest.json is not what was written"),
        (whole() + b"\0", "does not end"),
        (whole()[: -len(END)], "cut off"),
        (Member("manifest.json", MAX_MANIFEST_BYTES + 1).header(), "more than the"),
    ],
)
def test_what_does_not_belong_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        read(data)


@pytest.mark.parametrize("kind", PartKind)
def test_a_huge_part_is_refused_by_its_header(kind: PartKind) -> None:
    what = {PartKind.ROWS: "thing", PartKind.AUDIO: SHA}.get(kind, "name")
    with pytest.raises(WireError, match="more than the"):
        parse_part(Part(kind, what, 1).name, MAX_SIZE)


@given(st.text(max_size=80) | st.from_regex(r"(rows|keys|audio|audit)/[a-f0-9./_-]{0,70}", fullmatch=True))
def test_a_name_is_a_part_of_that_name_or_none(name: str) -> None:
    try:
        assert parse_part(name, 0).name == name
    except WireError:
        return


def test_the_writer_keeps_to_what_it_announces() -> None:
    for chunks in ([b"too", b"long"], [b"short"]):
        writer = ArchiveWriter(io.BytesIO(), manifest())
        with pytest.raises(ValueError, match="another size"):
            writer.stream(Part(PartKind.KEY, "key_list"), 6, chunks)


def _changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(manifest().encode()) | changes).encode()


_TABLE = {"name": "t", "rows": 1, "columns": [["a", "int"]]}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "not a backup"),
        (_changed(format="other"), "not a backup"),
        (_changed(version=2), "format 2, and this Loa reads 1: take a newer Loa"),
        (_changed(version="1"), "version"),
        (_changed(more=1), "more"),
        (_changed(id="x"), "id"),
        (_changed(schema="../x"), "schema"),
        (_changed(made_ms=-1), "made_ms"),
        (_changed(database="oracle"), "database"),
        (_changed(tables=[_TABLE | {"rows": -1}]), "tables.0.rows"),
        (_changed(tables=[_TABLE | {"rows": 1.5}]), "tables.0.rows"),
        (_changed(tables=[_TABLE | {"name": "x; drop table area"}]), "tables.0.name"),
        (_changed(tables=[_TABLE | {"columns": [["a", "int"], ["a", "int"]]}]), "stands there twice"),
        (_changed(tables=[_TABLE | {"columns": [["a", "date"]]}]), "tables.0.columns"),
        (_changed(tables=[_TABLE, _TABLE]), "stands there twice"),
        (_changed(tables=[_TABLE | {"name": f"t{at}"} for at in range(201)]), "tables"),
        (_changed(keys=["../order.key"]), "keys.0"),
        (_changed(keys=["a", "a"]), "stands there twice"),
        (_changed(digests=[".x"]), "digests.0"),
        (_changed(audit={"seq": 0, "hash": "00" * 32}), "audit"),
        (b" " * (MAX_MANIFEST_BYTES + 1), "too large"),
    ],
)
def test_a_manifest_that_does_not_hold_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        decode_manifest(data)


@given(st.binary(max_size=100))
def test_any_manifest_is_read_or_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_manifest(data)


def test_an_archive_is_tar_s_own_size() -> None:
    size = sum(512 + len(data) + padding(len(data)) for _, data in files())
    assert (
        len(WHOLE)
        == size + 512 + (sums := 5 * 66 + sum(len(name) + 1 for name, _ in files())) + padding(sums) + 1024
    )
