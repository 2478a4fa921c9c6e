"""Every route in one place, with the right that it needs: what is not here is not served."""

from __future__ import annotations

from loa.broadcast.people.rights import Right
from loa.control_api.link_socket import link
from loa.control_api.models.areas import AreaIn, AreaOut, AreasQuery
from loa.control_api.models.audit import AuditExportQuery, AuditOut, AuditQuery
from loa.control_api.models.broadcasts import BroadcastIn, BroadcastOut, BroadcastsQuery
from loa.control_api.models.endpoints import EndpointOut, EndpointsQuery
from loa.control_api.models.enrolments import (
    ClaimIn,
    ClaimOut,
    EnrolmentIn,
    EnrolmentMadeOut,
    EnrolmentOut,
    EnrolmentsQuery,
)
from loa.control_api.models.events import EventsQuery
from loa.control_api.models.orders import OrdersOut, ReceiptOut, ReceiptsBeside, ReceiptsQuery
from loa.control_api.models.programmes import ProgrammeChange, ProgrammeForm, ProgrammeOut, ProgrammesQuery
from loa.control_api.models.tokens import TokenIn, TokenMadeOut, TokenOut, TokensQuery
from loa.control_api.models.uploads import UploadOut
from loa.control_api.operation import Operation
from loa.control_api.routes import (
    areas,
    audit,
    broadcasts,
    document,
    endpoints,
    enrolments,
    events,
    programmes,
    public,
    tokens,
    uploads,
)

TEXT, OGG, EVENTS, JSON_LINES = "text/plain", "audio/ogg", "text/event-stream", "application/x-ndjson"

# fmt: off
OPERATIONS = (
    # Health for the balancer, the document, the link and the claim that prove themselves, the public's ear.
    Operation("GET", "/healthz", public.healthz, None, answer=TEXT),
    Operation("GET", "/readyz", public.readyz, None, answer=TEXT),
    Operation("GET", "/link", link, None),
    Operation("GET", "/listen/{id}.ogg", public.listen, None, answer=OGG),
    Operation("GET", "/api/v1/openapi.json", document.openapi, None, answer="application/json"),
    Operation("GET", "/api/v1/docs", document.docs, None, answer="text/html"),
    Operation("GET", "/api/v1/docs/{file}", document.docs_file, None, answer="*/*"),
    Operation("POST", "/api/v1/enrolments/claim", enrolments.claim, None, body=ClaimIn, answer=ClaimOut),
    Operation("GET", "/metrics", public.metrics, Right.METRICS_READ, answer=TEXT),

    Operation("POST", "/api/v1/areas", areas.create_area, Right.AREAS_WRITE,
              body=AreaIn, answer=AreaOut, status=201, once=True),
    Operation("GET", "/api/v1/areas", areas.list_areas, Right.AREAS_READ,
              query=AreasQuery, answer=AreaOut, many=True),
    Operation("GET", "/api/v1/areas/{id}", areas.get_area, Right.AREAS_READ, answer=AreaOut),

    Operation("GET", "/api/v1/endpoints", endpoints.list_endpoints, Right.ENDPOINTS_READ,
              query=EndpointsQuery, answer=EndpointOut, many=True),
    Operation("GET", "/api/v1/endpoints/{id}", endpoints.get_endpoint, Right.ENDPOINTS_READ, answer=EndpointOut),
    Operation("POST", "/api/v1/endpoints/{id}/revoke", endpoints.revoke_endpoint, Right.ENDPOINTS_WRITE,
              answer=EndpointOut, urgent=True),

    Operation("POST", "/api/v1/enrolments", enrolments.create_enrolment, Right.ENDPOINTS_WRITE,
              body=EnrolmentIn, answer=EnrolmentMadeOut, status=201, once=True),
    Operation("GET", "/api/v1/enrolments", enrolments.list_enrolments, Right.ENDPOINTS_WRITE,
              query=EnrolmentsQuery, answer=EnrolmentOut, many=True),

    Operation("POST", "/api/v1/programmes", programmes.upload_programme, Right.PROGRAMMES_WRITE,
              form=ProgrammeForm, answer=ProgrammeOut, status=201, once=True),
    Operation("GET", "/api/v1/programmes", programmes.list_programmes, Right.PROGRAMMES_READ,
              query=ProgrammesQuery, answer=ProgrammeOut, many=True),
    Operation("GET", "/api/v1/programmes/{id}", programmes.get_programme, Right.PROGRAMMES_READ,
              answer=ProgrammeOut, versioned=True),
    Operation("PATCH", "/api/v1/programmes/{id}", programmes.change_programme, Right.PROGRAMMES_WRITE,
              body=ProgrammeChange, answer=ProgrammeOut, versioned=True),
    Operation("DELETE", "/api/v1/programmes/{id}", programmes.delete_programme, Right.PROGRAMMES_WRITE, status=204),
    Operation("GET", "/api/v1/programmes/{id}/audio", programmes.programme_audio, Right.PROGRAMMES_READ,
              answer=OGG),

    Operation("GET", "/api/v1/uploads/{id}", uploads.get_upload, Right.PROGRAMMES_WRITE, answer=UploadOut),
    Operation("GET", "/api/v1/uploads/{id}/events", uploads.watch_upload, Right.PROGRAMMES_WRITE, answer=EVENTS),

    Operation("POST", "/api/v1/broadcasts", broadcasts.start_broadcast, Right.BROADCASTS_ROUTINE,
              body=BroadcastIn, answer=BroadcastOut, status=201, once=True, urgent=True),
    Operation("GET", "/api/v1/broadcasts", broadcasts.list_broadcasts, Right.BROADCASTS_READ,
              query=BroadcastsQuery, answer=BroadcastOut, many=True),
    Operation("GET", "/api/v1/broadcasts/{id}", broadcasts.get_broadcast, Right.BROADCASTS_READ,
              answer=BroadcastOut),
    Operation("POST", "/api/v1/broadcasts/{id}/stop", broadcasts.stop_broadcast, Right.BROADCASTS_ROUTINE,
              answer=BroadcastOut, urgent=True),
    Operation("GET", "/api/v1/broadcasts/{id}/orders", broadcasts.list_orders, Right.BROADCASTS_READ,
              answer=OrdersOut),
    Operation("GET", "/api/v1/broadcasts/{id}/receipts", broadcasts.list_receipts, Right.BROADCASTS_READ,
              query=ReceiptsQuery, answer=ReceiptOut, many=True, beside=ReceiptsBeside),

    Operation("POST", "/api/v1/tokens", tokens.create_token, Right.TOKENS_WRITE,
              body=TokenIn, answer=TokenMadeOut, status=201, once=True),
    Operation("GET", "/api/v1/tokens", tokens.list_tokens, Right.TOKENS_WRITE,
              query=TokensQuery, answer=TokenOut, many=True),
    Operation("POST", "/api/v1/tokens/{id}/revoke", tokens.revoke_token, Right.TOKENS_WRITE,
              status=204, urgent=True),

    Operation("GET", "/api/v1/audit", audit.list_audit, Right.AUDIT_READ,
              query=AuditQuery, answer=AuditOut, many=True),
    Operation("GET", "/api/v1/audit/export", audit.export_audit, Right.AUDIT_READ,
              query=AuditExportQuery, answer=JSON_LINES),
    Operation("GET", "/api/v1/events", events.watch_events, Right.AREAS_READ, query=EventsQuery, answer=EVENTS),
)
# fmt: on
"""Where a right must hold is the handler's to ask (control_api/reach.py)."""
