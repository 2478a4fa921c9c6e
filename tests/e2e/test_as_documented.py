"""Every answer is as the OpenAPI document says, whatever is sent, and none of them is a mistake of the core."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from loa.broadcast.people.rights import Role
from loa.control_api.openapi import document
from loa.control_api.table import OPERATIONS
from tests import sounds

ENDLESS = ("/api/v1/events", "/api/v1/uploads/{id}/events", "/link")
"""Streams have tests of their own."""
EXAMPLES = 12
LONGEST_LINE = 8_000
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

schema = schemathesis.openapi.from_dict(document(OPERATIONS)).exclude(path=list(ENDLESS))


@dataclass(frozen=True)
class City:
    """A running core with something of everything in it, and a token for each role."""

    url: str
    ids: dict[str, str]
    tokens: dict[Role, str]
    line: requests.Session
    """Keeps its connection. It knows no proxy, and forgets the cookies that it is given."""


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("documented")
    environment = os.environ | {"LOA_API_REQUESTS_PER_S": "100000", "LOA_API_BURST": "1000000"}
    command = [sys.executable, "-m", "loa", "serve", "--data-dir", str(folder), "--http-port", "0"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as core,
    ):
        try:
            assert core.stdout is not None
            ready = re.search(r"http://\S+", core.stdout.readline())
            assert ready is not None, (folder / "log").read_text()
            with requests.Session() as line:
                line.trust_env = False
                line.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
                yield _settle(ready[0], (folder / "admin.token").read_text().strip(), line)
        finally:
            core.terminate()
            core.wait(20)


def _settle(url: str, token: str, line: requests.Session) -> City:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"

        def made(path: str, body: object = None, **more: object) -> dict[str, str]:
            answer = session.post(url + path, json=body, timeout=60, **more)  # type: ignore[arg-type]
            assert answer.status_code == 201, answer.text
            said: dict[str, str] = answer.json()
            return said

        area = made("/api/v1/areas", {"name": "Phường An Biên", "level": "commune", "code": "11407"})["id"]
        files = {"file": ("siren.wav", sounds.wav(sounds.siren(0.3)))}
        programme = made("/api/v1/programmes", data={"title": "Còi thử"}, files=files)["id"]
        broadcast = made("/api/v1/broadcasts", {"programme_id": programme, "targets": {"areas": [area]}})["id"]
        enrolment = made("/api/v1/enrolments", {"area_id": area, "name": "Loa"})["id"]
        spent = made("/api/v1/tokens", {"name": "cũ", "role": "viewer"})["id"]
        tokens = {role: made("/api/v1/tokens", {"name": role, "role": role})["token"] for role in Role}
    ids = {
        "areas": area,
        "programmes": programme,
        "broadcasts": broadcast,
        "enrolments": enrolment,
        "tokens": spent,
    }
    return City(url, ids, tokens, line)


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_documented_and_without_a_token_only_what_is_open_answers(
    case: Case[Any], city: City
) -> None:
    resource = case.path.removeprefix("/api/v1/").split("/")[0]
    given = str((case.path_parameters or {}).get("id", ""))
    if resource in city.ids and given[:1] in "02468ace":
        case.path_parameters["id"] = city.ids[resource]
    # Methods that nobody has declared are tried too, and are behind a token.
    declared = case.method == case.operation.method.upper()
    is_open = declared and case.operation.definition.raw.get("security") == []
    for role in (None, Role.ADMIN, Role.VIEWER):
        headers = {"Authorization": f"Bearer {city.tokens[role]}"} if role else {}
        answer = case.call(base_url=city.url, session=city.line, headers=headers, timeout=60)
        if len(answer.request.url or "") > LONGEST_LINE:
            assert answer.status_code == 400  # it could not be read, so nothing of ours has seen it
            continue
        case.validate_response(answer, checks=CHECKS, headers=headers)
        if role is None:
            assert (answer.status_code == 401) != is_open
