"""What every answer tells browsers: run nothing of it, put it in no frame, guess no type, tell no address.

What needs more, as the page that shows the API's document, says so itself.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from loa.control_api.auth import PRINCIPAL

ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


async def on_prepare(request: web.Request, answer: web.StreamResponse) -> None:
    """Add what the answer does not say yet. What is for somebody is kept by nobody between.

    A WebSocket shows nothing, and lasts: it is told nothing.
    """
    if answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return
    for name, value in ALWAYS.items():
        answer.headers.setdefault(name, value)
    if PRINCIPAL in request:
        answer.headers.setdefault("Cache-Control", "no-store")
