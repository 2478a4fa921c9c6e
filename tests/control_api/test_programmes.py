"""Programmes of areas: who sees, uses, changes and takes away which, and what is left to read."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loa.app.api_client import ApiClient, ApiError, Json
from loa.app.core import Core
from tests import sounds
from tests.control_api.conftest import MovableClock
from tests.control_api.officers import Officers, city_with_officers
from tests.control_api.test_api import problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Stage(Officers):
    """With a programme of each area, and one of the whole city."""

    programmes: Mapping[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(api: ApiClient, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    sound = tmp_path_factory.mktemp("stage") / "siren.wav"
    sound.write_bytes(sounds.wav(sounds.siren(0.5)))
    async with city_with_officers(api) as city:
        programmes: dict[str, str] = {}
        for name, officer in city.officers.items():
            made = await officer.upload(f"Bản tin {name}", sound, area_id=city.areas.get(name))
            programmes[name] = str(made["id"])
        yield Stage(city.areas, city.officers, programmes)


def seen(stage: Stage, items: list[Json]) -> set[str]:
    """The names of the stage's programmes among these."""
    ids = {item["id"] for item in items}
    return {name for name, programme_id in stage.programmes.items() if programme_id in ids}


SEEN = {
    "commune": {"whole city", "city", "district", "commune", "hamlet"},
    "hamlet": {"whole city", "city", "district", "commune", "hamlet"},
    "district": {"whole city", "city", "district", "commune", "neighbour", "hamlet"},
    "other": {"whole city", "city", "other"},
    "city": {"whole city", "city", "district", "other", "commune", "neighbour", "hamlet"},
}
CHANGED = {
    "commune": {"commune", "hamlet"},
    "hamlet": {"hamlet"},
    "district": {"district", "commune", "neighbour", "hamlet"},
    "other": {"other"},
    "city": {"city", "district", "other", "commune", "neighbour", "hamlet"},
}


@pytest.mark.parametrize("who", list(SEEN))
async def test_an_officer_sees_above_and_below_and_changes_below(stage: Stage, who: str) -> None:
    officer = stage.officers[who]
    assert seen(stage, await officer.items("/api/v1/programmes")) == SEEN[who]
    for name, programme_id in stage.programmes.items():
        path = f"/api/v1/programmes/{programme_id}"
        if name not in SEEN[who]:
            for method, call in (("GET", path), ("GET", f"{path}/audio"), ("PATCH", path), ("DELETE", path)):
                assert (await problem(officer, method, call)).status == 404, (name, method)
            continue
        assert (await officer.call("GET", path))["id"] == programme_id
        assert (await officer.audio(programme_id))[:4] == b"OggS"
        if name not in CHANGED[who]:
            for method in ("PATCH", "DELETE"):
                assert (await problem(officer, method, path)).slug == "forbidden", (name, method)
        else:
            assert (await problem(officer, "PATCH", path)).slug == "if-match-missing", name


async def test_a_programme_is_made_where_the_officer_is_one(stage: Stage, tmp_path: Path) -> None:
    sound = tmp_path / "siren.wav"
    sound.write_bytes(sounds.wav(sounds.siren(0.5)))
    officer = stage.officers["commune"]
    for area_id in (None, *(stage.areas[name] for name in ("city", "district", "neighbour"))):
        with pytest.raises(ApiError, match="403 forbidden"):
            await officer.upload("Không phải của tôi", sound, area_id=area_id)
    made = await officer.upload("Của tôi", sound, area_id=stage.areas["hamlet"])
    assert (made["area_id"], made["version"]) == (stage.areas["hamlet"], 1)
    assert made["owner"].startswith("token:")
    for wrong, status in (("x", 422), ("00000000-0000-7000-8000-000000000000", 404)):
        with pytest.raises(ApiError, match=f"^{status} "):
            await officer.upload("Ở đâu", sound, area_id=wrong)


async def test_a_programme_that_is_not_seen_is_not_taken_on_air(stage: Stage) -> None:
    officer = stage.officers["commune"]
    body = {"programme_id": stage.programmes["neighbour"], "targets": {"areas": [stage.areas["commune"]]}}
    assert (await problem(officer, "POST", "/api/v1/broadcasts", body)).slug == "not-found"
    started = await officer.start(stage.programmes["district"], areas=[stage.areas["commune"]])
    await officer.call("POST", f"/api/v1/broadcasts/{started['id']}/stop")


async def patched(api: ApiClient, programme_id: str, match: str, body: Any) -> tuple[int, Any, str]:
    """Status, body and ETag."""
    url = f"{api.url}/api/v1/programmes/{programme_id}"
    async with api._session.patch(url, json=body, headers={"If-Match": match}) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers.get("ETag", "")


async def test_who_changes_must_have_seen_what_there_is(stage: Stage, api: ApiClient, tmp_path: Path) -> None:
    sound = tmp_path / "siren.wav"
    sound.write_bytes(sounds.wav(sounds.siren(0.5)))
    programme_id = str((await api.upload("Một", sound))["id"])
    async with api._session.get(f"{api.url}/api/v1/programmes/{programme_id}") as answer:
        tag = answer.headers["ETag"]
    status, said, next_tag = await patched(api, programme_id, tag, {"title": "Hai"})
    assert (status, said["title"], said["version"], next_tag) == (200, "Hai", 2, '"v2"')
    assert (await patched(api, programme_id, tag, {"title": "Ba"}))[:1] == (412,)
    status, said, _ = await patched(api, programme_id, "*", {"class": "priority"})
    assert (status, said["title"], said["class"]) == (200, "Hai", "priority")
    for body in ({}, {"title": ""}, {"title": None, "class": None}, {"class": "x"}, {"area_id": None}):
        assert (await patched(api, programme_id, "*", body))[0] == 422, body
    both = await asyncio.gather(*(patched(api, programme_id, '"v3"', {"title": title}) for title in ("A", "B")))
    assert sorted(each[0] for each in both) == [200, 412]


async def test_what_was_taken_away_is_told_of_where_it_was_heard(
    api: ApiClient, stage: Stage, tmp_path: Path
) -> None:
    sound = tmp_path / "siren.wav"
    sound.write_bytes(sounds.wav(sounds.siren(20.0)))
    made = await api.upload("Sẽ bị xóa", sound)
    path = f"/api/v1/programmes/{made['id']}"
    broadcast = await api.start(made["id"], areas=[stage.areas["hamlet"]])
    error = await problem(api, "DELETE", path)
    assert (error.status, error.slug, error.detail) == (409, "conflict", "this programme is on air")
    await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
    assert await api.call("DELETE", path) == {}
    for method, call in (("GET", path), ("GET", f"{path}/audio"), ("DELETE", path)):
        assert (await problem(api, method, call)).status == 404
    assert made["id"] not in [item["id"] for item in await api.items("/api/v1/programmes")]
    told = await api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}")
    assert (told["programme_title"], told["programme_sha256"]) == ("Sẽ bị xóa", made["sha256"])
    body = {"programme_id": made["id"], "targets": {"areas": [stage.areas["hamlet"]]}}
    assert (await problem(api, "POST", "/api/v1/broadcasts", body)).slug == "not-found"


async def test_a_list_is_filtered_by_area_class_and_time(
    stage: Stage, api: ApiClient, clock: MovableClock, tmp_path: Path
) -> None:
    officer = stage.officers["city"]
    for name, expected in (
        ("district", {"district", "commune", "neighbour", "hamlet"}),
        ("hamlet", {"hamlet"}),
    ):
        items = await officer.items("/api/v1/programmes", area_id=stage.areas[name])
        assert seen(stage, items) == expected
    mine = await stage.officers["commune"].items("/api/v1/programmes", area_id=stage.areas["district"])
    assert seen(stage, mine) == {"district", "commune", "hamlet"}
    sound = tmp_path / "siren.wav"
    sound.write_bytes(sounds.wav(sounds.siren(0.5)))
    with clock.later(3600):
        late = await api.upload("Muộn", sound, "priority")
    found = await api.items("/api/v1/programmes", **{"class": "priority"})
    assert late["id"] in [item["id"] for item in found]
    assert {item["class"] for item in found} == {"priority"}
    since = await api.items("/api/v1/programmes", since=late["created_at"])
    assert [item["id"] for item in since] == [late["id"]]
    until = await api.items("/api/v1/programmes", until=late["created_at"])
    assert seen(stage, until) == set(stage.programmes)
    assert late["id"] not in [item["id"] for item in until]
    assert await api.items("/api/v1/programmes", area_id=late["id"]) == []


async def test_a_file_comes_with_its_digest(api: ApiClient, stage: Stage, core: Core) -> None:
    programme = await api.call("GET", f"/api/v1/programmes/{stage.programmes['whole city']}")
    async with api._session.get(f"{api.url}/api/v1/programmes/{programme['id']}/audio") as answer:
        data, said = await answer.read(), answer.headers["Repr-Digest"]
    digest = hashlib.sha256(data).digest()
    assert said == f"sha-256=:{base64.b64encode(digest).decode()}:"
    assert digest.hex() == programme["sha256"]
