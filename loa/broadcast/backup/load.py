"""The rows of a backup into an empty database: in its own revision first, then brought up to the newest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.broadcast.backup.contents import EXCHANGED, BackupFile, Contents, must_match, rows_of
from loa.broadcast.backup.parts import PartKind
from loa.broadcast.backup.progress import Progress, Step
from loa.broadcast.journal import journal
from loa.broadcast.journal.act import Act
from loa.broadcast.journal.digest import Digest
from loa.broadcast.journal.proof import ChainProof
from loa.broadcast.store import endpoints as stored_endpoints
from loa.broadcast.store import journal as stored
from loa.broadcast.store.copying import Forms, Tables, references_later
from loa.broadcast.store.database import migrate
from loa.broadcast.store.journal import AuditFilter
from loa.broadcast.store.paging import Page
from loa.broadcast.store.unmigrated import building, known_revisions
from loa.errors import AuditError, StoreError, WireError

ACTION = "restore"
SERIAL_JUMP = 1_000_000
EVENT_JUMP = 1_000_000_000
"""How far numbers jump that others have seen higher ones of than the backup knows: of placements, of events."""
_LINKS = 1_000


@dataclass(frozen=True, slots=True)
class Told:
    """What is written into the audit log about a restore: by whom, and what."""

    act: Act
    restore_id: str
    after: dict[str, Any]


async def forms_of(revision: str, scratch_url: str) -> Forms:
    """The tables of a revision, found out in the empty database at `scratch_url`; WireError for an unknown one."""
    if revision not in known_revisions():
        raise WireError(f"the backup has the form {revision}, which this Loa does not know: take a newer Loa")
    async with building(scratch_url) as connection:
        await connection.run_sync(migrate, revision)
        return (await Tables.find(connection)).forms()


async def load(
    connection: AsyncConnection,
    file: BackupFile,
    contents: Contents,
    digests: Sequence[Digest],
    told: Told,
    progress: Progress,
    *,
    despite_audit: bool,
) -> None:
    """Load the rows into the connection's empty database, and leave it as a restored core begins.

    WireError when the backup is not the one that was looked at; AuditError when its audit log does not hold, unless
    `despite_audit`; StoreError.
    """
    await connection.run_sync(migrate, contents.manifest.schema)
    await _load_rows(connection, file, contents, progress)
    await connection.run_sync(migrate)
    after = {**told.after, "restore_id": told.restore_id}
    try:
        await _check_audit(connection, contents, digests)
    except AuditError as error:
        if not despite_audit:
            raise
        after["audit_fault"] = str(error)
    # Devices may hold newer placements than the backup knows of, and take none that is older; and who watched the
    # lost core has seen higher numbers of events.
    await stored_endpoints.raise_serials(connection, SERIAL_JUMP)
    await journal.record(connection, told.act, ACTION, f"backup:{contents.manifest.id}", after=after)
    await stored.raise_newest_event(connection, EVENT_JUMP)


async def _load_rows(connection: AsyncConnection, file: BackupFile, contents: Contents, progress: Progress) -> None:
    tables = await Tables.find(connection)
    forms = tables.forms()
    given = {table.name: table for table in contents.manifest.tables}
    must_match(given, forms)
    order = {
        name: [[column for column, _ in table.columns].index(column.name) for column in forms[name]]
        for name, table in given.items()
    }
    done, of_all = 0, sum(table.rows for table in given.values())
    with file.opened() as reader:
        if reader.manifest != contents.manifest:
            raise WireError(EXCHANGED)
        async with references_later(connection):
            for part in reader.parts():
                if part.kind is not PartKind.ROWS:
                    break
                rows = list(rows_of(reader.data(), given[part.what]))
                if reader.sha256 != contents.row_sums.get(part):
                    raise WireError(EXCHANGED)
                await tables.insert(connection, part.what, [[row[at] for at in order[part.what]] for row in rows])
                done += len(rows)
                progress(Step.LOAD, done, of_all)
    for name, table in given.items():
        if await tables.count(connection, name) != table.rows:
            raise StoreError(f"the database has not taken all rows of {name}")


async def _check_audit(connection: AsyncConnection, contents: Contents, digests: Sequence[Digest]) -> None:
    proof = ChainProof(digests)
    while links := await stored.links(connection, 0 if proof.last is None else proof.last.seq, _LINKS):
        for link in links:
            proof.take(link)
    last, end = proof.end(), contents.manifest.audit
    if (last and (last.seq, last.hash.hex())) != (end and (end.seq, end.hash)):
        raise AuditError("the audit log does not end where the manifest says")


async def was_restored(connection: AsyncConnection, backup_id: str, restore_id: str) -> bool:
    """Whether this restore has come to its end in the connection's database."""
    done = AuditFilter(action=ACTION, subject=f"backup:{backup_id}")
    entries = await stored.entries(connection, Page(limit=_LINKS, by="seq"), done)
    return any(json.loads(entry.entry)["after"]["restore_id"] == restore_id for entry in entries)
