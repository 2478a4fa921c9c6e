"""The OpenAPI document says what is so, and the page that shows it needs no network."""

from __future__ import annotations

import json
import re

import aiohttp
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from loa.app.api_client import ApiClient
from loa.control_api.openapi import document
from loa.control_api.table import OPERATIONS

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_document_is_valid_and_holds_every_route() -> None:
    said = document(OPERATIONS)
    OpenAPIV31SpecValidator(said).validate()
    assert {(m.upper(), path) for path, each in said["paths"].items() for m in each} == {
        o.route for o in OPERATIONS
    }
    names = [each["operationId"] for path in said["paths"].values() for each in path.values()]
    assert len(set(names)) == len(names)


async def test_every_route_says_what_it_is_and_who_may() -> None:
    for path, methods in document(OPERATIONS)["paths"].items():
        for method, each in methods.items():
            assert each["summary"], path
            assert ("x-right" in each) != (each.get("security") == []), path
            assert set(re.findall(r"{(\w+)}", path)) == {p["name"] for p in each["parameters"] if p["in"] == "path"}
            if method == "post" and each["responses"].get("201"):
                assert "Idempotency-Key" in {p["name"] for p in each["parameters"]}, path


async def test_the_document_is_served_to_all_and_not_twice(api: ApiClient) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{api.url}/api/v1/openapi.json") as answer:
            assert (await answer.json())["openapi"] == "3.1.0"
            tag = answer.headers["ETag"]
        async with session.get(f"{api.url}/api/v1/openapi.json", headers={"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")


async def test_the_page_and_all_it_is_made_of_come_from_here(api: ApiClient) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{api.url}/api/v1/docs") as answer:
            page = await answer.text()
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        parts = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert len(parts) >= 4
        for part in parts:
            assert part.startswith("/api/v1/"), part
            async with session.get(api.url + part) as answer:
                assert answer.status == 200, part
        for bad in ("secret", "..%2f..%2fetc%2fpasswd", "swagger-ui.css.map"):
            async with session.get(f"{api.url}/api/v1/docs/{bad}") as answer:
                assert answer.status == 404, bad


async def test_no_body_takes_an_address_to_fetch() -> None:
    asked = [model for o in OPERATIONS for model in (o.body, o.form, o.query) if model is not None]
    assert len(asked) > 20
    for model in asked:
        schema = model.model_json_schema()
        formats = set(re.findall(r'"format": "([\w-]+)"', json.dumps(schema)))
        assert not formats & {"uri", "url", "uri-reference", "hostname", "ipv4", "ipv6"}, model
        parts = [schema, *schema.get("$defs", {}).values()]
        fields = {field for part in parts for field in part.get("properties", {})}
        odd = {field for field in fields if re.search(r"(^|_)(ur[il]|href|callback|webhook|host)($|_)", field)}
        assert not odd, model
