"""Areas and devices through time, over HTTP."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from loa.app.api_client import ApiClient, ApiError, Json
from loa.edge.speaker import enrol
from loa.model import id_text
from tests.control_api.conftest import MovableClock
from tests.control_api.test_api import problem

pytestmark = pytest.mark.asyncio(loop_scope="module")

RING = [[106.0, 20.0], [107.0, 20.0], [107.0, 21.0], [106.0, 20.0]]
POLYGON = {"type": "Polygon", "coordinates": [RING]}
DAY_S = 86_400


async def send(
    api: ApiClient, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Json, str | None]:
    """Status, body and ETag."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api._session.request(method, api.url + path, json=body, headers=named) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers.get("ETag")


async def form(api: ApiClient, path: str, file: bytes, **fields: str) -> aiohttp.ClientResponse:
    data = aiohttp.FormData(fields)
    data.add_field("file", file, filename="list")
    return await api._session.post(api.url + path, data=data)


async def device(api: ApiClient, area: str, name: str, folder: Path) -> str:
    return id_text(await enrol.claim(api.url, await api.enrolment_code(area, name), folder / name))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def city(api: ApiClient) -> str:
    return await api.create_area("Thành phố của bài thử", "city")


async def test_an_area_is_changed_by_who_has_seen_it_as_it_is(api: ApiClient, city: str) -> None:
    area = await api.create_area("Xã Một", "commune", city)
    path = f"/api/v1/areas/{area}"
    status, shown, tag = await send(api, "GET", path)
    assert (status, tag, shown["version"]) == (200, '"v1"', 1)
    assert (await send(api, "PATCH", path, {"name": "Xã Hai"}))[0] == 428
    status, shown, tag = await send(api, "PATCH", path, {"name": "Xã Hai", "code": "HAI"}, If_Match='"v1"')
    assert (status, shown["name"], shown["code"], tag) == (200, "Xã Hai", "HAI", '"v2"')
    status, said, _ = await send(api, "PATCH", path, {"name": "Xã Ba"}, If_Match='"v1"')
    assert (status, said["type"]) == (412, "urn:loa:problem:changed")
    edit = {"code": None, "position": {"lat": 20.5, "lon": 106.5}, "outline": POLYGON}
    status, shown, _ = await send(api, "PATCH", path, edit, If_Match="*")
    assert (status, shown["code"], shown["position"]) == (200, None, {"lat": 20.5, "lon": 106.5})
    async with api._session.get(f"{api.url}{path}/outline") as answer:
        assert answer.content_type == "application/geo+json"
        assert json.loads(await answer.text()) == POLYGON
    assert (await problem(api, "GET", f"/api/v1/areas/{city}/outline")).status == 404
    for bad in ({"name": None}, {"name": "\u202eab"}, {"parent_id": area}, {"nonsense": 1}, {"at": "someday"}):
        assert (await send(api, "PATCH", path, bad, If_Match="*"))[0] in (409, 422), bad


async def test_the_tree_of_a_day_is_told_as_it_was(api: ApiClient, city: str, clock: MovableClock) -> None:
    old = await api.create_area("Huyện Cũ", "district", city)
    commune = await api.create_area("Xã Cũ", "commune", old)
    with clock.later(10 * DAY_S):
        await send(api, "PATCH", f"/api/v1/areas/{commune}", {"name": "Xã Mới", "parent_id": city}, If_Match="*")
        status, shown, _ = await send(api, "POST", f"/api/v1/areas/{old}/close", {}, If_Match="*")
        assert (status, shown["valid_until"] is not None) == (200, True)
        day = shown["valid_until"][:10]
        before = await api.call("GET", f"/api/v1/areas?at={day}&parent_id={old}")
        assert [(area["name"], area["parent_id"]) for area in before["items"]] == [("Xã Cũ", old)]
        now = await api.call("GET", f"/api/v1/areas?parent_id={city}&state=open&q=xa moi")
        assert [area["id"] for area in now["items"]] == [commune]
        history = await api.call("GET", f"/api/v1/areas/{commune}/history")
        assert [(each["name"], each["parent_id"]) for each in history["versions"]] == [
            ("Xã Cũ", old), ("Xã Mới", city),
        ]  # fmt: skip
    for wrong in ("at=2025-07-01&q=x", "at=2025-07-01&sort=name", "at=2025-07-01&state=open", "at=hôm-nay", "q="):
        assert (await problem(api, "GET", f"/api/v1/areas?{wrong}")).status == 422, wrong


async def test_a_merge_is_looked_at_and_then_done_as_it_was_seen(api: ApiClient, city: str, tmp_path: Path) -> None:
    one, two = [await api.create_area(f"Xã gộp {n}", "commune", city) for n in (1, 2)]
    speaker = await device(api, one, "Loa gộp", tmp_path)
    token = await api.call("POST", "/api/v1/tokens", {"name": "cán bộ", "role": "officer", "area_id": two})
    body = {
        "sources": [one, two],
        "into": {"new": {"name": "Phường gộp", "level": "ward", "parent_id": city, "code": "GOP"}},
        "decree": "Nghị quyết 1669/NQ-UBTVQH15",
    }
    plan = await api.call("POST", "/api/v1/areas/merge/preview", body)
    assert plan["counts"] | {"opened": 1, "closed": 2, "moved": 1, "rights_following": 1} == plan["counts"]
    assert plan["moved"] == [{"endpoint_id": speaker, "name": "Loa gộp", "from_id": one, "to": "new"}]
    assert [(each["name"], each["to"]) for each in plan["rights"]] == [("cán bộ", "new")]
    assert (await api.call("GET", f"/api/v1/areas/{one}"))["valid_until"] is None
    apply = body | {"plan": plan["plan"]}
    status, said, _ = await send(api, "POST", "/api/v1/areas/merge", body | {"plan": "0" * 64})
    assert (status, said["type"]) == (409, "urn:loa:problem:plan-changed")
    status, change, _ = await send(api, "POST", "/api/v1/areas/merge", apply, Idempotency_Key="gop-1")
    assert (status, change["kind"], change["decree"]) == (200, "merge", body["decree"])
    again = await send(api, "POST", "/api/v1/areas/merge", apply, Idempotency_Key="gop-1")
    assert again[:2] == (200, change)
    (new,) = {link["to_id"] for link in change["became"]}
    assert {link["from_id"] for link in change["became"]} == {one, two}
    assert await api.call("GET", f"/api/v1/areas/changes/{change['id']}") == change
    assert change["id"] in [each["id"] for each in await api.items("/api/v1/areas/changes")]
    assert (await api.call("GET", f"/api/v1/endpoints/{speaker}"))["area_id"] == new
    tokens = {each["id"]: each["area_id"] for each in await api.items("/api/v1/tokens")}
    assert tokens[token["id"]] == new
    history = await api.call("GET", f"/api/v1/areas/{one}/history")
    assert [(link["from_id"], link["to_id"], link["decree"]) for link in history["became"]] == [
        (one, new, body["decree"])
    ]
    stays = (await api.call("GET", f"/api/v1/endpoints/{speaker}/history"))["stays"]
    assert [stay["path"][-1]["name"] for stay in stays] == ["Xã gộp 1", "Phường gộp"]


async def test_what_is_done_to_areas_at_once_is_done_once(api: ApiClient, city: str) -> None:
    one, two = [await api.create_area(f"Xã đua {n}", "commune", city) for n in (1, 2)]
    body: Json = {"sources": [one], "into": {"area_id": two}}
    body["plan"] = (await api.call("POST", "/api/v1/areas/merge/preview", body))["plan"]
    answers = await asyncio.gather(*(send(api, "POST", "/api/v1/areas/merge", body) for _ in range(6)))
    assert sorted(status for status, _, _ in answers)[0] == 200
    assert [status for status, _, _ in answers].count(200) == 1
    assert {status for status, _, _ in answers} <= {200, 404, 409, 503}


async def test_a_split_and_a_dissolution_are_looked_at_and_done(api: ApiClient, city: str, tmp_path: Path) -> None:
    district = await api.create_area("Huyện tách", "district", city)
    commune = await api.create_area("Xã tách", "commune", district)
    first, second = [await device(api, commune, f"Loa tách {n}", tmp_path) for n in (1, 2)]
    split: Json = {
        "source": commune,
        "parts": [
            {"into": {"new": {"name": "Tách A", "level": "ward", "parent_id": district, "key": "a"}}},
            {
                "into": {"new": {"name": "Tách B", "level": "ward", "parent_id": district, "key": "b"}},
                "devices": [second],
            },
        ],
    }
    plan = await api.call("POST", "/api/v1/areas/split/preview", split)
    assert {move["endpoint_id"]: move["to"] for move in plan["moved"]} == {first: "a", second: "b"}
    await api.call("POST", "/api/v1/areas/split", split | {"plan": plan["plan"]})
    dissolve: Json = {"areas": [district]}
    plan = await api.call("POST", "/api/v1/areas/dissolve/preview", dissolve)
    assert {(each["name"], each["to"]) for each in plan["rehung"]} == {("Tách A", city), ("Tách B", city)}
    assert sorted(plan["replaced"]) == sorted([first, second])
    await api.call("POST", "/api/v1/areas/dissolve", dissolve | {"plan": plan["plan"]})
    steps: Json = {
        "steps": [
            {"kind": "merge", "sources": [], "into": {"area_id": city}},
        ]
    }
    assert (await problem(api, "POST", "/api/v1/areas/reorganise/preview", steps)).status == 422
    listed = await api.call("GET", "/api/v1/areas?q=tach&state=open")
    found = {area["name"]: area["id"] for area in listed["items"]}
    steps["steps"][0]["sources"] = [found["Tách A"]]
    steps["steps"][0]["into"] = {"area_id": found["Tách B"]}
    plan = await api.call("POST", "/api/v1/areas/reorganise/preview", steps)
    done = await api.call("POST", "/api/v1/areas/reorganise", steps | {"plan": plan["plan"]})
    assert done["counts"]["moved"] == 1
    for bad in ({"area_id": city, "key": "x"}, {}):
        body = {"sources": [found["Tách B"]], "into": bad}
        assert (await problem(api, "POST", "/api/v1/areas/merge/preview", body)).status == 422


async def test_devices_are_changed_and_moved(api: ApiClient, city: str, tmp_path: Path) -> None:
    one, two = [await api.create_area(f"Xã chuyển {n}", "commune", city) for n in (1, 2)]
    speaker = await device(api, one, "Loa chuyển", tmp_path)
    path = f"/api/v1/endpoints/{speaker}"
    _, shown, tag = await send(api, "GET", path)
    assert tag is not None
    assert (await send(api, "GET", path, None, If_None_Match=tag))[0] == 304
    edit = {"name": "Loa mới", "note": "cột điện", "position": {"lat": 20.8, "lon": 106.7}, "area_id": two}
    status, shown, _ = await send(api, "PATCH", path, edit, If_Match=tag)
    assert status == 200
    assert shown | edit == shown
    assert (await send(api, "PATCH", path, edit, If_Match=tag))[0] == 412
    assert [each["id"] for each in (await api.call("GET", "/api/v1/endpoints?q=loa moi&placed=true"))["items"]] == [
        speaker
    ]
    moved = await api.call("POST", "/api/v1/endpoints/move", {"endpoints": [speaker], "area_id": one})
    assert moved == {"moved": [speaker]}
    moved = await api.call("POST", "/api/v1/endpoints/move", {"endpoints": [speaker], "area_id": one})
    assert moved == {"moved": []}
    stays = (await api.call("GET", f"{path}/history"))["stays"]
    assert [stay["area_id"] for stay in stays] == [one, two, one]
    then = await api.call("GET", f"{path}/history?at={stays[1]['since'].replace('+', '%2B')}")
    assert [place["name"] for place in then["stays"][0]["path"]] == ["Thành phố của bài thử", "Xã chuyển 2"]
    assert (await problem(api, "GET", f"{path}/history?at=2001-01-01")).status == 404
    late = {"at": "2999-01-01", "area_id": two}
    for bad in ({"name": None}, {"area_id": None}, {"position": {"lat": 91, "lon": 0}}, late):
        assert (await send(api, "PATCH", path, bad, If_Match="*"))[0] == 422, bad


async def test_a_list_of_areas_is_looked_at_and_taken_in(api: ApiClient, city: str) -> None:
    table = "Mã;Tên;Cấp;Mã cha\nNK1;Phường nhập;ward;\n;Thôn nhập;hamlet;NK1\n".encode("utf-8-sig")
    async with await form(api, "/api/v1/areas/import", table, format="csv", under=city, dry_run="true") as answer:
        seen = await answer.json()
    assert (seen["applied"], seen["counts"]["create"], seen["change_id"]) == (False, 2, None)
    assert (await api.call("GET", "/api/v1/areas?code=NK1"))["items"] == []
    async with await form(
        api, "/api/v1/areas/import", table, format="csv", under=city, plan=seen["plan"], source="Danh mục"
    ) as answer:
        done = await answer.json()
    assert (done["applied"], done["counts"]) == (True, seen["counts"])
    assert (await api.call("GET", f"/api/v1/areas/changes/{done['change_id']}"))["decree"] == "Danh mục"
    async with await form(api, "/api/v1/areas/import", table, format="csv", under=city) as answer:
        again = await answer.json()
    assert (again["counts"]["unchanged"], again["change_id"]) == (2, None)
    async with await form(api, "/api/v1/areas/import", table, format="csv", under=city, plan="0" * 64) as answer:
        assert (answer.status, (await answer.json())["type"]) == (409, "urn:loa:problem:plan-changed")
    wrong = b"ten,cap\nA,x\n,x\n"
    async with await form(api, "/api/v1/areas/import", wrong, format="csv", under=city) as answer:
        said = await answer.json()
        assert (answer.status, said["detail"]) == (
            422, "1 rows are wrong, so none was taken in; line 3: the name is empty",
        )  # fmt: skip
    for data, fmt in ((b"\xff\xfe", "csv"), (b"[" * 10_000, "geojson"), (b"", "geojson"), (b"", "csv")):
        async with await form(api, "/api/v1/areas/import", data, format=fmt) as answer:
            assert answer.status == 422, data
    async with await form(api, "/api/v1/areas/import", b"", format="xlsx") as answer:
        assert answer.status == 422


async def test_official_units_are_taken_in_under_their_city(api: ApiClient) -> None:
    body = {"provinces": ["31"], "dry_run": True}
    seen = await api.call("POST", "/api/v1/areas/import/official", body)
    assert seen["counts"]["create"] == 115
    assert len(seen["rows"]) == 115
    done = await api.call("POST", "/api/v1/areas/import/official", body | {"dry_run": False, "plan": seen["plan"]})
    assert done["applied"]
    (ward,) = (await api.call("GET", "/api/v1/areas?q=phuong phu lien&level=ward"))["items"]
    assert ward["name"] == "Phường Phù Liễn"
    assert ward["valid_from"] == "2025-06-30T17:00:00Z"
    then = await api.call("GET", "/api/v1/areas?at=2025-07-01&code=31")
    assert [area["name"] for area in then["items"]] == ["Thành phố Hải Phòng"]
    assert (await api.call("GET", "/api/v1/areas?at=2025-06-30&code=31"))["items"] == []
    assert (await problem(api, "POST", "/api/v1/areas/import/official", {"provinces": ["99"]})).status == 404


async def test_a_list_of_devices_gives_codes_for_installers(api: ApiClient, city: str, tmp_path: Path) -> None:
    area = await api.create_area("=Xã lạ", "commune", city)
    table = b"ten,lat,lon\nLoa 1,20.8,106.7\n+84 Loa 2,,\n"
    async with await form(api, "/api/v1/endpoints/import", table, under=area, dry_run="true") as answer:
        seen = await answer.json()
    assert (seen["counts"]["code"], seen["codes"], seen["applied"]) == (2, [], False)
    async with await form(api, "/api/v1/endpoints/import", table, under=area, plan=seen["plan"]) as answer:
        done = await answer.json()
    assert [each["name"] for each in done["codes"]] == ["Loa 1", "+84 Loa 2"]
    endpoint = await enrol.claim(api.url, done["codes"][0]["code"], tmp_path / "loa")
    shown = await api.call("GET", f"/api/v1/endpoints/{id_text(endpoint)}")
    assert (shown["name"], shown["position"]) == ("Loa 1", {"lat": 20.8, "lon": 106.7})
    async with await form(api, "/api/v1/endpoints/import.csv", table, under=area, renew="true") as answer:
        assert (answer.status, answer.content_type) == (200, "text/csv")
        assert answer.headers["Cache-Control"] == "no-store"
        rows = list(csv.reader(io.StringIO((await answer.read()).decode("utf-8-sig"))))
    assert len(rows) == 2
    assert (rows[1][0], rows[1][2]) == ("'+84 Loa 2", "'=Xã lạ")
    assert rows[1][3] != done["codes"][1]["code"]
    async with await form(api, "/api/v1/endpoints/import", b"ten\n\0", under=area) as answer:
        assert answer.status == 422


async def test_the_map_shows_areas_and_the_devices_of_the_caller(api: ApiClient, city: str, tmp_path: Path) -> None:
    own = await api.call(
        "POST", "/api/v1/areas", {"name": "Xã bản đồ", "level": "commune", "parent_id": city, "outline": POLYGON}
    )
    other = await api.create_area("Xã khác", "commune", city)
    for area in (own["id"], other):
        speaker = await device(api, area, f"Loa {area[-4:]}", tmp_path)
        await send(
            api, "PATCH", f"/api/v1/endpoints/{speaker}", {"position": {"lat": 20.1, "lon": 106.1}}, If_Match="*"
        )
    made = await api.call("POST", "/api/v1/tokens", {"name": "x", "role": "viewer", "area_id": own["id"]})
    async with ApiClient(api.url, made["token"]) as viewer:
        async with viewer._session.get(f"{api.url}/api/v1/areas.geojson?within={city}") as answer:
            assert answer.content_type == "application/geo+json"
            features = json.loads(await answer.text())["features"]
        path = f"/api/v1/areas.geojson?within={own['id']}&devices=false"
        async with viewer._session.get(api.url + path) as answer:
            alone = json.loads(await answer.text())["features"]
    shown = {feature["properties"]["name"]: feature for feature in features}
    assert shown["Xã bản đồ"]["geometry"] == POLYGON
    assert shown["Xã khác"]["geometry"] is None
    speakers = [feature for feature in features if feature["properties"]["kind"] == "speaker"]
    assert [(each["geometry"], each["properties"]["area_id"]) for each in speakers] == [
        ({"type": "Point", "coordinates": [106.1, 20.1]}, own["id"])
    ]
    assert [feature["properties"]["name"] for feature in alone] == ["Xã bản đồ"]


async def test_who_keeps_an_area_merges_within_it_and_not_beyond(api: ApiClient, city: str) -> None:
    own = await api.create_area("Huyện của tôi", "district", city)
    one, two = [await api.create_area(f"Xã tôi {n}", "commune", own) for n in (1, 2)]
    made = await api.call("POST", "/api/v1/tokens", {"name": "x", "role": "ops", "area_id": own})
    async with ApiClient(api.url, made["token"]) as ops:
        inside = {"sources": [one], "into": {"area_id": two}}
        assert (await ops.call("POST", "/api/v1/areas/merge/preview", inside))["counts"]["closed"] == 1
        for body in (
            {"sources": [own], "into": {"area_id": city}},
            {"sources": [one], "into": {"area_id": city}},
            {"sources": [one], "into": {"new": {"name": "A", "level": "x"}}},
        ):
            with pytest.raises(ApiError) as caught:
                await ops.call("POST", "/api/v1/areas/merge/preview", body)
            assert caught.value.status == 403
        for area, parent in ((one, city), (own, None)):
            moving = {"parent_id": parent}
            assert (await send(ops, "PATCH", f"/api/v1/areas/{area}", moving, If_Match="*"))[0] == 403
        assert (await send(ops, "PATCH", f"/api/v1/areas/{one}", {"name": "Xã tôi"}, If_Match="*"))[0] == 200
