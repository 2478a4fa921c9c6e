"""Plain RTP outputs of areas, over HTTP."""

from __future__ import annotations

import pytest
import pytest_asyncio

from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.broadcast.records import GroupKind
from loa.broadcast.registry import area_groups
from loa.codecs.sdp import AudioSession
from tests.control_api.test_places import send

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAIN = {"address": "239.8.0.1", "port": 5004, "ttl": 1, "source": "127.0.0.1"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def area(api: ApiClient) -> str:
    return await api.create_area("Xã Loa Khác", "commune")


async def description(api: ApiClient, area: str) -> tuple[int, str, bytes]:
    async with api._session.get(f"{api.url}/api/v1/areas/{area}/sdp") as answer:
        return answer.status, answer.content_type, await answer.read()


async def test_an_output_is_off_until_an_administrator_gives_it_and_is_described_while_it_is_there(
    api: ApiClient, area: str
) -> None:
    path = f"/api/v1/areas/{area}/plain-rtp"
    assert (await send(api, "GET", path))[0] == 404
    assert (await description(api, area))[0] == 404
    given = await api.call("PUT", path, PLAIN)
    assert given == {**PLAIN, "interface": "", "loop": True}
    status, kind, text = await description(api, area)
    assert (status, kind) == (200, "application/sdp")
    first = AudioSession.parse(text)
    assert (first.name, first.host, first.port, first.ttl) == ("Xã Loa Khác", "239.8.0.1", 5004, 1)
    assert first.origin == "127.0.0.1"
    await api.call("PUT", path, {**PLAIN, "port": 5006})
    second = AudioSession.parse((await description(api, area))[2])
    assert (second.session_id, second.port) == (first.session_id, 5006)
    assert second.version > first.version
    assert (await send(api, "DELETE", path))[0] == 204
    assert (await description(api, area))[0] == 404
    told = [e["action"] for e in await api.items("/api/v1/audit") if e["subject"] == f"area:{area}"]
    assert told[:3] == ["area.plain-rtp-off", "area.plain-rtp", "area.plain-rtp"]


async def test_a_renamed_area_is_described_anew(api: ApiClient, core: Core) -> None:
    area = await api.create_area("Xã Tên Cũ", "commune")
    await api.call("PUT", f"/api/v1/areas/{area}/plain-rtp", {**PLAIN, "port": 5010})
    first = AudioSession.parse((await description(api, area))[2])
    groups = core.services.core.groups  # type: ignore[union-attr]
    await groups.refresh()
    assert AudioSession.parse((await description(api, area))[2]) == first
    await send(api, "PATCH", f"/api/v1/areas/{area}", {"name": "Xã Tên Mới"}, If_Match="*")
    await groups.refresh()
    second = AudioSession.parse((await description(api, area))[2])
    assert second.name == "Xã Tên Mới"
    assert second.version > first.version
    await send(api, "POST", f"/api/v1/areas/{area}/close", {}, If_Match="*")
    await groups.refresh()
    assert (await description(api, area))[0] == 404


async def test_an_output_by_an_interface_that_is_not_there_is_kept_and_sends_nothing(
    api: ApiClient, area: str
) -> None:
    path = f"/api/v1/areas/{area}/plain-rtp"
    given = {**PLAIN, "interface": "nowhere0", "port": 5012}
    assert (await send(api, "PUT", path, given))[0] == 200
    assert (await description(api, area))[0] == 404
    assert (await send(api, "DELETE", path))[0] == 204


async def test_there_are_so_many_outputs_and_no_more(
    api: ApiClient, area: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(area_groups.MOST, GroupKind.PLAIN, 1)
    other = await api.create_area("Xã Nữa", "commune")
    assert (await send(api, "PUT", f"/api/v1/areas/{area}/plain-rtp", PLAIN))[0] == 200
    assert (await send(api, "PUT", f"/api/v1/areas/{area}/plain-rtp", {**PLAIN, "ttl": 2}))[0] == 200
    status, said, _ = await send(api, "PUT", f"/api/v1/areas/{other}/plain-rtp", {**PLAIN, "port": 5014})
    assert (status, said["type"]) == (409, "urn:loa:problem:conflict")
    assert (await send(api, "DELETE", f"/api/v1/areas/{area}/plain-rtp"))[0] == 204


async def test_a_group_is_for_protected_or_for_plain_sound_and_not_for_both(api: ApiClient, area: str) -> None:
    await api.call("PUT", f"/api/v1/areas/{area}/plain-rtp", PLAIN)
    assert (await send(api, "PUT", f"/api/v1/areas/{area}/multicast", PLAIN))[0] == 409
    assert (await send(api, "DELETE", f"/api/v1/areas/{area}/plain-rtp"))[0] == 204


@pytest.mark.parametrize("role", ["viewer", "officer", "studio", "emergency", "ops"])
async def test_nobody_but_administrators_lets_sound_out_without_protection(
    api: ApiClient, area: str, role: str
) -> None:
    token = (await api.call("POST", "/api/v1/tokens", {"name": role, "role": role}))["token"]
    async with ApiClient(api.url, token) as caller:
        path = f"/api/v1/areas/{area}/plain-rtp"
        status, said, _ = await send(caller, "PUT", path, PLAIN)
        assert (status, said["right"]) == (403, "plain_rtp.write")
        assert (await send(caller, "DELETE", path))[0] == 403
        assert (await send(caller, "GET", path))[0] == 404
