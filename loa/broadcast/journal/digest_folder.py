"""The folder of digests: `2026-11-25.digest`, one a day, each written once and never again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from loa.broadcast.journal.digest import MAX_DIGEST_BYTES, Digest
from loa.durable import replace_file
from loa.errors import AuditError, AuthorityError, StoreError, WireError

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)\.digest", re.ASCII)


def digest_name(day: date) -> str:
    """What the digest of a day is called."""
    return f"{day.isoformat()}.digest"


class DigestFolder:
    """Reads and writes digests in `path`, which need not be there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def days(self) -> list[date]:
        """The days there are digests of, the oldest first; StoreError when the folder cannot be read."""
        try:
            found = [_NAME.fullmatch(each.name) for each in self.path.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"the digests in {self.path} cannot be read: {error.strerror}") from error
        days = []
        for match in found:
            if match is not None:
                try:
                    days.append(date.fromisoformat(match[1]))
                except ValueError:
                    continue  # no day of the calendar, so none of ours
        return sorted(days)

    def read(self, day: date) -> Digest:
        """The digest of a day; AuditError when its file is damaged, forged or of another day, StoreError."""
        path = self.path / digest_name(day)
        try:
            with path.open("rb") as file:
                digest = Digest.open(file.read(MAX_DIGEST_BYTES + 1))
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        except (WireError, AuthorityError) as error:
            raise AuditError(f"{path} does not hold: {error}") from error
        if digest.day != day:
            raise AuditError(f"{path} is the digest of {digest.day}")
        return digest

    def all(self) -> Iterator[Digest]:
        """The digests, the oldest first; AuditError, StoreError."""
        return map(self.read, self.days())

    def write(self, day: date, data: bytes) -> None:
        """Write a new digest down, durable when this returns. StoreError when there is one of that day already."""
        path = self.path / digest_name(day)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists():
                raise StoreError(f"there is {path} already, and a digest is written once")
            replace_file(path, data)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
