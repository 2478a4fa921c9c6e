"""The HTTP application over the table of operations."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from loa.control_api import access_log, auth, problems, security_headers
from loa.control_api.places import TAKEN
from loa.control_api.rate_limits import LIMITS
from loa.control_api.services import SERVICES, Services
from loa.control_api.table import OPERATIONS

NO_HEAD = ("/link", "/listen/{id}.ogg", "/api/v1/events", "/api/v1/uploads/{id}/events")
"""What has no end has no HEAD."""


def make_application(services: Services) -> web.Application:
    """The application over the rooms below."""
    app = web.Application(middlewares=[access_log.middleware, problems.middleware, auth.middleware])
    app.on_response_prepare.append(security_headers.on_prepare)
    app[SERVICES] = services
    app[LIMITS] = services.limits
    app[TAKEN] = Counter()
    app[auth.DECLARED] = {operation.route: operation for operation in OPERATIONS}
    for operation in OPERATIONS:
        if operation.method == "GET":
            app.router.add_get(operation.path, operation.handler, allow_head=operation.path not in NO_HEAD)
        else:
            app.router.add_route(operation.method, operation.path, operation.handler)
    return app
