"""The HTTP application: every route in one table."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from loa.control_api import auth, problems, public, routes
from loa.control_api.link_socket import link
from loa.control_api.places import TAKEN
from loa.control_api.services import SERVICES, Services


def make_application(services: Services) -> web.Application:
    """The application over the rooms below."""
    app = web.Application(middlewares=[problems.middleware, auth.middleware])
    app[SERVICES] = services
    app[TAKEN] = Counter()
    app.add_routes(
        [
            web.get("/healthz", public.healthz, name="healthz"),
            web.get("/readyz", public.readyz, name="readyz"),
            web.get("/metrics", public.metrics, name="metrics"),
            web.get("/link", link, name="link", allow_head=False),
            web.get("/listen/{id}.ogg", public.listen, name="listen", allow_head=False),
            web.post("/api/v1/areas", routes.create_area),
            web.get("/api/v1/areas", routes.list_areas),
            web.get("/api/v1/areas/{id}", routes.get_area),
            web.get("/api/v1/endpoints", routes.list_endpoints),
            web.get("/api/v1/endpoints/{id}", routes.get_endpoint),
            web.post("/api/v1/endpoints/{id}/revoke", routes.revoke_endpoint),
            web.post("/api/v1/enrolments", routes.create_enrolment),
            web.post("/api/v1/enrolments/claim", routes.claim, name="claim"),
            web.post("/api/v1/programmes", routes.upload_programme),
            web.get("/api/v1/programmes", routes.list_programmes),
            web.get("/api/v1/programmes/{id}", routes.get_programme),
            web.get("/api/v1/programmes/{id}/audio", routes.programme_audio),
            web.post("/api/v1/broadcasts", routes.start_broadcast),
            web.get("/api/v1/broadcasts", routes.list_broadcasts),
            web.get("/api/v1/broadcasts/{id}", routes.get_broadcast),
            web.post("/api/v1/broadcasts/{id}/stop", routes.stop_broadcast),
            web.get("/api/v1/broadcasts/{id}/orders", routes.list_orders),
            web.get("/api/v1/broadcasts/{id}/receipts", routes.list_receipts),
        ]
    )
    return app
