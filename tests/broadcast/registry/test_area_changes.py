"""Areas made, changed and closed, devices moved: who may be where, from when on, and who else has changed it."""

from __future__ import annotations

import pytest

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.records import Area
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.edits import AreaEdit, EndpointEdit
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.enrolment import Enrolments
from loa.broadcast.registry.reorganisation import Merge
from loa.broadcast.registry.reorganiser import Reorganiser
from loa.broadcast.store.areas import AreaFilter
from loa.broadcast.store.database import Database
from loa.broadcast.store.endpoints import EndpointFilter
from loa.broadcast.store.paging import Page
from loa.errors import Changed, Conflict, NotFound, PlaceError
from loa.model import EndpointKind, new_id
from tests.broadcast.registry.standing import MINUTE_MS, NOW_MS, at, city, device

DAY_MS = 86_400_000
OUTLINE = Outline.of({"type": "Polygon", "coordinates": [[[106, 20], [107, 20], [107, 21], [106, 20]]]})


async def test_what_an_area_was_can_be_asked_for_by_instant(db: Database) -> None:
    old, areas = await city(db), Areas(db)
    await areas.edit(old.phu_lien.id, AreaEdit(name="Phường Phù Liễn", level="ward", code="11360"), at(5))
    await areas.edit(old.phu_lien.id, AreaEdit(parent_id=old.top.id), at(9))
    then = [
        [(each.name, each.code) for each in await areas.path_at(old.phu_lien.id, NOW_MS + minutes * MINUTE_MS)]
        for minutes in (0, 5, 9)
    ]
    assert then == [
        [("Hải Phòng", "31"), ("Kiến An", "307"), ("Phù Liễn", "11359")],
        [("Hải Phòng", "31"), ("Kiến An", "307"), ("Phường Phù Liễn", "11360")],
        [("Hải Phòng", "31"), ("Phường Phù Liễn", "11360")],
    ]
    versions = (await areas.history(old.phu_lien.id)).versions
    assert [(each.from_ms, each.until_ms) for each in versions] == [
        (NOW_MS, NOW_MS + 5 * MINUTE_MS),
        (NOW_MS + 5 * MINUTE_MS, NOW_MS + 9 * MINUTE_MS),
        (NOW_MS + 9 * MINUTE_MS, None),
    ]
    with pytest.raises(NotFound):
        await areas.path_at(old.phu_lien.id, NOW_MS - 1)


async def test_lists_of_then_come_in_pages(db: Database) -> None:
    old, areas = await city(db), Areas(db)
    await areas.edit(old.phu_lien.id, AreaEdit(name="Khác", parent_id=old.cat_hai.id), at(5))
    now_ms = NOW_MS + 4 * MINUTE_MS
    page = Page(limit=3)
    found: list[Area] = []
    while rows := await areas.list_at(now_ms, page):
        found += rows
        page = page.after(rows[-1].id, rows[-1].id)
    assert [area.id for area in found] == sorted(area.id for area in await areas.list())
    assert "Khác" not in {area.name for area in found}
    below = await areas.list_at(now_ms, only=AreaFilter(parent_id=old.kien_an.id))
    assert {area.name for area in below} == {"Phù Liễn", "Văn Đẩu"}
    assert [area.name for area in await areas.list_at(now_ms, only=AreaFilter(code="11359"))] == ["Phù Liễn"]


async def test_an_area_may_have_been_valid_before_it_was_written_down(db: Database) -> None:
    areas = Areas(db)
    top = await areas.create(None, "Hải Phòng", "city", None, at(0), valid_from_ms=NOW_MS - 100 * DAY_MS)
    await areas.create(top.id, "Phường", "ward", None, at(0), valid_from_ms=NOW_MS - 50 * DAY_MS)
    assert [area.name for area in await areas.tree_at(NOW_MS - 51 * DAY_MS)] == ["Hải Phòng"]
    with pytest.raises(Conflict, match="cannot take effect before"):
        await areas.create(top.id, "Zu früh", "ward", None, at(0), valid_from_ms=NOW_MS - 101 * DAY_MS)
    with pytest.raises(PlaceError, match="future"):
        await areas.create(top.id, "Mai", "ward", None, at(0), valid_from_ms=NOW_MS + 1)


async def test_a_change_is_made_only_of_the_version_that_was_seen(db: Database) -> None:
    old, areas, endpoints = await city(db), Areas(db), Endpoints(db)
    edited = await areas.edit(old.top.id, AreaEdit(name="TP Hải Phòng"), at(1), expected_version=1)
    assert edited.area.version == 2
    for change in (
        areas.edit(old.top.id, AreaEdit(name="x"), at(2), expected_version=1),
        areas.close(old.hamlet.id, at(2), expected_version=2),
        endpoints.edit(old.speakers["hamlet"].id, EndpointEdit(note="x"), at(2), expected_version=7),
    ):
        with pytest.raises(Changed):
            await change
    assert (await areas.get(old.top.id)).name == "TP Hải Phòng"


async def test_what_changes_nothing_is_no_change(db: Database) -> None:
    old, areas, endpoints = await city(db), Areas(db), Endpoints(db)
    assert (await areas.edit(old.top.id, AreaEdit(name=" Hải  Phòng "), at(1))).area == old.top
    speaker = old.speakers["hamlet"]
    assert await endpoints.edit(speaker.id, EndpointEdit(area_id=old.hamlet.id), at(1)) == speaker
    assert await endpoints.move({speaker.id: 1}, old.hamlet.id, at(1)) == []


async def test_an_area_with_all_below_moves_and_its_devices_are_placed_anew(db: Database) -> None:
    old, areas = await city(db), Areas(db)
    edited = await areas.edit(old.phu_lien.id, AreaEdit(parent_id=old.cat_hai.id), at(1))
    assert set(edited.moved) == {old.speakers[name].id for name in ("phu_lien", "hamlet")}
    for endpoint, placement in await Endpoints(db).placed(edited.moved):
        assert placement.serial == endpoint.placement_serial == 2
        assert placement.areas[:3] == (old.top.id, old.cat_hai.id, old.phu_lien.id)
    assert (await areas.edit(old.phu_lien.id, AreaEdit(name="Khác"), at(2))).moved == ()


async def test_an_area_does_not_move_where_it_cannot_stand(db: Database) -> None:
    old, areas = await city(db), Areas(db)
    closed = await areas.create(old.top.id, "Đóng", "district", None, at(0))
    await areas.close(closed.id, at(1))
    for parent, error, match in (
        (old.hamlet.id, Conflict, "below itself"),
        (old.kien_an.id, Conflict, "below itself"),
        (closed.id, Conflict, "closed"),
        (new_id(1), NotFound, "no area"),
    ):
        with pytest.raises(error, match=match):
            await areas.edit(old.kien_an.id, AreaEdit(parent_id=parent), at(2))
    with pytest.raises(Conflict, match="closed"):
        await areas.edit(closed.id, AreaEdit(name="x"), at(2))
    with pytest.raises(Conflict, match="closed"):
        await areas.create(closed.id, "x", "x", None, at(2))
    assert (await areas.edit(old.kien_an.id, AreaEdit(parent_id=None), at(2))).area.parent_id is None


async def test_only_an_empty_area_closes_and_it_gives_its_code_back(db: Database, keyring: KeyRing) -> None:
    old, areas, enrolments = await city(db), Areas(db), Enrolments(db, keyring)
    empty = await areas.create(old.top.id, "Trống", "commune", "999", at(0))
    with pytest.raises(Conflict, match="areas still stand"):
        await areas.close(old.kien_an.id, at(1))
    with pytest.raises(Conflict, match="devices still stand"):
        await areas.close(old.van_dau.id, at(1))
    await enrolments.create(empty.id, EndpointKind.SPEAKER, "Loa", at(1), 60)
    with pytest.raises(Conflict, match="codes"):
        await areas.close(empty.id, at(1))
    closed = await areas.close(empty.id, at(3))
    assert (closed.open, closed.version) == (False, 2)
    assert await areas.close(empty.id, at(4)) == closed == await areas.get(empty.id)
    again = await areas.create(old.top.id, "Mới", "commune", "999", at(5))
    both = await areas.list(only=AreaFilter(code="999"))
    assert {area.id for area in both} == {empty.id, again.id}
    with pytest.raises(Conflict):
        await enrolments.create(empty.id, EndpointKind.SPEAKER, "Loa", at(6), 60)


async def test_a_closed_area_is_no_target_and_a_revoked_device_holds_none_open(db: Database) -> None:
    old, areas, endpoints = await city(db), Areas(db), Endpoints(db)
    await endpoints.revoke(old.speakers["hamlet"].id, at(1))
    await areas.close(old.hamlet.id, at(2))
    with pytest.raises(NotFound, match="open area"):
        await endpoints.require_targets([old.hamlet.id], [])
    with pytest.raises(Conflict, match="closed"):
        await endpoints.edit(old.speakers["van_dau"].id, EndpointEdit(area_id=old.hamlet.id), at(3))
    with pytest.raises(Conflict, match="revoked"):
        await endpoints.edit(old.speakers["hamlet"].id, EndpointEdit(area_id=old.van_dau.id), at(3))
    with pytest.raises(NotFound, match="nowhere"):
        await endpoints.stood_at(old.speakers["hamlet"].id, NOW_MS + MINUTE_MS)


async def test_a_device_is_renamed_placed_annotated_and_moved_at_once(db: Database) -> None:
    old, endpoints = await city(db), Endpoints(db)
    edit = EndpointEdit("  Loa   mới ", old.gia_luan.id, Position.of(20.72, 107.05), "trên cột điện")
    changed = await endpoints.edit(old.speakers["van_dau"].id, edit, at(5))
    assert changed == await endpoints.get(changed.id)
    assert (changed.name, changed.area_id, changed.note) == ("Loa mới", old.gia_luan.id, "trên cột điện")
    assert (changed.position, changed.version, changed.placement_serial) == (Position(20.72, 107.05), 2, 2)
    stays = await endpoints.stays(changed.id)
    assert [(stay.area_id, stay.from_ms) for stay in stays] == [
        (old.van_dau.id, NOW_MS),
        (old.gia_luan.id, NOW_MS + 5 * MINUTE_MS),
    ]


async def test_devices_move_together_or_not_at_all(db: Database) -> None:
    old, endpoints = await city(db), Endpoints(db)
    ids = [old.speakers[name].id for name in ("van_dau", "phu_lien", "gia_luan")]
    seen = dict.fromkeys(ids, 1)
    with pytest.raises(NotFound):
        await endpoints.move(seen | {new_id(1): 1}, old.gia_luan.id, at(1))
    with pytest.raises(Changed):
        await endpoints.move(seen | {ids[2]: 2}, old.gia_luan.id, at(1))
    assert set(await endpoints.move(seen, old.gia_luan.id, at(1))) == set(ids[:2])
    assert {each.area_id for each, _ in await endpoints.placed(ids)} == {old.gia_luan.id}
    with pytest.raises(Conflict, match="cannot take effect before"):
        await endpoints.move({ids[0]: 2}, old.van_dau.id, at(2), at_ms=NOW_MS)


async def test_a_clock_that_goes_back_does_not_make_time_go_back(db: Database) -> None:
    old, areas = await city(db), Areas(db)
    await areas.edit(old.hamlet.id, AreaEdit(name="Một"), at(5))
    await areas.edit(old.hamlet.id, AreaEdit(name="Hai"), at(3))
    assert [each.name for each in (await areas.history(old.hamlet.id)).versions] == ["Thôn Đồng", "Hai"]
    assert (await areas.path_at(old.hamlet.id, NOW_MS + 5 * MINUTE_MS))[-1].name == "Hai"


async def test_names_are_found_as_they_are_typed(db: Database) -> None:
    old, areas, endpoints = await city(db), Areas(db), Endpoints(db)
    await device(db, old.top, "Cụm loa Đồ Sơn 100%")

    async def found(q: str) -> list[str]:
        return [area.name for area in await areas.list(Page(by="folded"), AreaFilter(q=q))]

    assert await found("phu lien") == await found("PHÙ LIỄN") == ["Phù Liễn"]
    assert await found("phu") == ["Phù Liễn", "Phù Long"]
    assert await found("11359") == ["Phù Liễn"]
    assert await found("%") == await found("_") == await found("zzz") == []
    loud = await endpoints.list(only=EndpointFilter(q="do son 100%"))
    assert [each.name for each in loud] == ["Cụm loa Đồ Sơn 100%"]
    await areas.edit(old.phu_lien.id, AreaEdit(name="Đông Hải"), at(1))
    assert await found("dong hai") == ["Đông Hải"]
    assert await found("phu lien") == []


async def test_areas_and_devices_are_filtered(db: Database) -> None:
    old, areas, endpoints = await city(db), Areas(db), Endpoints(db)
    await endpoints.edit(old.speakers["hamlet"].id, EndpointEdit(position=Position(20.8, 106.6)), at(1))
    await Reorganiser(db).apply(
        [Merge((old.van_dau.id,), old.phu_lien.id)],
        (await Reorganiser(db).preview([Merge((old.van_dau.id,), old.phu_lien.id)], now_ms=NOW_MS)).fingerprint,
        at(2),
    )

    async def names(only: AreaFilter) -> set[str]:
        return {area.name for area in await areas.list(only=only)}

    assert await names(AreaFilter(open=False)) == {"Văn Đẩu"}
    assert await names(AreaFilter(level="commune", open=True)) == {"Phù Liễn", "Phù Long", "Gia Luận"}
    assert await names(AreaFilter(within=[old.kien_an.id], open=True)) == {"Kiến An", "Phù Liễn", "Thôn Đồng"}

    async def devices(only: EndpointFilter) -> set[str]:
        return {each.name for each in await endpoints.list(only=only)}

    assert await devices(EndpointFilter(placed=True)) == {"Loa hamlet"}
    assert await devices(EndpointFilter(area_id=old.cat_hai.id)) == {"Loa phu_long", "Loa gia_luan"}
    both = EndpointFilter(area_id=old.kien_an.id, within=frozenset([old.cat_hai.id]))
    assert await devices(both) == set()
    both = EndpointFilter(area_id=old.top.id, within=frozenset([old.cat_hai.id]))
    assert await devices(both) == {"Loa phu_long", "Loa gia_luan"}


async def test_what_happened_in_a_closed_area_can_be_seen_by_its_heirs(db: Database) -> None:
    old, areas = await city(db), Areas(db)
    steps = [Merge((old.phu_lien.id,), old.gia_luan.id)]
    plan = await Reorganiser(db).preview(steps, now_ms=NOW_MS)
    await Reorganiser(db).apply(steps, plan.fingerprint, at(1))
    assert await areas.reach(old.phu_lien.id) == {
        old.phu_lien.id, old.kien_an.id, old.top.id, old.gia_luan.id, old.cat_hai.id,
    }  # fmt: skip
    assert await areas.reach(old.gia_luan.id) == {old.gia_luan.id, old.cat_hai.id, old.top.id}


async def test_an_outline_is_kept_and_taken_away(db: Database) -> None:
    old, areas = await city(db), Areas(db)
    assert await areas.outline(old.top.id) is None
    assert (await areas.edit(old.top.id, AreaEdit(outline=OUTLINE), at(1))).area.version == 2
    assert await areas.outline(old.top.id) == OUTLINE
    await areas.edit(old.top.id, AreaEdit(outline=None), at(2))
    assert await areas.outline(old.top.id) is None
    drawn = await areas.create(None, "Khác", "city", None, at(3), outline=OUTLINE, position=Position(20.1, 106.9))
    assert await areas.outline(drawn.id) == OUTLINE
    assert (await areas.get(drawn.id)).position == Position(20.1, 106.9)
