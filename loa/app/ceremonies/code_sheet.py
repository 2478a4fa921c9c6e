"""Enrolment codes of many devices as a CSV file, for those who go from device to device with it."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from loa.broadcast.registry.re_enrolment import LeftBehind, NewCode
from loa.durable import sync_folder
from loa.errors import ConfigError
from loa.model import id_text

HEADER = ("area", "name", "kind", "code", "expires_at", "old_endpoint_id", "area_id")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@contextmanager
def code_sheet(path: Path) -> Iterator[CodeSheet]:
    """A new CSV file of mode 0600 with a heading; ConfigError when it is there already or cannot be made."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {error.strerror or error}") from error
    # With a mark of its encoding, without which spreadsheets spoil Vietnamese names.
    with open(descriptor, "w", encoding="utf-8-sig", newline="") as file:
        sheet = CodeSheet(path, file)
        sheet.begin()
        yield sheet


class CodeSheet:
    """A sheet that is being filled. What was added is on disk when the call returns; ConfigError otherwise."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file
        self._rows = csv.writer(file)

    def begin(self) -> None:
        """The heading."""
        self._write([HEADER])
        sync_folder(self._path.absolute().parent)

    def add(self, codes: Sequence[NewCode]) -> None:
        """The rows of these codes."""
        self._write(_row(made.device, made.code, made.expires_ms) for made in codes)

    def list(self, devices: Sequence[LeftBehind]) -> None:
        """Rows of devices that have no code yet."""
        self._write(_row(device, "", None) for device in devices)

    def _write(self, rows: Iterable[Sequence[str]]) -> None:
        try:
            self._rows.writerows(rows)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror or error}") from error


def _row(device: LeftBehind, code: str, expires_ms: int | None) -> Sequence[str]:
    until = "" if expires_ms is None else datetime.fromtimestamp(expires_ms // 1000, UTC).isoformat()
    endpoint = device.endpoint
    return (
        _plain(" / ".join(device.place)),
        _plain(endpoint.name),
        str(endpoint.kind),
        code,
        until,
        id_text(endpoint.id),
        id_text(endpoint.area_id),
    )


def _plain(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
