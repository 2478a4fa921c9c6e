"""A backup under a passphrase."""

from __future__ import annotations

import io

import pytest

from loa.broadcast.backup.archive import ArchiveReader
from loa.broadcast.backup.sealed_file import SealedSink, passphrase_in, source
from loa.errors import AuthorityError, ConfigError, WireError
from tests.broadcast.backup.archives import PARTS, whole

PASSPHRASE = b"con ngua thanh troy"


@pytest.fixture(scope="module")
def sealed() -> bytes:
    out = io.BytesIO()
    sink = SealedSink(out, PASSPHRASE)
    for at in range(0, len(whole()), 1000):
        sink.write(whole()[at : at + 1000])
    sink.finish()
    return out.getvalue()


def test_it_is_read_by_its_passphrase(sealed: bytes) -> None:
    reader = ArchiveReader(source(io.BytesIO(sealed), PASSPHRASE))
    assert [(part, reader.data()) for part in reader.parts()] == PARTS
    assert b"OggS" not in sealed
    assert b"manifest" not in sealed


def test_it_needs_its_passphrase_and_no_other(sealed: bytes) -> None:
    with pytest.raises(ConfigError, match="--passphrase-file"):
        source(io.BytesIO(sealed), None)
    with pytest.raises(AuthorityError, match="passphrase"):
        ArchiveReader(source(io.BytesIO(sealed), b"another passphrase"))


def test_an_open_one_is_not_taken_for_a_sealed_one() -> None:
    with pytest.raises(WireError, match="not sealed"):
        source(io.BytesIO(whole()), PASSPHRASE)
    assert ArchiveReader(source(io.BytesIO(whole()), None)).manifest is not None


def test_cut_off_it_is_refused(sealed: bytes) -> None:
    for size in (10, 24, 30, len(sealed) - 1, len(sealed) - 100):
        with pytest.raises((AuthorityError, WireError, ConfigError)):
            list(ArchiveReader(source(io.BytesIO(sealed[:size]), PASSPHRASE)).parts())


def test_a_passphrase_is_a_line_of_some_length() -> None:
    assert passphrase_in(PASSPHRASE + b"\r\n") == PASSPHRASE
    assert passphrase_in(b" with spaces inside ") == b" with spaces inside "
    with pytest.raises(ConfigError, match="at least 12"):
        passphrase_in(b"too short\n\n\n\n\n")
