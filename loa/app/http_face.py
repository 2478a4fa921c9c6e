"""The HTTP face of a process: an application on an address, by TLS where a certificate is set."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from aiohttp import web

from loa.app.tasks import in_background
from loa.app.tls import ServerTls
from loa.config import CoreConfig
from loa.errors import ConfigError

SHUTDOWN_S = 2.0
IDLE_S = 75.0
"""A connection on which nothing is asked, or no question comes to its end, is closed after this: longer than what a
proxy keeps for later."""
BACKLOG = 4096
"""Connections that the kernel holds until they are taken: a city comes back at once."""


@dataclass(frozen=True, slots=True)
class HttpFace:
    """Where it is, and its certificate if it has one."""

    port: int
    url: str
    tls: ServerTls | None


async def serve(application: web.Application, config: CoreConfig, stack: contextlib.AsyncExitStack) -> HttpFace:
    """Serve it until the stack is closed. ConfigError when the address or the certificate cannot be had."""
    tls = None
    if config.tls_cert is not None and config.tls_key is not None:
        tls = ServerTls(config.tls_cert, config.tls_key)
        in_background(stack, tls.run())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=IDLE_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    context = None if tls is None else tls.context
    try:
        await web.TCPSite(runner, config.http_host, config.http_port, backlog=BACKLOG, ssl_context=context).start()
    except OSError as error:
        where = f"{config.http_host}:{config.http_port}"
        raise ConfigError(f"http_host, http_port: cannot listen on {where}: {error.strerror or error}") from error
    port: int = runner.addresses[0][1]
    return HttpFace(port, f"{'http' if tls is None else 'https'}://{config.http_host}:{port}", tls)
