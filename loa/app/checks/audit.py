"""`loa check audit`: does the audit log hold, in the store or as it was exported, against its digests too?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loa.app.checks.findings import Finding, error, ok, warning
from loa.app.store import store_url
from loa.broadcast.journal.chain import Link
from loa.broadcast.journal.digest import Digest
from loa.broadcast.journal.digest_folder import DigestFolder
from loa.broadcast.journal.export import MAX_LINE_BYTES, parse_line
from loa.broadcast.journal.proof import ChainProof
from loa.broadcast.orders import key_files
from loa.broadcast.records import AuditEntry
from loa.broadcast.store import journal as stored
from loa.broadcast.store.copying import Tables
from loa.broadcast.store.journal import AuditFilter
from loa.broadcast.store.paging import Page
from loa.broadcast.store.unmigrated import reading
from loa.config import CoreConfig
from loa.errors import AuditError, ConfigError, LoaError, StoreError, WireError

_AT_ONCE = 1_000
_SEEN = ("actor", "action", "subject", "at_ms")
"""What stands beside an entry's text, to be asked for. It is taken from the text, and must say the same."""


async def check_stored(core: CoreConfig, digest_folder: Path | None = None) -> list[Finding]:
    """The log in the core's store, which may be running. ConfigError, StoreError."""
    digests, found = _digests(digest_folder or core.data_dir / "audit", core.data_dir / "keys")
    proof = ChainProof(digests)
    try:
        async with reading(store_url(core)) as connection:
            if "audit" not in (await Tables.find(connection)).forms():
                return [*found, warning("audit", "kho dữ liệu chưa có nhật ký", "the store has no log yet")]
            last: AuditEntry | None = None
            while True:
                page = Page(_AT_ONCE, by="seq")
                page = page if last is None else page.after(last.seq, b"")
                entries = await stored.entries(connection, page, AuditFilter())
                if not entries:
                    break
                for entry in entries:
                    proof.take(Link(entry.seq, entry.entry, entry.hash))
                    _must_say_the_same(entry)
                last = entries[-1]
        proof.end()
    except AuditError as fault:
        return [*found, _broken(fault)]
    return [*found, *_held(proof, digests)]


def check_export(path: Path, digest_folder: Path | None = None, keys: Path | None = None) -> list[Finding]:
    """A log as `GET /api/v1/audit/export` gives it. ConfigError when the file cannot be read."""
    digests, found = ([], []) if digest_folder is None else _digests(digest_folder, keys)
    proof = ChainProof(digests)
    number = 0
    try:
        with _lines(path) as lines:
            for number, line in enumerate(lines, 1):  # noqa: B007
                proof.take(parse_line(line))
        proof.end()
    except AuditError as fault:
        return [*found, _broken(fault)]
    except WireError as fault:
        return [*found, _broken(AuditError(f"line {number}: {fault}"))]
    return [*found, *_held(proof, digests)]


@contextmanager
def _lines(path: Path) -> Iterator[Iterable[bytes]]:
    try:
        with path.open("rb") as file:
            yield iter(lambda: file.readline(MAX_LINE_BYTES + 1), b"")
    except OSError as fault:
        raise ConfigError(f"{path} cannot be read: {fault.strerror}") from fault


def _must_say_the_same(entry: AuditEntry) -> None:
    try:
        said = json.loads(entry.entry)
        same = all(said[name] == getattr(entry, name) for name in _SEEN) and said["seq"] == entry.seq
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise AuditError(f"entry {entry.seq} is shown as something else than was written")


def _broken(fault: AuditError) -> Finding:
    return error("audit", f"nhật ký KHÔNG toàn vẹn: {fault}", "the audit log does NOT hold")


def _held(proof: ChainProof, digests: list[Digest]) -> list[Finding]:
    newest = "" if proof.last is None else proof.last.hash.hex()
    seq = 0 if proof.last is None else proof.last.seq
    found = [
        ok(
            "audit",
            f"nhật ký toàn vẹn: {proof.entries} mục, mục cuối {seq}, {newest}",
            "the audit log holds; entries, the newest, its hash",
            entries=proof.entries,
            seq=seq,
            hash=newest,
            digests=proof.matched,
        )
    ]
    if proof.matched:
        days = f"{min(each.day for each in digests)} … {max(each.day for each in digests)}"
        found.append(ok("audit", f"{proof.matched} bản tóm tắt khớp, {days}", "digests agree with it"))
    elif proof.entries:
        found.append(
            warning(
                "audit",
                "không có bản tóm tắt nào để đối chiếu: phần cuối bị cắt sẽ không lộ ra",
                "no digest to compare with: an end that was cut off would not show",
            )
        )
    return found


def _digests(folder: Path, keys: Path | None) -> tuple[list[Digest], list[Finding]]:
    """The digests that hold, and what is to be said of the others and of who signed them."""
    digests: list[Digest] = []
    found: list[Finding] = []
    reader = DigestFolder(folder)
    for day in reader.days():
        try:
            digests.append(reader.read(day))
        except (AuditError, StoreError) as fault:
            found.append(error("audit", f"bản tóm tắt hỏng: {fault}", "a digest does not hold"))
    unknown = {digest.key.hex()[:16] for digest in digests} if keys is None else _unknown(digests, keys)
    if unknown:
        found.append(
            warning(
                "audit",
                f"bản tóm tắt ký bởi khóa không còn trong danh sách: {', '.join(sorted(unknown))}",
                "digests signed by keys that are not on the key list (any more): they hold, but whose are they?",
            )
        )
    return digests, found


def _unknown(digests: list[Digest], keys: Path) -> set[str]:
    try:
        key_list, _ = key_files.read_key_list(keys, key_files.read_root_public(keys))
        known = {entry.public_key for entry in key_list.keys}
    except (LoaError, OSError):
        known = set()
    return {digest.key.hex()[:16] for digest in digests if digest.key not in known}
