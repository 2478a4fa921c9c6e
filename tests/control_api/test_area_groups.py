"""Multicast groups of areas, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from loa.app.api_client import ApiClient
from loa.app.core import Core
from tests.control_api.test_api import problem
from tests.control_api.test_places import send

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUP = {"address": "232.9.0.1", "port": 5004}
WHOLE = {**GROUP, "ttl": 8, "interface": "", "loop": True, "source": ""}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def area(api: ApiClient) -> str:
    return await api.create_area("Xã Nhóm", "commune")


async def test_a_group_is_given_shown_changed_and_taken_away_and_the_media_process_knows(
    api: ApiClient, core: Core, area: str
) -> None:
    path = f"/api/v1/areas/{area}/multicast"
    assert (await send(api, "GET", path))[0] == 404
    status, shown, _ = await send(api, "PUT", path, GROUP)
    assert (status, shown) == (200, WHOLE)
    other = {
        "address": "FF35:0::1",
        "port": 6000,
        "ttl": 1,
        "interface": "eth0",
        "loop": False,
        "source": "2001:DB8::1",
    }
    kept = {**other, "address": "ff35::1", "source": "2001:db8::1"}
    assert await api.call("PUT", path, other) == kept == await api.call("GET", path)
    assert len(core._hub.groups._routes) == 1
    assert (await send(api, "DELETE", path))[0] == 204
    assert (await send(api, "DELETE", path))[0] == 404
    assert (await send(api, "GET", path))[0] == 404
    assert core._hub.groups._routes == {}
    entries = [e for e in await api.items("/api/v1/audit") if e["subject"] == f"area:{area}"]
    assert [(e["action"], e["before"], e["after"]) for e in entries if "multicast" in e["action"]] == [
        ("area.multicast-off", kept, None),
        ("area.multicast", WHOLE, kept),
        ("area.multicast", None, WHOLE),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"address": "192.0.2.1"},
        {"address": "224.0.0.1"},
        {"address": "239.255.255.255"},
        {"address": "ff02::1"},
        {"address": "nhóm"},
        {"address": "2" * 200},
        {"address": None},
        {"port": 0},
        {"port": 1_023},
        {"port": 65_536},
        {"ttl": 0},
        {"ttl": 256},
        {"interface": "eth0; reboot"},
        {"interface": "a" * 16},
        {"source": "239.0.0.1"},
        {"source": "2001:db8::1"},
        {"source": "core"},
        {"loop": "maybe"},
        {"nonsense": 1},
    ],
)
async def test_what_is_no_group_is_refused_with_the_field_named(
    api: ApiClient, area: str, change: dict[str, Any]
) -> None:
    status, said, _ = await send(api, "PUT", f"/api/v1/areas/{area}/multicast", {**GROUP, **change})
    assert (status, said["type"]) == (422, "urn:loa:problem:invalid")
    assert said["errors"]
    assert (await send(api, "GET", f"/api/v1/areas/{area}/multicast"))[0] == 404


async def test_a_group_is_one_areas_until_that_gives_it_back_or_is_closed(api: ApiClient, area: str) -> None:
    path = f"/api/v1/areas/{area}/multicast"
    other = await api.create_area("Xã Khác", "commune")
    await api.call("PUT", f"/api/v1/areas/{other}/multicast", GROUP)
    status, said, _ = await send(api, "PUT", path, GROUP)
    assert (status, said["type"]) == (409, "urn:loa:problem:conflict")
    assert "Xã Khác" in said["detail"]
    assert (await send(api, "POST", f"/api/v1/areas/{other}/close", {}, If_Match="*"))[0] == 200
    assert (await send(api, "PUT", f"/api/v1/areas/{other}/multicast", {**GROUP, "ttl": 3}))[0] == 409
    assert await api.call("PUT", path, GROUP) == WHOLE
    assert (await send(api, "DELETE", path))[0] == 204


async def test_an_area_that_is_not_there_has_no_group(api: ApiClient) -> None:
    path = "/api/v1/areas/01234567-89ab-7def-8123-456789abcdef/multicast"
    for method, body in (("GET", None), ("PUT", GROUP), ("DELETE", None)):
        assert (await problem(api, method, path, body)).status == 404


@pytest.mark.parametrize("role", ["viewer", "officer", "studio", "emergency"])
async def test_only_who_may_change_areas_gives_groups(api: ApiClient, area: str, role: str) -> None:
    token = (await api.call("POST", "/api/v1/tokens", {"name": role, "role": role}))["token"]
    async with ApiClient(api.url, token) as caller:
        path = f"/api/v1/areas/{area}/multicast"
        assert (await send(caller, "PUT", path, GROUP))[0] == 403
        assert (await send(caller, "DELETE", path))[0] == 403
        assert (await send(caller, "GET", path))[0] == 404


async def test_ops_of_one_area_give_groups_there_only(api: ApiClient, area: str) -> None:
    elsewhere = await api.create_area("Xã Xa", "commune")
    body = {"name": "ops", "role": "ops", "area_id": area}
    async with ApiClient(api.url, (await api.call("POST", "/api/v1/tokens", body))["token"]) as caller:
        assert (await send(caller, "PUT", f"/api/v1/areas/{elsewhere}/multicast", GROUP))[0] == 403
        assert (await send(caller, "PUT", f"/api/v1/areas/{area}/multicast", GROUP))[0] == 200
        assert (await send(caller, "DELETE", f"/api/v1/areas/{area}/multicast"))[0] == 204
