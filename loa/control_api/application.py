"""The HTTP application over the table of operations."""

from __future__ import annotations

from collections import Counter

from aiohttp import web
from aiohttp.typedefs import Middleware

from loa.control_api import access_log, auth, handed_over, problems, security_headers
from loa.control_api.hand_over import HandOver
from loa.control_api.handed_over import ClusterSecret
from loa.control_api.link_sweep import SWEEP, LinkSweep, sweeping
from loa.control_api.places import TAKEN
from loa.control_api.rate_limits import LIMITS
from loa.control_api.services import SERVICES, Services
from loa.control_api.table import OPERATIONS

NO_HEAD = ("/link", "/api/v1/events", "/api/v1/uploads/{id}/events")
"""What has no end has no HEAD."""


def make_application(services: Services, secret: ClusterSecret | None = None) -> web.Application:
    """The application over the rooms below. `secret`: believe processes that know it what they hand over."""
    middlewares: list[Middleware] = [access_log.middleware, problems.middleware, auth.middleware]
    if secret is not None:
        middlewares.insert(0, handed_over.believing(secret))
    app = web.Application(middlewares=middlewares)
    app.on_response_prepare.append(security_headers.on_prepare)
    app[SERVICES] = services
    app[LIMITS] = services.limits
    app[TAKEN] = Counter()
    app[SWEEP] = LinkSweep()
    app.cleanup_ctx.append(sweeping)
    app[auth.DECLARED] = {operation.route: operation for operation in OPERATIONS}
    for operation in OPERATIONS:
        handler = operation.handler
        if operation.at_core and isinstance(services.core, HandOver):
            handler = services.core.serve
        if operation.method == "GET":
            app.router.add_get(operation.path, handler, allow_head=operation.path not in NO_HEAD)
        else:
            app.router.add_route(operation.method, operation.path, handler)
    return app
