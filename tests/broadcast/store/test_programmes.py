"""Programmes in the store: changed by who has seen them, taken away when silent, and told of ever after."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from loa.broadcast.journal.act import Act
from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.records import PreEmption, ProgrammeClass
from loa.broadcast.registry.areas import Areas
from loa.broadcast.store.broadcasts import Broadcasts
from loa.broadcast.store.database import Database
from loa.broadcast.store.journal import AuditFilter
from loa.broadcast.store.paging import Page
from loa.broadcast.store.programmes import Programmes
from loa.errors import Changed, Conflict, NotFound
from loa.model import BroadcastState, id_text, new_id
from tests.broadcast.conftest import NOW_MS
from tests.broadcast.orders.standing import a_broadcast, a_programme, store_broadcast

LAN = Act("user:1", "Lan", NOW_MS + 5)


async def told(db: Database, action: str) -> list[dict[str, object]]:
    entries = await Ledger(db).entries(Page(by="seq"), AuditFilter(action=action))
    return [json.loads(entry.entry) for entry in entries]


async def test_a_change_counts_and_is_told_with_what_it_was_before(db: Database) -> None:
    area = await Areas(db).create(None, "Phù Liễn", "commune", None, LAN)
    programmes, made = Programmes(db), await a_programme(db, area.id)
    changed = await programmes.change(made.id, 1, LAN, title="Bản tin chiều")
    assert changed == replace(made, title="Bản tin chiều", version=2) == await programmes.get(made.id)
    changed = await programmes.change(made.id, None, LAN, klass=ProgrammeClass.PRIORITY)
    assert (changed.klass, changed.version) == ("priority", 3)
    assert await programmes.change(made.id, 3, LAN, title="Bản tin chiều") == changed
    entry = (await told(db, "programme.change"))[0]
    assert (entry["actor"], entry["areas"]) == ("user:1", [id_text(area.id)])
    assert entry["before"] == {"title": "Bản tin", "class": "routine", "area_id": id_text(area.id)}
    assert entry["after"] == {"title": "Bản tin chiều", "class": "routine", "area_id": id_text(area.id)}
    assert len(await told(db, "programme.change")) == 2


async def test_of_two_who_change_what_they_have_seen_the_second_is_told(db: Database) -> None:
    programmes, made = Programmes(db), await a_programme(db)
    results = await asyncio.gather(
        *(programmes.change(made.id, 1, LAN, title=title) for title in ("Một", "Hai")), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in results) == ["Changed", "Programme"]
    with pytest.raises(Changed, match="version 2"):
        await programmes.change(made.id, 1, LAN, title="Ba")


async def test_what_is_on_air_is_not_taken_away(db: Database) -> None:
    programmes, broadcasts = Programmes(db), Broadcasts(db)
    for state in (BroadcastState.PREPARING, BroadcastState.ON_AIR):
        broadcast = await a_broadcast(db, state)
        with pytest.raises(Conflict, match="on air"):
            await programmes.delete(broadcast.programme_id, LAN)
        await broadcasts.save(replace(broadcast, state=BroadcastState.ENDED, ended_utc_ms=NOW_MS))
        await programmes.delete(broadcast.programme_id, LAN)


async def test_what_was_taken_away_is_nowhere_but_in_what_was_broadcast(db: Database) -> None:
    programmes, broadcasts = Programmes(db), Broadcasts(db)
    broadcast = await a_broadcast(db, BroadcastState.ENDED)
    programme_id = broadcast.programme_id
    await programmes.delete(programme_id, LAN)
    for refused in (
        programmes.get(programme_id),
        programmes.delete(programme_id, LAN),
        programmes.change(programme_id, None, LAN, title="x"),
    ):
        with pytest.raises(NotFound):
            await refused
    assert await programmes.list() == []
    kept = await broadcasts.get(broadcast.id)
    assert (kept.programme_title, kept.programme_sha256) == ("Bản tin", b"h" * 32)
    with pytest.raises(Conflict, match="not there"):
        await store_broadcast(db, replace(broadcast, id=new_id(NOW_MS)))
    (entry,) = await told(db, "programme.delete")
    assert (entry["subject"], entry["actor"]) == (f"programme:{id_text(programme_id)}", "user:1")


async def test_a_sound_is_named_while_a_programme_has_it_and_a_while_longer(db: Database) -> None:
    programmes = Programmes(db)
    one, two = await a_programme(db, sha256=b"1" * 32), await a_programme(db, sha256=b"2" * 32)
    same = await a_programme(db, sha256=b"2" * 32)
    asked = {b"1" * 32, b"2" * 32, b"3" * 32}
    await programmes.delete(one.id, LAN)
    await programmes.delete(two.id, LAN)
    assert await programmes.naming(asked, LAN.now_ms) == {b"1" * 32, b"2" * 32}
    assert await programmes.naming(asked, LAN.now_ms + 1) == {b"2" * 32}
    await programmes.delete(same.id, replace(LAN, now_ms=NOW_MS + 9))
    assert await programmes.naming(asked, NOW_MS + 9) == {b"2" * 32}
    assert await programmes.naming(asked, NOW_MS + 10) == set()


async def test_a_programme_of_no_area_that_there_is_is_not_made(db: Database) -> None:
    with pytest.raises(NotFound):
        await a_programme(db, b"?" * 16)
    assert await Programmes(db).list() == []


async def test_pre_emptions_are_kept_those_that_go_on_too(db: Database) -> None:
    broadcasts = Broadcasts(db)
    broadcast = await a_broadcast(db)
    assert (await broadcasts.get(broadcast.id)).pre_empted == ()
    pre_empted = (PreEmption(NOW_MS, NOW_MS + 9_000, 10_000), PreEmption(NOW_MS + 20_000, None, 1))
    await broadcasts.save(replace(broadcast, pre_empted=pre_empted))
    assert (await broadcasts.get(broadcast.id)).pre_empted == pre_empted
