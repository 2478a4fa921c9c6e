"""Every role, in its own area, in another's and everywhere, at every route that there is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from loa.app.api_client import ApiClient, Json
from loa.app.core import Core
from loa.broadcast.people.rights import RIGHTS, Right, Role
from loa.control_api.operation import Operation
from loa.control_api.routes import uploads
from loa.control_api.table import OPERATIONS
from loa.edge.speaker import enrol
from loa.model import id_text
from tests import sounds
from tests.control_api.conftest import MovableClock
from tests.control_api.test_api import problem

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANYWHERE = frozenset(
    {
        Right.AREAS_READ,
    }
)
"""Rights that need not hold in any special area."""
NOT_SCOPED = frozenset(
    {
        "/api/v1/endpoints",
        "/api/v1/enrolments",
        "/api/v1/broadcasts",
        "/api/v1/programmes",
        "/api/v1/uploads/{id}",
        "/api/v1/uploads/{id}/events",
        "/api/v1/events",
        "/api/v1/users",
    }
)
"""GET routes that answer everybody who has the right, with what is theirs."""


HIDING = (
    "/api/v1/endpoints/{id}",
    "/api/v1/endpoints/move",
    "/api/v1/endpoints/import",
    "/api/v1/users/{id}",
    "/api/v1/programmes/{id}",
    "/api/v1/broadcasts/{id}",
)
"""Routes at which what the caller may not see is not there."""


@dataclass(frozen=True)
class Stage:
    """Two communes, each with a speaker, a programme, an ended broadcast and a user; tokens for roles and places.

    `programme` is the whole city's.
    """

    url: str
    areas: dict[str, str]
    hamlets: dict[str, list[str]]
    endpoints: dict[str, str]
    broadcasts: dict[str, str]
    users: dict[str, str]
    programmes: dict[str, str]
    programme: str
    tokens: dict[tuple[Role, str], str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(core: Core, api: ApiClient, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    sound = folder / "siren.wav"
    sound.write_bytes(sounds.wav(sounds.siren(0.5)))
    programme = str((await api.upload("Còi thử", sound))["id"])
    city = await api.create_area("Hải Phòng", "city")
    areas = {name: await api.create_area(name, "commune", city) for name in ("own", "other")}
    endpoints: dict[str, str] = {}
    broadcasts: dict[str, str] = {}
    users: dict[str, str] = {}
    programmes: dict[str, str] = {}
    hamlets: dict[str, list[str]] = {}
    for name, area in areas.items():
        hamlets[name] = [await api.create_area(f"Thôn {n} của {name}", "hamlet", area) for n in (1, 2)]
        programmes[name] = str((await api.upload("Bản tin xã", sound, area_id=area))["id"])
        endpoint_id = await enrol.claim(api.url, await api.enrolment_code(area, "Loa thử"), folder / name)
        endpoints[name] = id_text(endpoint_id)
        broadcast = (await api.start(programme, areas=[area]))["id"]
        await api.call("POST", f"/api/v1/broadcasts/{broadcast}/stop")
        broadcasts[name] = str(broadcast)
        grants = [{"role": "viewer", "area_id": area}]
        user = await api.call("POST", "/api/v1/users", {"login": f"o.{name}", "name": "Bà Lan", "grants": grants})
        users[name] = str(user["id"])
    tokens = {}
    for role in Role:
        for place, area_id in (("own", areas["own"]), ("everywhere", None)):
            made = await api.call("POST", "/api/v1/tokens", {"name": role, "role": role, "area_id": area_id})
            tokens[role, place] = made["token"]
    yield Stage(api.url, areas, hamlets, endpoints, broadcasts, users, programmes, programme, tokens)


ABOVE = frozenset({"/api/v1/areas/{id}/close"})
"""Routes that change what stands above the area they name."""


def asked(operation: Operation, stage: Stage, target: str) -> tuple[str, dict[str, Any]]:
    """The path of a request that means the commune `target`, and its body as the client takes it.

    It changes nothing that others need.
    """
    area, (hamlet, other) = stage.areas[target], stage.hamlets[target]
    ids = {"endpoints": stage.endpoints[target], "broadcasts": stage.broadcasts[target], "areas": area}
    ids["programmes"] = stage.programmes[target]
    ids["users"] = stage.users[target]
    ids["tokens"] = ids["uploads"] = area  # no token and no upload has this id
    path = operation.path
    if found := re.match(r"/api/v1/(\w+)/\{id\}", path):
        path = path.replace("{id}", ids[found[1]])
    bodies: dict[str, Json] = {
        "/api/v1/areas": {"name": "Thôn", "level": "hamlet", "parent_id": area},
        "/api/v1/enrolments": {"area_id": area, "name": "Loa"},
        "/api/v1/broadcasts": {"programme_id": stage.programme, "targets": {"areas": [area]}},
        "/api/v1/tokens": {"name": "Thử", "role": "viewer", "area_id": area},
        "/api/v1/areas/merge": {"sources": [hamlet], "into": {"area_id": other}},
        "/api/v1/areas/split": {"source": hamlet, "parts": [{"into": {"area_id": other}}]},
        "/api/v1/areas/dissolve": {"areas": [hamlet]},
        "/api/v1/areas/reorganise": {"steps": [{"kind": "dissolve", "areas": [hamlet]}]},
        "/api/v1/areas/import/official": {"provinces": ["31"], "under": area, "dry_run": True},
        "/api/v1/areas/{id}": {"position": {"lat": 20.8, "lon": 106.7}},
        "/api/v1/areas/{id}/close": {},
        "/api/v1/areas/{id}/plain-rtp": {"address": "239.9.9.9" if target == "own" else "239.9.9.8", "port": 5004},
        "/api/v1/areas/{id}/multicast": {"address": "232.9.9.9" if target == "own" else "232.9.9.8", "port": 5004},
        "/api/v1/endpoints/{id}": {"note": "trên cột điện"},
        "/api/v1/programmes/{id}": {"title": "Tên khác"},
        "/api/v1/endpoints/move": {"endpoints": [stage.endpoints[target]], "area_id": area},
    }
    bodies["/api/v1/users"] = {"login": "moi", "name": "Mới", "grants": [{"role": "viewer", "area_id": area}]}
    bodies["/api/v1/users/{id}"] = {"name": "Tên khác"}
    for name in ("merge", "split", "dissolve", "reorganise"):
        bodies[f"/api/v1/areas/{name}/preview"] = bodies[f"/api/v1/areas/{name}"]
        bodies[f"/api/v1/areas/{name}"] = bodies[f"/api/v1/areas/{name}"] | {"plan": "0" * 64}
    if not operation.changes:
        return path, {}
    if operation.path.endswith(("/import", "/import.csv")):
        form = aiohttp.FormData({"under": area})
        if operation.path == "/api/v1/areas/import":
            form.add_field("format", "csv")
        form.add_field("file", b"ten,cap\nTh\xc3\xb4n 1,hamlet\n", filename="list.csv")
        return path, {"data": form}
    if operation.path == "/api/v1/programmes":
        form = aiohttp.FormData({"title": "Không phải âm thanh", "area_id": area})
        form.add_field("file", b"text", filename="x.txt")
        return path, {"data": form}
    return path, {"json": bodies.get(operation.path)}


def allowed(operation: Operation, role: Role, place: str, target: str) -> bool:
    """What the table of rights says, said again from the outside."""
    right = operation.right
    assert right is not None
    if right not in RIGHTS[role]:
        return False
    if place == "everywhere" or right in ANYWHERE:
        return True
    if operation.path in ("/metrics", "/api/v1/audit", "/api/v1/audit/export"):
        return False
    if operation.path.startswith("/api/v1/tokens") and operation.path + operation.method != "/api/v1/tokensPOST":
        return False
    if operation.method == "GET" and operation.path in NOT_SCOPED:
        return True
    return target == "own" and operation.path not in ABOVE


ENDING = (("POST", "/api/v1/endpoints/{id}/revoke"), ("DELETE", "/api/v1/programmes/{id}"))
"""Routes that end a thing for all who come after: they have tests of their own."""
ASKED = [o for o in OPERATIONS if o.right is not None and o.route not in ENDING]


@pytest.mark.parametrize("operation", ASKED, ids=lambda o: f"{o.method} {o.path}")
async def test_a_route_lets_in_whom_its_right_names_and_nobody_else(
    operation: Operation, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "COMES_S", 0.0)
    async with aiohttp.ClientSession() as session:
        for (role, place), token in stage.tokens.items():
            for target in ("own", "other"):
                path, body = asked(operation, stage, target)
                # A version that nothing has: who may is told so, and changes nothing.
                headers = {"Authorization": f"Bearer {token}", "If-Match": '"v999999"'}
                async with session.request(operation.method, stage.url + path, headers=headers, **body) as answer:
                    may = allowed(operation, role, place, target)
                    endless = answer.content_type == "text/event-stream"
                    said = "" if endless else await answer.text(errors="replace")
                    case = f"{role} of {place} at {target}: {answer.status} {said}"
                    hidden = operation.path.startswith(HIDING) and answer.status in (404, 422)
                    assert (answer.status != 403 and not hidden) == may, case
                    assert answer.status not in (401, 500), case
                    if answer.status == 403:
                        assert (await answer.json())["type"] == "urn:loa:problem:forbidden"


async def test_only_who_keeps_the_devices_of_an_area_revokes_one(stage: Stage, api: ApiClient) -> None:
    path = f"/api/v1/endpoints/{stage.endpoints['other']}/revoke"
    for (role, place), token in stage.tokens.items():
        if place == "everywhere" and Right.ENDPOINTS_WRITE in RIGHTS[role]:
            continue
        async with ApiClient(stage.url, token) as client:
            error = await problem(client, "POST", path)
            assert error.status == (404 if place == "own" and Right.ENDPOINTS_WRITE in RIGHTS[role] else 403)
    assert (await api.call("GET", path.removesuffix("/revoke")))["revoked_at"] is None
    async with ApiClient(stage.url, stage.tokens[Role.OPS, "everywhere"]) as client:
        assert (await client.call("POST", path))["revoked_at"] is not None


async def test_a_list_of_devices_shows_those_of_ones_own_area(stage: Stage) -> None:
    async with ApiClient(stage.url, stage.tokens[Role.VIEWER, "own"]) as client:
        assert [item["id"] for item in await client.items("/api/v1/endpoints")] == [stage.endpoints["own"]]


async def test_a_device_named_in_anothers_area_is_not_reached(stage: Stage) -> None:
    async with ApiClient(stage.url, stage.tokens[Role.STUDIO, "own"]) as client:
        targets = {"endpoints": [stage.endpoints["own"], stage.endpoints["other"]]}
        error = await problem(
            client, "POST", "/api/v1/broadcasts", {"programme_id": stage.programme, "targets": targets}
        )
        assert (error.status, error.slug) == (404, "not-found")


async def test_a_priority_needs_its_own_right_to_start_and_to_stop(
    stage: Stage, api: ApiClient, tmp_path: Path
) -> None:
    sound = tmp_path / "siren.wav"
    sound.write_bytes(sounds.wav(sounds.siren(20.0)))
    programme = (await api.upload("Báo động", sound, "emergency"))["id"]
    area = stage.areas["own"]
    async with (
        ApiClient(stage.url, stage.tokens[Role.OFFICER, "own"]) as officer,
        ApiClient(stage.url, stage.tokens[Role.STUDIO, "own"]) as studio,
        ApiClient(stage.url, stage.tokens[Role.EMERGENCY, "own"]) as desk,
    ):
        for client, priority in ((officer, 128), (studio, 224)):
            chosen = programme if priority == 224 else stage.programme
            body = {"programme_id": chosen, "targets": {"areas": [area]}, "priority": priority}
            assert (await problem(client, "POST", "/api/v1/broadcasts", body)).status == 403
        broadcast = await desk.start(programme, areas=[area])
        assert (await problem(studio, "POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")).status == 403
        assert (await api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}"))["state"] == "on_air"
        assert (await desk.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop"))["state"] == "stopped"


async def test_a_token_ends_when_it_is_revoked_and_when_its_time_is_over(
    stage: Stage, api: ApiClient, clock: MovableClock
) -> None:
    made = await api.call("POST", "/api/v1/tokens", {"name": "Tạm", "role": "viewer", "valid_s": 60})
    async with ApiClient(stage.url, made["token"]) as client:
        await client.call("GET", "/api/v1/areas")
        with clock.later(61):
            assert (await problem(client, "GET", "/api/v1/areas")).status == 401
        await api.call("POST", f"/api/v1/tokens/{made['id']}/revoke")
        assert (await problem(client, "GET", "/api/v1/areas")).status == 401
    listed = {item["id"]: item for item in await api.items("/api/v1/tokens")}
    assert listed[made["id"]]["revoked_at"] is not None
    assert made["token"] not in str(listed)


async def test_a_token_for_no_area_or_no_role_is_not_made(api: ApiClient) -> None:
    nowhere = {"name": "x", "role": "viewer", "area_id": "00000000-0000-7000-8000-000000000000"}
    assert (await problem(api, "POST", "/api/v1/tokens", nowhere)).status == 404
    assert (await problem(api, "POST", "/api/v1/tokens", {"name": "x", "role": "king"})).status == 422
    assert (
        await problem(api, "POST", "/api/v1/tokens", {"name": "x", "role": "admin", "valid_s": 0})
    ).status == 422


async def test_what_is_open_to_all_is_named_here_and_nothing_is_declared_twice() -> None:
    assert len({(o.method, o.path) for o in OPERATIONS}) == len(OPERATIONS)
    assert {o.path for o in OPERATIONS if o.open} == {
        "/healthz",
        "/readyz",
        "/link",
        "/listen/{id}.ogg",
        "/api/v1/enrolments/claim",
        "/api/v1/openapi.json",
        "/api/v1/docs",
        "/api/v1/docs/{file}",
        "/api/v1/sessions",
    }
    assert {o.path.removeprefix("/api/v1/").split("/")[0] for o in OPERATIONS if o.own} == {"me", "sessions"}
    assert [o.route for o in OPERATIONS if o.own and o.right is not None] == []
