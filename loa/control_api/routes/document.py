"""The API's own document, and a page to read and try it: everything from this machine, nothing from elsewhere."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
from functools import cache
from pathlib import Path

from aiohttp import web

from loa.control_api.openapi import document

_FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_PAGE = """<!doctype html>
<html lang="vi">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Loa · API</title>
<link rel="stylesheet" href="/api/v1/docs/swagger-ui.css">
<link rel="icon" href="/api/v1/docs/favicon-32x32.png">
</head>
<body>
<noscript>Trang này cần JavaScript; tài liệu ở <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.
 · This page needs JavaScript; the document is at the same address.</noscript>
<div id="document"></div>
<script src="/api/v1/docs/swagger-ui-bundle.js"></script>
<script src="/api/v1/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#document",
  deepLinking: true,
  docExpansion: "none",
  persistAuthorization: false,
  validatorUrl: null,
});
"""
# The page builds its own styles and images; nothing else is let in.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def _document() -> tuple[str, str]:
    from loa.control_api.table import OPERATIONS  # the table names this file's handlers

    text = json.dumps(document(OPERATIONS), ensure_ascii=False)
    return text, hashlib.sha256(text.encode()).hexdigest()[:16]


async def openapi(request: web.Request) -> web.Response:
    """This document."""
    text, tag = _document()
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if any(each.value == tag for each in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(text=text, content_type="application/json", headers=headers)


async def docs(_request: web.Request) -> web.Response:
    """A page to read this document and to try it."""
    return web.Response(text=_PAGE, content_type="text/html", headers={"Content-Security-Policy": _POLICY})


async def docs_file(request: web.Request) -> web.StreamResponse:
    """What that page is made of."""
    name = request.match_info["file"]
    if name == "start.js":
        return web.Response(text=_START, content_type="text/javascript")
    if name not in _FILES:
        raise web.HTTPNotFound
    return web.FileResponse(_static() / name, headers={"Cache-Control": "max-age=86400"})


@cache
def _static() -> Path:
    # As a resource: importing the package would bring its adapters for web frameworks along.
    return Path(str(importlib.resources.files("swagger_ui") / "static"))
