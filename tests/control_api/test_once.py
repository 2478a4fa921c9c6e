"""Idempotency keys: what is asked for twice happens once."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from loa.app.api_client import ApiClient
from tests import sounds

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def post(api: ApiClient, path: str, key: str, body: Any) -> tuple[int, Any, bool]:
    """Status, body, and whether it was said to be an old answer."""
    async with api._session.post(api.url + path, json=body, headers={"Idempotency-Key": key}) as answer:
        return answer.status, await answer.json(content_type=None), "Idempotency-Replayed" in answer.headers


async def names(api: ApiClient) -> list[str]:
    return [area["name"] for area in await api.items("/api/v1/areas")]


async def test_a_request_that_comes_again_makes_nothing_new(api: ApiClient) -> None:
    body = {"name": "Một lần", "level": "commune"}
    first = await post(api, "/api/v1/areas", "k-1", body)
    again = await post(api, "/api/v1/areas", "k-1", body)
    assert (first[0], first[2], again[0], again[2]) == (201, False, 201, True)
    assert first[1] == again[1]
    assert (await names(api)).count("Một lần") == 1


async def test_a_hundred_at_once_make_one(api: ApiClient) -> None:
    body = {"name": "Cùng lúc", "level": "commune"}
    answers = await asyncio.gather(*(post(api, "/api/v1/areas", "k-2", body) for _ in range(100)))
    assert {answer[0] for answer in answers} == {201}
    assert len({answer[1]["id"] for answer in answers}) == 1
    assert sum(not answer[2] for answer in answers) == 1
    assert (await names(api)).count("Cùng lúc") == 1


async def test_a_key_stands_for_one_request_only(api: ApiClient) -> None:
    await post(api, "/api/v1/areas", "k-3", {"name": "A", "level": "commune"})
    status, said, _ = await post(api, "/api/v1/areas", "k-3", {"name": "B", "level": "commune"})
    assert (status, said["type"]) == (422, "urn:loa:problem:key-reused")
    status, said, _ = await post(api, "/api/v1/tokens", "k-3", {"name": "A", "role": "viewer"})
    assert (status, said["type"]) == (422, "urn:loa:problem:key-reused")


async def test_a_key_is_the_callers_own(api: ApiClient) -> None:
    other = (await api.call("POST", "/api/v1/tokens", {"name": "khác", "role": "admin"}))["token"]
    body = {"name": "Của ai", "level": "commune"}
    mine = await post(api, "/api/v1/areas", "k-4", body)
    async with ApiClient(api.url, other) as client:
        theirs = await post(client, "/api/v1/areas", "k-4", body)
    assert not theirs[2]
    assert mine[1]["id"] != theirs[1]["id"]


async def test_a_request_that_failed_may_be_tried_again_with_its_key(api: ApiClient) -> None:
    body = {"name": "Trùng mã", "level": "commune", "code": "31-X"}
    await post(api, "/api/v1/areas", "k-5", body)
    assert (await post(api, "/api/v1/areas", "k-6", body))[0] == 409
    status, said, old = await post(api, "/api/v1/areas", "k-6", {**body, "code": "31-Y"})
    assert (status, old) == (201, False), said


async def test_secrets_are_shown_once(api: ApiClient) -> None:
    area = await api.create_area("Có mã", "commune")
    for path, body, secret in (
        ("/api/v1/enrolments", {"area_id": area, "name": "Loa"}, "code"),
        ("/api/v1/tokens", {"name": "máy", "role": "viewer"}, "token"),
    ):
        first, again = await post(api, path, "k-7" + secret, body), await post(api, path, "k-7" + secret, body)
        assert first[1][secret]
        assert again[1] == {**first[1], secret: None}


@pytest.mark.parametrize("key", ["", "x" * 65, "có dấu", "a b"])
async def test_a_key_that_is_none_is_refused(api: ApiClient, key: str) -> None:
    assert (await post(api, "/api/v1/areas", key, {"name": "x", "level": "commune"}))[0] == 400


async def test_an_upload_and_a_broadcast_happen_once(api: ApiClient) -> None:
    sound = sounds.wav(sounds.siren(0.5))

    async def upload(data: bytes, title: str = "Còi") -> tuple[int, str]:
        form = aiohttp.FormData()
        form.add_field("title", title)
        form.add_field("file", data, filename="x.wav")
        headers = {"Idempotency-Key": "k-8"}
        async with api._session.post(f"{api.url}/api/v1/programmes", data=form, headers=headers) as answer:
            return answer.status, (await answer.json(content_type=None)).get("id", "")

    first = await upload(sound)
    assert first[0] == 201
    assert await upload(sound) == first
    assert (await upload(sound, "Còi khác"))[0] == 422
    assert (await upload(sound[:-2]))[0] == 422
    area = await api.create_area("Xã phát", "commune")
    body = {"programme_id": first[1], "targets": {"areas": [area]}}
    on_air = await post(api, "/api/v1/broadcasts", "k-9", body)
    again = await post(api, "/api/v1/broadcasts", "k-9", body)
    assert on_air[1]["id"] == again[1]["id"]
    assert (on_air[2], again[2]) == (False, True)
