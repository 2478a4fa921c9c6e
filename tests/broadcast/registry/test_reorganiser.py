"""Merging, splitting and dissolving: what the plan says is what is done, and what was true stays true."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.journal import chain
from loa.broadcast.journal.act import Act
from loa.broadcast.people.person import Language, User
from loa.broadcast.people.rights import Grant, Role
from loa.broadcast.records import Area, ChangeKind
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.edits import AreaEdit, EndpointEdit
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.reorganisation import Dissolve, Merge, NewArea, Part, Split, Step
from loa.broadcast.registry.reorganiser import Applied, Reorganiser
from loa.broadcast.store import broadcasts as stored_broadcasts
from loa.broadcast.store import journal as stored_journal
from loa.broadcast.store import users as stored_users
from loa.broadcast.store.database import Database
from loa.broadcast.store.tokens import Tokens
from loa.errors import Changed, Conflict, NotFound, PlaceError
from loa.model import id_text, new_id
from tests.broadcast.orders.standing import a_broadcast
from tests.broadcast.registry.standing import MINUTE_MS, NOW_MS, at, city, device, token


async def do(db: Database, *steps: Step, act: Act = at(10), at_ms: int | None = None, decree: str = "") -> Applied:  # noqa: B008
    """Look at the plan, then apply it."""
    reorganiser = Reorganiser(db)
    plan = await reorganiser.preview(steps, now_ms=act.now_ms, at_ms=at_ms, decree=decree)
    return await reorganiser.apply(steps, plan.fingerprint, act, at_ms=at_ms, decree=decree)


async def names_at(db: Database, minutes: float) -> dict[str, str | None]:
    """The tree at that minute: each area's name and its parent's."""
    then = await Areas(db).tree_at(NOW_MS + int(minutes * MINUTE_MS))
    names = {area.id: area.name for area in then}
    return {area.name: None if area.parent_id is None else names[area.parent_id] for area in then}


async def place(db: Database, endpoint_id: bytes, minutes: float) -> list[str]:
    """Where the device stood at that minute, from the top down, by the names of then."""
    stood = await Endpoints(db).stood_at(endpoint_id, NOW_MS + int(minutes * MINUTE_MS))
    return [area.name for area in stood.path]


async def test_a_merge_takes_all_that_stood_there_and_leaves_history_as_it_was(db: Database) -> None:
    old = await city(db)
    before = await names_at(db, 5)
    new = NewArea("new", old.kien_an.id, "Phù Liễn", "commune", "11359")
    done = await do(db, Merge((old.phu_lien.id, old.van_dau.id), new), decree="Nghị quyết 1669/NQ-UBTVQH15")
    merged = done.opened["new"]
    assert (merged.name, merged.code, merged.valid_from_ms) == ("Phù Liễn", "11359", NOW_MS + 10 * MINUTE_MS)
    assert await names_at(db, 5) == await names_at(db, 9.99) == before
    assert await names_at(db, 10) == {
        "Hải Phòng": None,
        "Kiến An": "Hải Phòng",
        "Cát Hải": "Hải Phòng",
        "Phù Liễn": "Kiến An",
        "Thôn Đồng": "Phù Liễn",
        "Phù Long": "Cát Hải",
        "Gia Luận": "Cát Hải",
    }
    speaker = old.speakers["van_dau"].id
    assert await place(db, speaker, 9) == ["Hải Phòng", "Kiến An", "Văn Đẩu"]
    assert await place(db, speaker, 10) == ["Hải Phòng", "Kiến An", "Phù Liễn"]
    closed = await Areas(db).get(old.van_dau.id)
    assert (closed.open, closed.code, closed.version) == (False, "11356", 2)
    history = await Areas(db).history(merged.id)
    assert {link.from_id for link in history.lineage} == {old.phu_lien.id, old.van_dau.id}
    assert {link.change.decree for link in history.lineage} == {"Nghị quyết 1669/NQ-UBTVQH15"}


async def test_devices_get_a_new_placement_where_anything_above_them_changed(db: Database) -> None:
    old = await city(db)
    done = await do(db, Merge((old.phu_lien.id,), old.van_dau.id))
    moved = {name for name, speaker in old.speakers.items() if speaker.id in done.moved}
    assert moved == {"phu_lien", "hamlet"}
    placed = dict(await Endpoints(db).placed(done.moved))
    assert {placement.serial for placement in placed.values()} == {2}
    by_name = {endpoint.name: placement.areas for endpoint, placement in placed.items()}
    assert by_name["Loa phu_lien"] == (old.top.id, old.kien_an.id, old.van_dau.id)
    assert by_name["Loa hamlet"] == (old.top.id, old.kien_an.id, old.van_dau.id, old.hamlet.id)
    still = await Endpoints(db).get(old.speakers["van_dau"].id)
    assert (still.placement_serial, still.version) == (1, 1)


async def test_a_district_level_is_dissolved_and_rights_are_not_widened(db: Database) -> None:
    old = await city(db)
    district = await token(db, old.kien_an, "district")
    commune = await token(db, old.phu_lien, "commune")
    island = await device(db, old.cat_hai, "Loa đảo")
    step = Dissolve((old.kien_an.id, old.cat_hai.id))
    plan = await Reorganiser(db).preview([step], now_ms=NOW_MS + 10 * MINUTE_MS)
    assert [(each.right.name, each.to) for each in plan.following] == [("district", None)]
    assert [(move.endpoint.id, move.to) for move in plan.moved] == [(island.id, old.top.id)]
    await do(db, step)
    assert set((await names_at(db, 11)).values()) == {None, "Hải Phòng", "Phù Liễn"}
    assert (await Tokens(db).get(district.id)).revoked_ms == NOW_MS + 10 * MINUTE_MS
    assert (await Tokens(db).get(commune.id)) == commune
    assert await place(db, island.id, 11) == ["Hải Phòng"]


async def test_rights_follow_a_merge_and_a_dissolution_that_says_so(db: Database) -> None:
    old = await city(db)
    one, two = await token(db, old.phu_lien, "one"), await token(db, old.cat_hai, "two")
    steps = (
        Merge((old.phu_lien.id, old.van_dau.id), NewArea("n", old.top.id, "Mới", "commune")),
        Dissolve((old.cat_hai.id,), rights_follow=True),
    )
    done = await do(db, *steps)
    assert done.change.kind is ChangeKind.REORGANISE
    assert (await Tokens(db).get(one.id)).area_id == done.opened["n"].id
    assert (await Tokens(db).get(two.id)).area_id == old.top.id


async def test_a_split_shares_out_what_is_named_what_lies_inside_and_the_rest(db: Database) -> None:
    old = await city(db)
    areas, endpoints = Areas(db), Endpoints(db)
    ring = [[106.0, 20.0], [106.5, 20.0], [106.5, 21.0], [106.0, 21.0], [106.0, 20.0]]
    west = Outline.of({"type": "Polygon", "coordinates": [ring]})
    inside, outside, named = [await device(db, old.phu_lien, name) for name in ("trong", "ngoài", "nêu tên")]
    await endpoints.edit(inside.id, EndpointEdit(position=Position(20.5, 106.2)), at(1))
    await endpoints.edit(outside.id, EndpointEdit(position=Position(20.5, 106.7)), at(1))
    await areas.edit(old.hamlet.id, AreaEdit(position=Position(20.6, 106.1)), at(1))
    step = Split(
        old.phu_lien.id,
        (
            Part(NewArea("west", old.kien_an.id, "Tây", "commune", "11359", outline=west)),
            Part(NewArea("east", old.kien_an.id, "Đông", "commune"), devices=(named.id,)),
        ),
        rest=1,
        by_outline=True,
    )
    done = await do(db, step)
    west_id, east_id = done.opened["west"].id, done.opened["east"].id
    assert (await areas.get(old.hamlet.id)).parent_id == west_id
    stands = {each.id: (await endpoints.get(each.id)).area_id for each in (inside, outside, named)}
    assert stands == {inside.id: west_id, outside.id: east_id, named.id: east_id}
    assert (await endpoints.get(old.speakers["phu_lien"].id)).area_id == east_id
    assert await areas.outline(west_id) == west


async def test_an_area_that_is_kept_gives_only_what_is_named(db: Database) -> None:
    old = await city(db)
    other = await device(db, old.phu_lien, "khác")
    holder = await token(db, old.phu_lien, "officer")
    part = Part(NewArea("new", old.kien_an.id, "Mới", "commune"), areas=(old.hamlet.id,), devices=(other.id,))
    done = await do(db, Split(old.phu_lien.id, (part,), keep=True))
    assert (await Areas(db).get(old.phu_lien.id)).open
    assert (await Endpoints(db).get(old.speakers["phu_lien"].id)).area_id == old.phu_lien.id
    assert (await Endpoints(db).get(other.id)).area_id == done.opened["new"].id
    assert (await Tokens(db).get(holder.id)).area_id == old.phu_lien.id
    assert [link.from_id for link in (await Areas(db).history(done.opened["new"].id)).lineage] == [old.phu_lien.id]


async def test_one_commune_goes_to_two_new_ones_in_one_plan(db: Database) -> None:
    old = await city(db)
    steps = (
        Merge((old.van_dau.id,), NewArea("a", old.top.id, "A", "ward")),
        Merge((old.phu_long.id,), NewArea("b", old.top.id, "B", "ward")),
        Split(old.phu_lien.id, (Part("a", areas=(old.hamlet.id,)), Part("b")), rest=1),
        Dissolve((old.kien_an.id, old.cat_hai.id)),
    )
    done = await do(db, *steps)
    a, b = done.opened["a"].id, done.opened["b"].id
    assert await names_at(db, 11) == {
        "Hải Phòng": None, "A": "Hải Phòng", "B": "Hải Phòng", "Gia Luận": "Hải Phòng", "Thôn Đồng": "A",
    }  # fmt: skip
    assert (await Endpoints(db).get(old.speakers["phu_lien"].id)).area_id == b
    assert (await Endpoints(db).get(old.speakers["van_dau"].id)).area_id == a
    became = {(link.from_id, link.to_id) for link in (await Areas(db).history(old.phu_lien.id)).lineage}
    assert became == {(old.phu_lien.id, a), (old.phu_lien.id, b)}


@pytest.mark.parametrize("kind", ["device came", "device left", "renamed", "token came", "token went", "area came"])
async def test_a_plan_that_is_out_of_date_is_not_applied(db: Database, kind: str) -> None:
    old = await city(db)
    steps = [Merge((old.phu_lien.id,), old.van_dau.id)]
    holder = await token(db, old.phu_lien, "officer")
    plan = await Reorganiser(db).preview(steps, now_ms=NOW_MS + MINUTE_MS)
    match kind:
        case "device came":
            await device(db, old.phu_lien, "Loa mới", 1)
        case "device left":
            await Endpoints(db).edit(old.speakers["phu_lien"].id, EndpointEdit(area_id=old.gia_luan.id), at(2))
        case "renamed":
            await Areas(db).edit(old.phu_lien.id, AreaEdit(name="Phù Liễn 2"), at(2))
        case "token came":
            await token(db, old.phu_lien, "another")
        case "token went":
            await Tokens(db).revoke(holder.id, at(2))
        case "area came":
            await Areas(db).create(old.phu_lien.id, "Thôn mới", "hamlet", None, at(2))
    with pytest.raises(Changed):
        await Reorganiser(db).apply(steps, plan.fingerprint, at(3))
    assert (await Areas(db).get(old.phu_lien.id)).open


async def test_what_does_not_matter_to_a_plan_does_not_hold_it_up(db: Database) -> None:
    old = await city(db)
    steps = [Merge((old.phu_lien.id,), old.van_dau.id)]
    plan = await Reorganiser(db).preview(steps, now_ms=NOW_MS + MINUTE_MS)
    await device(db, old.gia_luan, "Loa xa", 1)
    await Areas(db).edit(old.top.id, AreaEdit(position=Position(20.8, 106.6)), at(2))
    await a_broadcast(db)
    await Reorganiser(db).apply(steps, plan.fingerprint, at(3))


async def test_of_two_merges_at_once_one_is_done(db: Database) -> None:
    old = await city(db)
    reorganiser = Reorganiser(db)
    one = [Merge((old.phu_lien.id,), old.van_dau.id)]
    two = [Merge((old.phu_lien.id,), old.gia_luan.id)]
    plans = [await reorganiser.preview(steps, now_ms=NOW_MS + MINUTE_MS) for steps in (one, two)]
    results = await asyncio.gather(
        reorganiser.apply(one, plans[0].fingerprint, at(2)),
        reorganiser.apply(two, plans[1].fingerprint, at(2)),
        reorganiser.apply(one, plans[0].fingerprint, at(2)),
        return_exceptions=True,
    )
    assert sorted(isinstance(each, Applied) for each in results) == [False, False, True]
    assert all(isinstance(each, Applied | Conflict | NotFound) for each in results)


async def test_broadcasts_on_air_are_told_of_and_keep_their_targets(db: Database) -> None:
    old = await city(db)
    broadcast = await a_broadcast(db, areas=(old.phu_lien.id, old.top.id))
    steps = [Merge((old.phu_lien.id,), old.van_dau.id)]
    plan = await Reorganiser(db).preview(steps, now_ms=NOW_MS + MINUTE_MS)
    assert [each.id for each in plan.broadcasts] == [broadcast.id]
    await Reorganiser(db).apply(steps, plan.fingerprint, at(2))
    async with db.read() as connection:
        assert [each.areas for each in await stored_broadcasts.unfinished(connection)] == [broadcast.areas]


async def test_a_change_may_be_dated_back_to_where_nothing_it_touches_has_changed_since(db: Database) -> None:
    old = await city(db)
    await Endpoints(db).edit(old.speakers["phu_lien"].id, EndpointEdit(area_id=old.van_dau.id), at(5))
    steps = [Merge((old.phu_lien.id,), old.van_dau.id)]
    with pytest.raises(Conflict, match="cannot take effect before"):
        await do(db, *steps, at_ms=NOW_MS + 4 * MINUTE_MS)
    with pytest.raises(PlaceError, match="future"):
        await do(db, *steps, at_ms=NOW_MS + 11 * MINUTE_MS)
    await do(db, *steps, at_ms=NOW_MS + 5 * MINUTE_MS)
    assert "Phù Liễn" in await names_at(db, 4.9)
    assert "Phù Liễn" not in await names_at(db, 5)


@pytest.mark.parametrize(
    "what", ["child left", "child came", "device left", "device came", "renamed", "heir", "parent"]
)
async def test_no_change_takes_effect_before_the_last_one_of_anything_it_touches(db: Database, what: str) -> None:
    old = await city(db)
    areas, endpoints = Areas(db), Endpoints(db)
    step: Step = Merge((old.phu_lien.id,), old.van_dau.id)
    match what:
        case "child left":
            await areas.edit(old.hamlet.id, AreaEdit(parent_id=old.gia_luan.id), at(5))
        case "child came":
            await areas.edit(old.gia_luan.id, AreaEdit(parent_id=old.phu_lien.id), at(5))
        case "device left":
            await endpoints.edit(old.speakers["phu_lien"].id, EndpointEdit(area_id=old.gia_luan.id), at(5))
        case "device came":
            await endpoints.edit(old.speakers["gia_luan"].id, EndpointEdit(area_id=old.phu_lien.id), at(5))
        case "renamed":
            await areas.edit(old.phu_lien.id, AreaEdit(name="Phù Liễn 2"), at(5))
        case "heir":
            heir = await areas.create(old.kien_an.id, "Mới", "commune", None, at(5))
            step = Merge((old.phu_lien.id,), heir.id)
        case "parent":
            parent = await areas.create(old.top.id, "Mới", "district", None, at(5))
            step = Merge((old.phu_lien.id,), NewArea("n", parent.id, "Mới", "commune"))
    with pytest.raises(Conflict, match="cannot take effect before"):
        await do(db, step, at_ms=NOW_MS + 5 * MINUTE_MS - 1)
    await do(db, step, at_ms=NOW_MS + 5 * MINUTE_MS)


async def test_all_that_was_done_is_in_the_journal_under_one_key(db: Database) -> None:
    old = await city(db)
    holder = await token(db, old.phu_lien, "officer")
    act = replace(at(10), key="k1", fingerprint=b"f" * 32)
    done = await do(db, Merge((old.phu_lien.id, old.van_dau.id), NewArea("n", old.top.id, "Mới", "x")), act=act)
    async with db.read() as connection:
        links = await stored_journal.links(connection, 0, 1000)
        used = await stored_journal.used_key(connection, act.actor, "k1")
    assert chain.verify(links) == links[-1]
    assert used is not None
    assert used.subject == f"change:{id_text(done.change.id)}"
    entries: list[dict[str, Any]] = [json.loads(link.entry) for link in links]
    said = [(entry["action"], entry["subject"]) for entry in entries if entry["at_ms"] == act.now_ms]
    assert said == [
        ("areas.merge", f"change:{id_text(done.change.id)}"),
        *sorted(("area.close", f"area:{id_text(area.id)}") for area in (old.phu_lien, old.van_dau)),
        ("area.create", f"area:{id_text(done.opened['n'].id)}"),
        ("area.move", f"area:{id_text(old.hamlet.id)}"),
        ("token.follow", f"token:{id_text(holder.id)}"),
    ]
    change, became = await Reorganiser(db).change(done.change.id)
    assert change == done.change
    assert {link.from_id for link in became} == {old.phu_lien.id, old.van_dau.id}
    assert await Reorganiser(db).changes() == [change]


async def test_what_cannot_be_is_told_and_nothing_is_done(db: Database) -> None:
    old = await city(db)
    new = NewArea("n", old.top.id, "Mới", "commune")
    nowhere = new_id(1)
    wrong: list[tuple[Step | tuple[Step, ...], type[Exception], str]] = [
        (Merge((), old.top.id), PlaceError, "at least one"),
        (Merge((nowhere,), old.top.id), NotFound, "no open area"),
        (Merge((old.phu_lien.id,), nowhere), NotFound, "no open area"),
        (Merge((old.phu_lien.id,), "n"), NotFound, "no open area"),
        (Merge((old.phu_lien.id,), old.phu_lien.id), Conflict, "into itself"),
        (Merge((old.kien_an.id,), old.phu_lien.id), Conflict, "below it"),
        (Merge((old.kien_an.id,), replace(new, parent=old.phu_lien.id)), Conflict, "below it"),
        (Merge((old.phu_lien.id,), replace(new, code="11926")), Conflict, "11926"),
        (Merge((old.phu_lien.id,), replace(new, name="  ")), PlaceError, "name"),
        ((Merge((old.phu_lien.id,), new), Merge((old.van_dau.id,), new)), PlaceError, "key"),
        ((Merge((old.phu_lien.id,), new), Merge((old.phu_lien.id,), old.van_dau.id)), NotFound, "no open area"),
        (Split(old.phu_lien.id, ()), PlaceError, "at least one part"),
        (Split(old.phu_lien.id, (Part(new),), rest=1), PlaceError, "rest"),
        (Split(old.phu_lien.id, (Part(old.phu_lien.id),), keep=True), Conflict, "itself"),
        (Split(old.phu_lien.id, (Part(replace(new, parent=old.phu_lien.id)),)), Conflict, "below"),
        (Split(old.phu_lien.id, (Part(new, areas=(old.gia_luan.id,)),)), NotFound, "directly"),
        (Split(old.phu_lien.id, (Part(new, devices=(old.speakers["hamlet"].id,)),)), NotFound, "directly"),
        (
            Split(old.phu_lien.id, (Part(new, (old.hamlet.id,)), Part(old.van_dau.id, (old.hamlet.id,)))),
            PlaceError,
            "two parts",
        ),
        (Dissolve(()), PlaceError, "at least one"),
        (Dissolve((old.top.id,)), Conflict, "at the top"),
        ((), PlaceError, "steps"),
    ]
    for steps, error, match in wrong:
        with pytest.raises(error, match=match):
            await do(db, *(steps if isinstance(steps, tuple) else (steps,)))
    assert len(await names_at(db, 100)) == 8


async def test_a_merge_must_not_make_the_tree_too_deep(db: Database) -> None:
    areas = Areas(db)
    chains: list[list[Area]] = []
    for name in "ab":
        made: list[Area] = []
        for level in range(10):
            made.append(await areas.create(made[-1].id if made else None, f"{name}{level}", "x", None, at(0)))
        chains.append(made)
    with pytest.raises(Conflict, match="16 levels"):
        await do(db, Merge((chains[0][0].id,), chains[1][9].id))


async def test_a_warning_names_two_of_one_name(db: Database) -> None:
    old = await city(db)
    await Areas(db).create(old.van_dau.id, "Thôn Đồng", "hamlet", None, at(0))
    plan = await Reorganiser(db).preview([Merge((old.phu_lien.id,), old.van_dau.id)], now_ms=NOW_MS)
    assert plan.warnings == ("2 areas in Văn Đẩu are called Thôn Đồng",)


async def test_what_users_were_given_follows_and_ends_as_tokens_do(db: Database) -> None:
    old = await city(db)
    grants = [Grant(Role.OFFICER, old.phu_lien.id), Grant(Role.VIEWER, old.phu_lien.id), Grant(Role.STUDIO)]
    user = User(new_id(NOW_MS), "lan", "Lan", Language.VI, tuple(grants), NOW_MS, 1)
    other = replace(user, id=new_id(NOW_MS + 1), login="minh", grants=(Grant(Role.OPS, old.cat_hai.id),))
    async with db.write() as connection:
        for each in (user, other):
            await stored_users.insert(connection, each, "kept", None)
    steps: list[Step] = [Merge((old.phu_lien.id,), old.van_dau.id), Dissolve((old.cat_hai.id,))]
    plan = await Reorganiser(db).preview(steps, now_ms=NOW_MS + MINUTE_MS)
    assert [(each.right.role, each.to) for each in plan.following] == [
        (Role.OFFICER, old.van_dau.id), (Role.VIEWER, old.van_dau.id), (Role.OPS, None),
    ]  # fmt: skip
    async with db.write() as connection:
        changed = [replace(grants[0], role=Role.STUDIO), *grants[1:]]
        await stored_users.set_grants(connection, user.id, changed)
    with pytest.raises(Changed):
        await Reorganiser(db).apply(steps, plan.fingerprint, at(2))
    await do(db, *steps)
    async with db.read() as connection:
        after = [(await stored_users.get(connection, each.id)) for each in (user, other)]
    assert set(after[0].grants) == {
        Grant(Role.STUDIO, old.van_dau.id), Grant(Role.VIEWER, old.van_dau.id), Grant(Role.STUDIO),
    }  # fmt: skip
    assert (after[0].version, after[1].grants) == (2, ())
