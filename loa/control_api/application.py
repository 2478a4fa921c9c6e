"""The HTTP application: every route in one table, each with the right that it needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from loa.broadcast.people.rights import Right
from loa.control_api import auth, problems, public, routes, token_routes
from loa.control_api.link_socket import link
from loa.control_api.places import TAKEN
from loa.control_api.services import SERVICES, Services


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. `right`: what the caller must have somewhere, None when the route is open to all.

    Where the right must hold is for the handler to ask, who knows which area is meant (control_api/reach.py).
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    right: Right | None


OPERATIONS = (
    # Health for the balancer, the link and the claim that prove themselves, the public's ear.
    Operation("GET", "/healthz", public.healthz, None),
    Operation("GET", "/readyz", public.readyz, None),
    Operation("GET", "/link", link, None),
    Operation("GET", "/listen/{id}.ogg", public.listen, None),
    Operation("POST", "/api/v1/enrolments/claim", routes.claim, None),
    Operation("GET", "/metrics", public.metrics, Right.METRICS_READ),
    Operation("POST", "/api/v1/areas", routes.create_area, Right.AREAS_WRITE),
    Operation("GET", "/api/v1/areas", routes.list_areas, Right.AREAS_READ),
    Operation("GET", "/api/v1/areas/{id}", routes.get_area, Right.AREAS_READ),
    Operation("GET", "/api/v1/endpoints", routes.list_endpoints, Right.ENDPOINTS_READ),
    Operation("GET", "/api/v1/endpoints/{id}", routes.get_endpoint, Right.ENDPOINTS_READ),
    Operation("POST", "/api/v1/endpoints/{id}/revoke", routes.revoke_endpoint, Right.ENDPOINTS_WRITE),
    Operation("POST", "/api/v1/enrolments", routes.create_enrolment, Right.ENDPOINTS_WRITE),
    Operation("POST", "/api/v1/programmes", routes.upload_programme, Right.PROGRAMMES_WRITE),
    Operation("GET", "/api/v1/programmes", routes.list_programmes, Right.PROGRAMMES_READ),
    Operation("GET", "/api/v1/programmes/{id}", routes.get_programme, Right.PROGRAMMES_READ),
    Operation("GET", "/api/v1/programmes/{id}/audio", routes.programme_audio, Right.PROGRAMMES_READ),
    Operation("POST", "/api/v1/broadcasts", routes.start_broadcast, Right.BROADCASTS_ROUTINE),
    Operation("GET", "/api/v1/broadcasts", routes.list_broadcasts, Right.BROADCASTS_READ),
    Operation("GET", "/api/v1/broadcasts/{id}", routes.get_broadcast, Right.BROADCASTS_READ),
    Operation("POST", "/api/v1/broadcasts/{id}/stop", routes.stop_broadcast, Right.BROADCASTS_ROUTINE),
    Operation("GET", "/api/v1/broadcasts/{id}/orders", routes.list_orders, Right.BROADCASTS_READ),
    Operation("GET", "/api/v1/broadcasts/{id}/receipts", routes.list_receipts, Right.BROADCASTS_READ),
    Operation("POST", "/api/v1/tokens", token_routes.create_token, Right.TOKENS_WRITE),
    Operation("GET", "/api/v1/tokens", token_routes.list_tokens, Right.TOKENS_WRITE),
    Operation("POST", "/api/v1/tokens/{id}/revoke", token_routes.revoke_token, Right.TOKENS_WRITE),
)


def make_application(services: Services) -> web.Application:
    """The application over the rooms below."""
    needed = {(operation.method, operation.path): operation.right for operation in OPERATIONS}
    app = web.Application(middlewares=[problems.middleware, auth.middleware])
    app[SERVICES] = services
    app[TAKEN] = Counter()
    app[auth.NEEDED] = needed
    for operation in OPERATIONS:
        if operation.method == "GET":
            head = operation.path in ("/healthz", "/readyz") or operation.right is not None
            app.router.add_get(operation.path, operation.handler, allow_head=head)
        else:
            app.router.add_route(operation.method, operation.path, operation.handler)
    return app
