"""The OpenAPI 3.1 document, made of the table of operations and of the models that validate."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from loa import __version__
from loa.control_api.models.base import Problem
from loa.control_api.operation import Operation
from loa.control_api.uploads import UPLOAD_ID

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"
_TITLES: Mapping[int, str] = {
    400: "Malformed",
    401: "Without a good token or session",
    403: "Without the right there, or without a sign that it is meant",
    404: "Not found, or not for the caller to see",
    408: "The body came too slowly",
    409: "Conflict with what there is",
    410: "Over",
    412: "Changed meanwhile",
    413: "Too large",
    415: "Of another media type",
    422: "Understood, and not to be done so",
    428: "Without If-Match",
    429: "Too fast",
    503: "Not now",
    507: "No room for it",
}


def document(operations: Iterable[Operation]) -> Json:
    """The document of these operations."""
    listed = tuple(operations)
    schemas, names = _schemas(listed)
    paths: Json = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, names, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Loa",
            "version": __version__,
            "summary": "The system by which a city speaks to its people.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-loa_session",
                    "description": "Of a browser that has signed in. A change needs `X-CSRF-Token` too.",
                },
            },
        },
    }


def _schemas(operations: tuple[Operation, ...]) -> tuple[Json, dict[tuple[type[BaseModel], str], str]]:
    """The components, and under which name each model stands there as it is asked for and as it is answered."""
    wanted: dict[tuple[type[BaseModel], str], None] = {(Problem, "serialization"): None}
    for operation in operations:
        for model in (operation.body, operation.form, operation.query):
            if model is not None:
                wanted[model, "validation"] = None
        for answered in (operation.answer, operation.beside):
            if isinstance(answered, type):
                wanted[answered, "serialization"] = None
    references, definitions = models_json_schema(list(wanted), ref_template=_REF)  # type: ignore[arg-type]
    names = {key: reference["$ref"].rpartition("/")[2] for key, reference in references.items()}
    return definitions["$defs"], names  # type: ignore[return-value]


def _operation(operation: Operation, names: Mapping[tuple[type[BaseModel], str], str], schemas: Json) -> Json:
    said = inspect.getdoc(operation.handler) or ""
    summary, _, rest = said.partition("\n\n")
    described: Json = {
        "operationId": operation.handler.__name__,
        "summary": " ".join(summary.split()).removesuffix("."),
        "tags": [_tag(operation.path)],
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation), *_headers(operation)],
        "responses": _responses(operation, names, schemas),
    }
    if rest:
        described["description"] = rest
    if operation.open:
        described["security"] = []
    else:
        described["x-right"] = "own" if operation.right is None else str(operation.right)
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": _of(names, operation.body)}}
    if operation.form is not None:
        described["requestBody"] = {"required": True, "content": {"multipart/form-data": _form(operation.form)}}
    return described


def _of(names: Mapping[tuple[type[BaseModel], str], str], model: type[BaseModel], mode: str = "validation") -> Json:
    return {"schema": {"$ref": _REF.format(model=names[model, mode])}}


def _form(model: type[BaseModel]) -> Json:
    schema = model.model_json_schema(mode="validation")
    assert "$defs" not in schema or all("enum" in d for d in schema["$defs"].values())
    definitions = schema.get("$defs", {})
    properties = {name: _without_null(each, definitions) for name, each in schema["properties"].items()}
    properties["file"] = {"type": "string", "contentMediaType": "application/octet-stream"}
    required = [*schema.get("required", []), "file"]
    return {"schema": {"type": "object", "properties": properties, "required": required}}


def _inlined(schema: Json, definitions: Json) -> Json:
    """A property with the definitions it refers to put in their place: parameters and forms stand alone."""
    if "$ref" in schema:
        named = definitions[schema["$ref"].rpartition("/")[2]]
        return {**named, **{key: value for key, value in schema.items() if key != "$ref"}}
    if "anyOf" in schema:
        return {**schema, "anyOf": [_inlined(each, definitions) for each in schema["anyOf"]]}
    if "allOf" in schema:
        return {**schema, "allOf": [_inlined(each, definitions) for each in schema["allOf"]]}
    return schema


def _without_null(schema: Json, definitions: Json) -> Json:
    """A property of a query or a form, which have no null: what is optional is left out."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    if len(kinds) != 1:
        return _inlined(schema, definitions)
    dropped = ("anyOf", "title", *(["default"] if schema.get("default") is None else []))
    kept = {key: value for key, value in schema.items() if key not in dropped}
    return _inlined({**kept, **kinds[0]}, definitions)


def _tag(path: str) -> str:
    parts = path.removeprefix("/api/v1/").strip("/").split("/")
    return parts[0].partition(".")[0] if path.startswith("/api/v1/") else "system"


def _path_parameters(path: str) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"} if name == "id" else {"type": "string"},
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(operation: Operation) -> list[Json]:
    if operation.query is None:
        return []
    schema = operation.query.model_json_schema(mode="validation")
    required = schema.get("required", [])
    found = []
    for name, each in schema.get("properties", {}).items():
        one = _without_null(each, schema.get("$defs", {}))
        parameter: Json = {"name": name, "in": "query", "required": name in required}
        if "description" in one:
            parameter["description"] = one.pop("description")
        found.append({**parameter, "schema": {k: v for k, v in one.items() if k != "title"}})
    return found


def _headers(operation: Operation) -> list[Json]:
    found: list[Json] = []
    if operation.once:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Makes it happen once, however often it is sent with this key.",
                "schema": {"type": "string", "pattern": "^[!-~]{1,64}$"},
            }
        )
    if operation.upload:
        found.append(
            {
                "name": UPLOAD_ID,
                "in": "header",
                "description": "A UUID of the caller's own, under which to watch the upload.",
                "schema": {"type": "string", "format": "uuid"},
            }
        )
    if operation.versioned and operation.changes:
        found.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": True,
                "description": "The ETag of the version that you have seen, or *.",
                "schema": {"type": "string", "pattern": '^("v[1-9][0-9]{0,17}(\\.[0-9a-f]{16})?"|\\*)$'},
            }
        )
    if operation.path == "/api/v1/events":
        seq = {"type": "string", "pattern": "^[0-9]{1,18}$"}
        found.append({"name": "Last-Event-ID", "in": "header", "schema": seq})
    return found


def _responses(operation: Operation, names: Mapping[tuple[type[BaseModel], str], str], schemas: Json) -> Json:
    good: Json = {"description": "Done"}
    if isinstance(operation.answer, str):
        good["content"] = {operation.answer: {"schema": {}}}
    elif operation.answer is not None:
        one = _of(names, operation.answer, "serialization")["schema"]
        beside = None if operation.beside is None else schemas[names[operation.beside, "serialization"]]
        schema = one if not operation.many else _page(one, beside)
        good["content"] = {"application/json": {"schema": schema}}
    one_thing = isinstance(operation.answer, type) and not operation.many
    if operation.versioned or (operation.method == "GET" and one_thing):
        good["headers"] = {"ETag": {"schema": {"type": "string"}}}
    if operation.upload:
        good["headers"] = {UPLOAD_ID: {"schema": {"type": "string", "format": "uuid"}}}
    responses: Json = {str(operation.status): good}
    if "ETag" in good.get("headers", {}) and not operation.changes:
        responses["304"] = {"description": "As you have it"}
    problem = {"application/problem+json": _of(names, Problem, "serialization")}
    for status in sorted(_statuses(operation)):
        responses[str(status)] = {"description": _TITLES[status], "content": problem}
    return responses


def _page(one: Json, beside: Json | None) -> Json:
    more: Json = {} if beside is None else beside["properties"]
    return {
        "type": "object",
        "properties": {"items": {"type": "array", "items": one}, "next": {"type": ["string", "null"]}, **more},
        "required": ["items", "next", *more],
        "additionalProperties": False,
    }


def _statuses(operation: Operation) -> set[int]:
    """The problems that any route of this kind may answer."""
    found = {400, 429, 503, *operation.refusals}
    if not operation.open:
        found |= {401, 403}
    if "{" in operation.path or operation.changes:
        found.add(404)
    if operation.changes:
        found |= {409, 422}
    if operation.body is not None or operation.form is not None:
        found |= {408, 413, 415}
    if operation.upload:
        found.add(507)
    if operation.path.startswith("/listen/"):
        found.add(410)
    if operation.query is not None:
        found.add(422)
    if operation.versioned and operation.changes:
        found |= {412, 428}
    return found
