"""The audit log over HTTP: looked up, taken away, verified elsewhere."""

from __future__ import annotations

import hashlib
import json

import pytest

from loa.app.api_client import ApiClient

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_who_did_what_from_where_is_found(api: ApiClient) -> None:
    area = await api.create_area("Xã có vết", "commune")
    found = await api.call("GET", f"/api/v1/audit?subject=area:{area}")
    (entry,) = found["items"]
    assert (entry["action"], entry["name"], entry["origin"]) == ("area.create", "admin", "127.0.0.1")
    assert entry["actor"].startswith("token:")
    told = {"name": "Xã có vết", "level": "commune", "code": None, "parent_id": None}
    assert entry["after"] | told == entry["after"]
    assert entry["areas"] == [area]
    by = await api.call("GET", f"/api/v1/audit?actor={entry['actor']}&action=area.create&since={entry['at']}")
    assert entry in by["items"]
    assert (await api.call("GET", f"/api/v1/audit?until={entry['at']}&subject=area:{area}"))["items"] == []


async def test_newest_come_first_and_pages_hold_all(api: ApiClient) -> None:
    for number in range(5):
        await api.create_area(f"Xã {number}", "commune")
    entries = await api.items("/api/v1/audit")
    assert [entry["seq"] for entry in entries] == list(range(len(entries), 0, -1))
    some = (await api.call("GET", "/api/v1/audit?sort=seq&limit=2"))["items"]
    assert [entry["seq"] for entry in some] == [1, 2]


async def test_an_export_verifies_with_nothing_but_a_sha_256(api: ApiClient) -> None:
    for number in range(3):
        await api.create_area(f"Thôn {number}", "hamlet")
    async with api._session.get(f"{api.url}/api/v1/audit/export") as answer:
        lines = (await answer.text()).splitlines()
    before = bytes(32)
    for seq, line in enumerate(lines, 1):
        said = json.loads(line)
        before = hashlib.sha256(before + said["entry"].encode()).digest()
        assert (said["seq"], said["hash"]) == (seq, before.hex())
    assert len(lines) >= 3
    async with api._session.get(f"{api.url}/api/v1/audit/export?after=2") as answer:
        assert (await answer.text()).splitlines() == lines[2:]


async def test_no_secret_is_ever_written_down(api: ApiClient) -> None:
    area = await api.create_area("Kín", "commune")
    secrets = [
        (await api.call("POST", "/api/v1/enrolments", {"area_id": area, "name": "Loa"}))["code"],
        (await api.call("POST", "/api/v1/tokens", {"name": "máy", "role": "viewer"}))["token"],
    ]
    async with api._session.get(f"{api.url}/api/v1/audit/export") as answer:
        log = await answer.text()
    for secret in secrets:
        assert secret not in log
        assert hashlib.sha256(secret.encode()).hexdigest() not in log
