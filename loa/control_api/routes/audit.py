"""The audit log over HTTP: to look something up, and to take it away and verify it elsewhere."""

from __future__ import annotations

from aiohttp import web

from loa.broadcast.journal.export import export_line
from loa.broadcast.people.rights import Right
from loa.broadcast.store.journal import AuditFilter
from loa.control_api.answers import answer_page
from loa.control_api.cursors import page_of
from loa.control_api.models.audit import AuditExportQuery, AuditOut, AuditQuery
from loa.control_api.models.base import to_ms
from loa.control_api.problems import REQUEST_ID
from loa.control_api.reach import require_in
from loa.control_api.requests import query, services


async def list_audit(request: web.Request) -> web.Response:
    """Look entries of the audit log up, newest first."""
    await require_in(request, Right.AUDIT_READ, None)
    given = query(request, AuditQuery)
    page = page_of(given, {"seq": "seq"})
    only = AuditFilter(
        actor=given.actor,
        action=given.action,
        subject=given.subject,
        since_ms=None if given.since is None else to_ms(given.since),
        until_ms=None if given.until is None else to_ms(given.until),
    )
    rows = await services(request).ledger.entries(page, only)
    return answer_page(request, page, rows, AuditOut.of)


async def export_audit(request: web.Request) -> web.StreamResponse:
    """The audit chain as JSON lines `{"seq", "entry", "hash"}`, in its order; `loa check audit` verifies it."""
    await require_in(request, Right.AUDIT_READ, None)
    given = query(request, AuditExportQuery)
    answer = web.StreamResponse(
        headers={
            "Content-Type": "application/x-ndjson",
            "Content-Disposition": 'attachment; filename="loa-audit.ndjson"',
            "X-Request-Id": request[REQUEST_ID],
        }
    )
    await answer.prepare(request)
    async for links in services(request).ledger.links(given.after):
        await answer.write(b"".join(map(export_line, links)))
    await answer.write_eof()
    return answer
