"""Archives: what tar(1) and Python read, and nothing else that calls itself tar."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs.ustar import BLOCK_BYTES, END, MAX_SIZE, Member, padding, parse_header
from loa.errors import WireError

_part = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}", fullmatch=True)
_names = st.lists(_part, min_size=1, max_size=4).map("/".join)
_members = st.builds(Member, _names, st.integers(0, MAX_SIZE), st.integers(0, MAX_SIZE))


def archive(files: dict[str, bytes]) -> bytes:
    parts = []
    for name, data in files.items():
        parts += [Member(name, len(data), 1_790_000_000).header(), data, bytes(padding(len(data)))]
    return b"".join([*parts, END])


@given(_members)
def test_a_header_is_read_as_it_was_written(member: Member) -> None:
    assert parse_header(member.header()) == member
    assert tarfile.TarInfo.frombuf(member.header(), "ascii", "strict").name == member.name


@given(_members, st.integers(0, BLOCK_BYTES - 1), st.integers(1, 255))
def test_one_changed_byte_is_seen(member: Member, at: int, change: int) -> None:
    block = bytearray(member.header())
    block[at] ^= change
    with pytest.raises(WireError):
        parse_header(bytes(block))


@given(st.binary(max_size=600) | st.binary(min_size=BLOCK_BYTES, max_size=BLOCK_BYTES))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        member = parse_header(data)
    except WireError:
        return
    assert (bytes(BLOCK_BYTES) if member is None else member.header()) == data


BAD_NAMES = ["../keys", "/etc/passwd", "a//b", "a/../b", "a/", ".ssh", "a/.b", "", "ẩn", "a\0b"]
KINDS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.XHDTYPE]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_elsewhere_cannot_be_written_nor_read(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Member(name, 0).header()
    info = tarfile.TarInfo(name)
    with pytest.raises(WireError):
        parse_header(info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")[:BLOCK_BYTES])


@pytest.mark.parametrize("kind", KINDS)
def test_only_regular_files_are_read(kind: bytes) -> None:
    info = tarfile.TarInfo("keys")
    info.type, info.linkname, info.mode = kind, "target", 0o600
    with pytest.raises(WireError):
        parse_header(info.tobuf(tarfile.USTAR_FORMAT))


def test_others_read_the_archive(tmp_path: Path) -> None:
    files = {"manifest.json": b"{}\n", "rows/area/1.gz": bytes(513), "audio/x.ogg": b"", "keys/k": bytes(512)}
    path = tmp_path / "backup.tar"
    path.write_bytes(archive(files))
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as read:
        found = {info.name: read.extractfile(info) for info in read.getmembers()}
        assert {name: file.read() if file else None for name, file in found.items()} == files
    subprocess.run(["tar", "-xf", path, "-C", tmp_path], check=True)
    assert {name: (tmp_path / name).read_bytes() for name in files} == files
