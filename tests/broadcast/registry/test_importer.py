"""Lists taken in: whole or not at all, once however often, and what was there stays."""

from __future__ import annotations

import pytest

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.journal import chain
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.records import ChangeKind
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.edits import AreaEdit, EndpointEdit
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.enrolment import Enrolments
from loa.broadcast.registry.importer import Importer
from loa.broadcast.registry.lists.device_plan import DeviceAction
from loa.broadcast.registry.lists.from_csv import areas_from_csv, devices_from_csv
from loa.broadcast.registry.lists.from_geojson import areas_from_geojson
from loa.broadcast.registry.lists.official_units import official_units
from loa.broadcast.registry.lists.rows import AreaList, DeviceList
from loa.broadcast.store import journal as stored_journal
from loa.broadcast.store.areas import AreaFilter
from loa.broadcast.store.database import Database
from loa.broadcast.store.paging import Page
from loa.codecs.enrolment_wire import claim_mac
from loa.codecs.signed import SigningKey
from loa.errors import Changed, PlaceError
from tests.broadcast.registry.standing import NOW_MS, at, city, device

HOUR_S = 3600


def areas(text: str) -> AreaList:
    return areas_from_csv(("ma,ten,cap,cha,lat,lon\n" + text).encode())


def devices(text: str) -> DeviceList:
    return devices_from_csv(("ten,ma,lat,lon\n" + text).encode())


async def events_and_entries(db: Database) -> tuple[int, int]:
    async with db.read() as connection:
        links = await stored_journal.links(connection, 0, 100_000)
        assert chain.verify(links) == (links[-1] if links else None)
        return (await stored_journal.event_range(connection))[1], len(links)


async def test_a_list_is_taken_in_once_however_often_it_is_given(db: Database) -> None:
    old, importer = await city(db), Importer(db)
    given = areas(
        "11359,Phường Phù Liễn,ward,317,20.8,106.6\n,Thôn Mới,hamlet,11359,,\n,Thôn Đồng,hamlet,11359,,\n"
    )
    looked_at = await importer.preview_areas(given, under=None, now_ms=NOW_MS + 1)
    assert looked_at.plan.counts == {"create": 1, "update": 1, "unchanged": 1, "errors": 0, "warnings": 0}
    before = await events_and_entries(db)
    done = await importer.apply_areas(
        given, at(1), under=None, source="Danh mục xã", fingerprint=looked_at.plan.fingerprint
    )
    assert done.change is not None
    assert (done.change.kind, done.change.decree) == (ChangeKind.IMPORT, "Danh mục xã")
    assert done.moved == looked_at.moved
    assert set(done.moved) == {old.speakers["phu_lien"].id, old.speakers["hamlet"].id}
    ward = await Areas(db).get(old.phu_lien.id)
    assert (ward.name, ward.level, ward.parent_id) == ("Phường Phù Liễn", "ward", old.cat_hai.id)
    assert ward.position == Position(20.8, 106.6)
    assert [each.name for each in (await Areas(db).history(ward.id)).versions] == ["Phù Liễn", "Phường Phù Liễn"]
    after = await events_and_entries(db)
    assert (after[0] - before[0], after[1] - before[1]) == (3, 3)
    again = await importer.apply_areas(given, at(2), under=None)
    assert (again.change, again.moved, again.plan.counts["unchanged"]) == (None, (), 3)
    assert await events_and_entries(db) == after


async def test_a_list_with_an_error_changes_nothing(db: Database) -> None:
    await city(db)
    before = [await Areas(db).list(), await events_and_entries(db)]
    given = areas("1,Mới,ward,31,,\n2,Sai,ward,nowhere,,\n3,,ward,31,,\n")
    with pytest.raises(PlaceError, match="2 rows are wrong; line 3: no area has the code"):
        await Importer(db).apply_areas(given, at(1), under=None)
    assert [await Areas(db).list(), await events_and_entries(db)] == before


async def test_a_list_is_not_taken_in_when_it_comes_to_something_else_by_now(db: Database) -> None:
    old, importer = await city(db), Importer(db)
    given = areas("11359,Phường Phù Liễn,ward,31,,\n")
    plan = (await importer.preview_areas(given, under=None, now_ms=NOW_MS)).plan
    await Areas(db).edit(old.phu_lien.id, AreaEdit(level="x"), at(1))
    with pytest.raises(Changed):
        await importer.apply_areas(given, at(2), under=None, fingerprint=plan.fingerprint)


async def test_codes_may_change_hands_within_a_list(db: Database) -> None:
    old, importer = await city(db), Importer(db)
    await importer.apply_areas(areas("A1,Một,ward,31,,\nA2,Hai,ward,31,,\n"), at(1), under=None)
    by_name = {area.name: area for area in await Areas(db).list(only=AreaFilter(level="ward"))}
    await Areas(db).edit(by_name["Hai"].id, AreaEdit(code=None), at(2))
    await importer.apply_areas(areas("A1,Hai mươi,ward,31,,\nA2,Hai,ward,31,,\n"), at(3), under=None)
    codes = {area.name: area.code for area in await Areas(db).list(only=AreaFilter(level="ward"))}
    assert codes == {"Hai mươi": "A1", "Hai": "A2"}
    assert (await Areas(db).get(old.top.id)).version == 1


async def test_outlines_are_kept_and_known_again(db: Database) -> None:
    await city(db)
    ring = [[106, 20], [107, 20], [107, 21], [106, 20]]
    data = (
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"code":"31","name":"Hải Phòng"},'
        f'"geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}]}}'
    ).encode()
    given, importer = areas_from_geojson(data), Importer(db)
    done = await importer.apply_areas(given, at(1), under=None)
    assert [each.changes for each in done.plan.areas] == [("outline",)]
    (row,) = await Areas(db).list(only=AreaFilter(code="31"))
    assert await Areas(db).outline(row.id) == Outline.of({"type": "Polygon", "coordinates": [ring]})
    assert (await importer.apply_areas(given, at(2), under=None)).change is None


async def test_hai_phong_is_taken_in_with_all_its_units_under_the_city_that_is_there(db: Database) -> None:
    city_there = await Areas(db).create(None, "Thành phố Hải Phòng", "city", None, at(0))
    done = await Importer(db).apply_areas(official_units(["31"]), at(1), under=None)
    assert done.plan.counts["create"] == 114
    assert (await Areas(db).get(city_there.id)).code == "31"
    found = await Areas(db).list(Page(limit=500), AreaFilter(q="phu lien"))
    assert [(area.name, area.level, area.parent_id) for area in found] == [
        ("Phường Phù Liễn", "ward", city_there.id)
    ]
    assert {area.valid_from_ms for area in found} == {NOW_MS}
    assert len(done.plan.warnings) == 114


async def test_the_whole_country_is_taken_in_at_once(db: Database) -> None:
    importer = Importer(db)
    done = await importer.apply_areas(official_units(), at(0), under=None, source="QĐ 19/2025/QĐ-TTg")
    assert done.plan.counts["create"] == 34 + 3321
    assert (await importer.apply_areas(official_units(), at(1), under=None)).change is None
    events, entries = await events_and_entries(db)
    assert (events, entries) == (34 + 3321 + 1, 34 + 3321 + 1)
    assert len(await Areas(db).tree_at(NOW_MS - 1)) == 34 + 3321


# --- devices --------------------------------------------------------------------------------------------------


async def test_devices_get_codes_that_enrol_them_where_they_stand(db: Database, keyring: KeyRing) -> None:
    old, importer = await city(db), Importer(db)
    given = devices("Loa A,11359,20.8,106.6\nLoa B,Gia Luận,,\nLoa C,,,\n")
    done = await importer.apply_devices(given, at(1), under=old.top.id, within=None, valid_s=HOUR_S)
    assert set(done.codes) == {2, 3, 4}
    key, nonce = SigningKey(b"1" * 32).public_key, b"n" * 16
    code = done.codes[2]
    mac = claim_mac(code.key(), code_id=code.code_id, device_key=key, nonce=nonce, kind="speaker")
    answer = await Enrolments(db, keyring).claim(
        code_id=code.code_id, device_key=key, nonce=nonce, kind="speaker", mac=mac, act=at(2)
    )
    endpoint = await Endpoints(db).get(answer.endpoint_id)
    assert (endpoint.name, endpoint.area_id, endpoint.position) == ("Loa A", old.phu_lien.id, Position(20.8, 106.6))
    again = await importer.apply_devices(given, at(3), under=old.top.id, within=None, valid_s=HOUR_S)
    assert again.codes == {}
    assert [each.action for each in again.plan.devices] == [
        DeviceAction.ENROLLED, DeviceAction.WAITING, DeviceAction.WAITING,
    ]  # fmt: skip
    moved = devices("Loa A,11359,20.9,106.7\n")
    await importer.apply_devices(moved, at(4), under=None, within=None, valid_s=HOUR_S)
    assert (await Endpoints(db).get(endpoint.id)).position == Position(20.9, 106.7)


async def test_codes_that_were_lost_or_have_expired_are_given_anew(db: Database) -> None:
    await city(db)
    importer, given = Importer(db), devices("Loa A,11359,,\n")
    first = await importer.apply_devices(given, at(0), under=None, within=None, valid_s=HOUR_S)
    second = await importer.apply_devices(given, at(1), under=None, within=None, valid_s=HOUR_S, renew=True)
    assert first.codes[2] != second.codes[2]
    plan = await importer.preview_devices(given, under=None, within=None, now_ms=NOW_MS + 61 * 60_000 + 1)
    assert [each.action for each in plan.devices] == [DeviceAction.CODE]
    plan = await importer.preview_devices(given, under=None, within=None, now_ms=NOW_MS + 60 * 60_000)
    assert [each.action for each in plan.devices] == [DeviceAction.WAITING]


async def test_rows_of_devices_name_an_area_within_reach_and_a_name_once(db: Database) -> None:
    old, importer = await city(db), Importer(db)
    await device(db, old.gia_luan, "Loa Z")
    await Areas(db).create(old.cat_hai.id, "Thôn Đồng", "hamlet", None, at(0))
    given = devices("A,nowhere,,\nB,Thôn Đồng,,\nC,,,\nD,11359,,\nD,phu lien,,\nE,11926,,\n")
    plan = await importer.preview_devices(given, under=None, within=None, now_ms=NOW_MS)
    assert [(error.line, error.message) for error in plan.errors] == [
        (2, "no area has the code or the name nowhere"),
        (3, "there are 2 areas called Thôn Đồng: name it by a code"),
        (4, "it names no area"),
        (6, "line 5 is about the same name in the same area"),
    ]
    within = frozenset([old.kien_an.id])
    plan = await importer.preview_devices(given, under=None, within=within, now_ms=NOW_MS)
    assert [error.line for error in plan.errors] == [2, 4, 6, 7]
    with pytest.raises(PlaceError, match="4 rows are wrong"):
        await importer.apply_devices(given, at(1), under=None, within=within, valid_s=HOUR_S)
    await Endpoints(db).edit(old.speakers["van_dau"].id, EndpointEdit(name="X"), at(1))
    plan = await importer.preview_devices(devices("X,11356,,\n"), under=None, within=None, now_ms=NOW_MS)
    assert [each.action for each in plan.devices] == [DeviceAction.ENROLLED]


async def test_three_thousand_devices_are_taken_in_at_once(db: Database) -> None:
    await city(db)
    given = devices("".join(f"Loa {n},11359,20.8,106.6\n" for n in range(3000)))
    done = await Importer(db).apply_devices(given, at(0), under=None, within=None, valid_s=HOUR_S)
    assert len({code.code_id for code in done.codes.values()}) == 3000
