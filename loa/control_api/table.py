"""Every route in one place, with the right that it needs: what is not here is not served."""

from __future__ import annotations

from loa.broadcast.people.rights import Right
from loa.control_api.link_socket import link
from loa.control_api.models.area_groups import AreaGroupIn, AreaGroupOut
from loa.control_api.models.areas import (
    AreaCloseIn,
    AreaHistoryOut,
    AreaIn,
    AreaOut,
    AreaPatch,
    AreasQuery,
    ChangeOut,
    GeoJsonQuery,
)
from loa.control_api.models.audit import AuditExportQuery, AuditOut, AuditQuery
from loa.control_api.models.base import PageQuery
from loa.control_api.models.broadcasts import BroadcastIn, BroadcastOut, BroadcastsQuery
from loa.control_api.models.endpoints import (
    EndpointHistoryOut,
    EndpointHistoryQuery,
    EndpointOut,
    EndpointPatch,
    EndpointsMovedOut,
    EndpointsMoveIn,
    EndpointsQuery,
)
from loa.control_api.models.enrolments import (
    ClaimIn,
    ClaimOut,
    EnrolmentIn,
    EnrolmentMadeOut,
    EnrolmentOut,
    EnrolmentsQuery,
)
from loa.control_api.models.events import EventsQuery
from loa.control_api.models.imports import (
    AreaImportOut,
    AreaListForm,
    DeviceCodesForm,
    DeviceImportOut,
    DeviceListForm,
    OfficialIn,
)
from loa.control_api.models.orders import OrdersOut, ReceiptOut, ReceiptsBeside, ReceiptsQuery
from loa.control_api.models.programmes import ProgrammeChange, ProgrammeForm, ProgrammeOut, ProgrammesQuery
from loa.control_api.models.reorganisations import (
    DissolveIn,
    DissolvePreviewIn,
    MergeIn,
    MergePreviewIn,
    PlanOut,
    ReorganiseIn,
    ReorganisePreviewIn,
    SplitIn,
    SplitPreviewIn,
)
from loa.control_api.models.sessions import (
    AppBegunOut,
    AppCodeIn,
    AppEnrolledOut,
    MeChangeIn,
    MeOut,
    PasswordIn,
    ProofIn,
    SessionsOut,
    SignInIn,
)
from loa.control_api.models.tokens import TokenIn, TokenMadeOut, TokenOut, TokensQuery
from loa.control_api.models.uploads import UploadOut
from loa.control_api.models.users import UserChangeIn, UserIn, UserMadeOut, UserOut, UsersQuery
from loa.control_api.operation import Operation
from loa.control_api.routes import (
    area_groups,
    areas,
    audit,
    broadcasts,
    document,
    endpoints,
    enrolments,
    events,
    imports,
    maps,
    me,
    own_tokens,
    programmes,
    public,
    reorganisations,
    sessions,
    tokens,
    uploads,
    users,
)

TEXT, OGG, EVENTS, JSON_LINES = "text/plain", "audio/ogg", "text/event-stream", "application/x-ndjson"
CSV, GEOJSON, SDP = "text/csv", "application/geo+json", "application/sdp"
ONE_OUTLINE, MANY_OUTLINES = 2**20, 4 * 2**20
"""How long a body with an outline in it may be, and one with many, or that names many devices."""

# fmt: off
OPERATIONS = (
    # Health for the balancer, the document, the link and the claim that prove themselves, the public's ear.
    Operation("GET", "/healthz", public.healthz, None, answer=TEXT),
    Operation("GET", "/readyz", public.readyz, None, answer=TEXT),
    Operation("GET", "/link", link, None, at_core=True),
    Operation("GET", "/listen/{id}.ogg", public.listen, None, answer=OGG, at_core=True),
    Operation("GET", "/api/v1/openapi.json", document.openapi, None, answer="application/json"),
    Operation("GET", "/api/v1/docs", document.docs, None, answer="text/html"),
    Operation("GET", "/api/v1/docs/{file}", document.docs_file, None, answer="*/*"),
    Operation("POST", "/api/v1/enrolments/claim", enrolments.claim, None,
              body=ClaimIn, answer=ClaimOut, at_core=True),
    Operation("GET", "/metrics", public.metrics, Right.METRICS_READ, answer=TEXT),

    Operation("POST", "/api/v1/areas", areas.create_area, Right.AREAS_WRITE,
              body=AreaIn, most_bytes=ONE_OUTLINE, answer=AreaOut, status=201, once=True),
    Operation("GET", "/api/v1/areas", areas.list_areas, Right.AREAS_READ,
              query=AreasQuery, answer=AreaOut, many=True),
    Operation("GET", "/api/v1/areas.geojson", maps.areas_geojson, Right.AREAS_READ,
              query=GeoJsonQuery, answer=GEOJSON),
    Operation("POST", "/api/v1/areas/merge/preview", reorganisations.preview_merge, Right.AREAS_WRITE,
              body=MergePreviewIn, most_bytes=MANY_OUTLINES, answer=PlanOut),
    Operation("POST", "/api/v1/areas/merge", reorganisations.merge_areas, Right.AREAS_WRITE,
              body=MergeIn, most_bytes=MANY_OUTLINES, answer=ChangeOut, once=True, at_core=True),
    Operation("POST", "/api/v1/areas/split/preview", reorganisations.preview_split, Right.AREAS_WRITE,
              body=SplitPreviewIn, most_bytes=MANY_OUTLINES, answer=PlanOut),
    Operation("POST", "/api/v1/areas/split", reorganisations.split_area, Right.AREAS_WRITE,
              body=SplitIn, most_bytes=MANY_OUTLINES, answer=ChangeOut, once=True, at_core=True),
    Operation("POST", "/api/v1/areas/dissolve/preview", reorganisations.preview_dissolve, Right.AREAS_WRITE,
              body=DissolvePreviewIn, answer=PlanOut),
    Operation("POST", "/api/v1/areas/dissolve", reorganisations.dissolve_areas, Right.AREAS_WRITE,
              body=DissolveIn, answer=ChangeOut, once=True, at_core=True),
    Operation("POST", "/api/v1/areas/reorganise/preview", reorganisations.preview_reorganise, Right.AREAS_WRITE,
              body=ReorganisePreviewIn, most_bytes=MANY_OUTLINES, answer=PlanOut),
    Operation("POST", "/api/v1/areas/reorganise", reorganisations.reorganise_areas, Right.AREAS_WRITE,
              body=ReorganiseIn, most_bytes=MANY_OUTLINES, answer=ChangeOut, once=True, at_core=True),
    Operation("GET", "/api/v1/areas/changes", reorganisations.list_changes, Right.AREAS_READ,
              query=PageQuery, answer=ChangeOut, many=True),
    Operation("GET", "/api/v1/areas/changes/{id}", reorganisations.get_change, Right.AREAS_READ,
              answer=ChangeOut),
    Operation("POST", "/api/v1/areas/import", imports.import_areas, Right.AREAS_WRITE,
              form=AreaListForm, answer=AreaImportOut, at_core=True),
    Operation("POST", "/api/v1/areas/import/official", imports.import_official_units, Right.AREAS_WRITE,
              body=OfficialIn, answer=AreaImportOut, at_core=True),
    Operation("GET", "/api/v1/areas/{id}", areas.get_area, Right.AREAS_READ, answer=AreaOut, versioned=True),
    Operation("PATCH", "/api/v1/areas/{id}", areas.change_area, Right.AREAS_WRITE,
              body=AreaPatch, most_bytes=ONE_OUTLINE, answer=AreaOut, versioned=True, at_core=True),
    Operation("POST", "/api/v1/areas/{id}/close", areas.close_area, Right.AREAS_WRITE,
              body=AreaCloseIn, answer=AreaOut, versioned=True),
    Operation("GET", "/api/v1/areas/{id}/history", areas.area_history, Right.AREAS_READ, answer=AreaHistoryOut),
    Operation("GET", "/api/v1/areas/{id}/outline", areas.area_outline, Right.AREAS_READ, answer=GEOJSON),

    Operation("GET", "/api/v1/areas/{id}/multicast", area_groups.get_multicast, Right.AREAS_READ,
              answer=AreaGroupOut),
    Operation("PUT", "/api/v1/areas/{id}/multicast", area_groups.put_multicast, Right.AREAS_WRITE,
              body=AreaGroupIn, answer=AreaGroupOut, at_core=True),
    Operation("DELETE", "/api/v1/areas/{id}/multicast", area_groups.delete_multicast, Right.AREAS_WRITE,
              status=204, at_core=True),
    Operation("GET", "/api/v1/areas/{id}/plain-rtp", area_groups.get_plain_rtp, Right.AREAS_READ,
              answer=AreaGroupOut),
    Operation("PUT", "/api/v1/areas/{id}/plain-rtp", area_groups.put_plain_rtp, Right.PLAIN_RTP_WRITE,
              body=AreaGroupIn, answer=AreaGroupOut, at_core=True),
    Operation("DELETE", "/api/v1/areas/{id}/plain-rtp", area_groups.delete_plain_rtp, Right.PLAIN_RTP_WRITE,
              status=204, at_core=True),
    Operation("GET", "/api/v1/areas/{id}/sdp", area_groups.area_sdp, Right.AREAS_READ,
              answer=SDP, at_core=True),

    Operation("GET", "/api/v1/endpoints", endpoints.list_endpoints, Right.ENDPOINTS_READ,
              query=EndpointsQuery, answer=EndpointOut, many=True),
    Operation("POST", "/api/v1/endpoints/move", endpoints.move_endpoints, Right.ENDPOINTS_WRITE,
              body=EndpointsMoveIn, answer=EndpointsMovedOut, at_core=True),
    Operation("POST", "/api/v1/endpoints/import", imports.import_devices, Right.ENDPOINTS_WRITE,
              form=DeviceListForm, answer=DeviceImportOut),
    Operation("POST", "/api/v1/endpoints/import.csv", imports.import_devices_to_csv, Right.ENDPOINTS_WRITE,
              form=DeviceCodesForm, answer=CSV),
    Operation("GET", "/api/v1/endpoints/{id}", endpoints.get_endpoint, Right.ENDPOINTS_READ,
              answer=EndpointOut, versioned=True),
    Operation("PATCH", "/api/v1/endpoints/{id}", endpoints.change_endpoint, Right.ENDPOINTS_WRITE,
              body=EndpointPatch, answer=EndpointOut, versioned=True, at_core=True),
    Operation("GET", "/api/v1/endpoints/{id}/history", endpoints.endpoint_history, Right.ENDPOINTS_READ,
              query=EndpointHistoryQuery, answer=EndpointHistoryOut),
    Operation("POST", "/api/v1/endpoints/{id}/revoke", endpoints.revoke_endpoint, Right.ENDPOINTS_WRITE,
              answer=EndpointOut, urgent=True, at_core=True),

    Operation("POST", "/api/v1/enrolments", enrolments.create_enrolment, Right.ENDPOINTS_WRITE,
              body=EnrolmentIn, answer=EnrolmentMadeOut, status=201, once=True),
    Operation("GET", "/api/v1/enrolments", enrolments.list_enrolments, Right.ENDPOINTS_WRITE,
              query=EnrolmentsQuery, answer=EnrolmentOut, many=True),

    Operation("POST", "/api/v1/programmes", programmes.upload_programme, Right.PROGRAMMES_WRITE,
              form=ProgrammeForm, upload=True, answer=ProgrammeOut, status=201, once=True),
    Operation("GET", "/api/v1/programmes", programmes.list_programmes, Right.PROGRAMMES_READ,
              query=ProgrammesQuery, answer=ProgrammeOut, many=True),
    Operation("GET", "/api/v1/programmes/{id}", programmes.get_programme, Right.PROGRAMMES_READ,
              answer=ProgrammeOut, versioned=True),
    Operation("PATCH", "/api/v1/programmes/{id}", programmes.change_programme, Right.PROGRAMMES_WRITE,
              body=ProgrammeChange, answer=ProgrammeOut, versioned=True),
    Operation("DELETE", "/api/v1/programmes/{id}", programmes.delete_programme, Right.PROGRAMMES_WRITE,
              status=204, at_core=True),
    Operation("GET", "/api/v1/programmes/{id}/audio", programmes.programme_audio, Right.PROGRAMMES_READ,
              answer=OGG),

    Operation("GET", "/api/v1/uploads/{id}", uploads.get_upload, Right.PROGRAMMES_WRITE, answer=UploadOut),
    Operation("GET", "/api/v1/uploads/{id}/events", uploads.watch_upload, Right.PROGRAMMES_WRITE, answer=EVENTS),

    Operation("POST", "/api/v1/broadcasts", broadcasts.start_broadcast, Right.BROADCASTS_ROUTINE,
              body=BroadcastIn, answer=BroadcastOut, status=201, once=True, urgent=True, at_core=True),
    Operation("GET", "/api/v1/broadcasts", broadcasts.list_broadcasts, Right.BROADCASTS_READ,
              query=BroadcastsQuery, answer=BroadcastOut, many=True),
    Operation("GET", "/api/v1/broadcasts/{id}", broadcasts.get_broadcast, Right.BROADCASTS_READ,
              answer=BroadcastOut),
    Operation("POST", "/api/v1/broadcasts/{id}/stop", broadcasts.stop_broadcast, Right.BROADCASTS_ROUTINE,
              answer=BroadcastOut, urgent=True, at_core=True),
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

    Operation("POST", "/api/v1/sessions", sessions.sign_in, None,
              body=SignInIn, answer=MeOut, refusals=(403,)),
    Operation("GET", "/api/v1/sessions", sessions.list_sessions, None, own=True, answer=SessionsOut),
    Operation("DELETE", "/api/v1/sessions", sessions.end_sessions, None, own=True, status=204),
    Operation("DELETE", "/api/v1/sessions/current", sessions.sign_out, None, own=True, status=204),
    Operation("DELETE", "/api/v1/sessions/{id}", sessions.end_session, None, own=True, status=204),

    Operation("GET", "/api/v1/me", me.get_me, None, own=True, answer=MeOut),
    Operation("PATCH", "/api/v1/me", me.change_me, None, own=True, body=MeChangeIn, answer=MeOut),
    Operation("POST", "/api/v1/me/password", me.change_password, None, own=True, body=PasswordIn, answer=MeOut),
    Operation("POST", "/api/v1/me/proof", me.prove_again, None, own=True, body=ProofIn, answer=MeOut),
    Operation("POST", "/api/v1/me/totp", me.begin_second_factor, None, own=True,
              body=ProofIn, answer=AppBegunOut),
    Operation("POST", "/api/v1/me/totp/confirm", me.confirm_second_factor, None, own=True,
              body=AppCodeIn, answer=AppEnrolledOut),
    Operation("POST", "/api/v1/me/totp/disable", me.disable_second_factor, None, own=True,
              body=ProofIn, answer=MeOut),
    Operation("POST", "/api/v1/me/tokens", own_tokens.create_own_token, None, own=True,
              body=TokenIn, answer=TokenMadeOut, status=201, once=True),
    Operation("GET", "/api/v1/me/tokens", own_tokens.list_own_tokens, None, own=True,
              query=TokensQuery, answer=TokenOut, many=True),
    Operation("POST", "/api/v1/me/tokens/{id}/revoke", own_tokens.revoke_own_token, None, own=True,
              status=204, urgent=True),

    Operation("POST", "/api/v1/users", users.create_user, Right.USERS_WRITE,
              body=UserIn, answer=UserMadeOut, status=201, once=True),
    Operation("GET", "/api/v1/users", users.list_users, Right.USERS_READ,
              query=UsersQuery, answer=UserOut, many=True),
    Operation("GET", "/api/v1/users/{id}", users.get_user, Right.USERS_READ, answer=UserOut, versioned=True),
    Operation("PATCH", "/api/v1/users/{id}", users.change_user, Right.USERS_WRITE,
              body=UserChangeIn, answer=UserOut, versioned=True),
    Operation("DELETE", "/api/v1/users/{id}", users.delete_user, Right.USERS_WRITE, status=204, versioned=True),
    Operation("POST", "/api/v1/users/{id}/reset-password", users.reset_user_password, Right.USERS_WRITE,
              answer=UserMadeOut),
    Operation("POST", "/api/v1/users/{id}/reset-second-factor", users.reset_user_second_factor,
              Right.USERS_WRITE, answer=UserOut),
    Operation("POST", "/api/v1/users/{id}/unlock", users.unlock_user, Right.USERS_WRITE, answer=UserOut),
    Operation("GET", "/api/v1/users/{id}/sessions", users.list_user_sessions, Right.USERS_READ,
              answer=SessionsOut),
    Operation("DELETE", "/api/v1/users/{id}/sessions", users.end_user_sessions, Right.USERS_WRITE,
              status=204, urgent=True),

    Operation("GET", "/api/v1/audit", audit.list_audit, Right.AUDIT_READ,
              query=AuditQuery, answer=AuditOut, many=True),
    Operation("GET", "/api/v1/audit/export", audit.export_audit, Right.AUDIT_READ,
              query=AuditExportQuery, answer=JSON_LINES),
    Operation("GET", "/api/v1/events", events.watch_events, Right.AREAS_READ, query=EventsQuery, answer=EVENTS),
)
# fmt: on
"""Where a right must hold is the handler's to ask (control_api/reach.py)."""
