"""The journal: a chain in which nothing can be changed unseen, and that is written with what it tells of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.journal import chain, journal
from loa.broadcast.journal.act import Act, system
from loa.broadcast.journal.chain import GENESIS, Link, entry_text, next_hash, verify
from loa.broadcast.registry.areas import Areas
from loa.broadcast.store import journal as stored
from loa.broadcast.store.database import Database
from loa.errors import AuditError, Conflict
from loa.model import id_text
from tests.broadcast.conftest import NOW_MS


def _chain(entries: list[dict[str, Any]]) -> list[Link]:
    links: list[Link] = []
    for seq, fields in enumerate(entries, 1):
        text = entry_text({"seq": seq, **fields})
        links.append(Link(seq, text, next_hash(links[-1].hash if links else GENESIS, text)))
    return links


_values = st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
_fields = st.dictionaries(st.sampled_from(["a", "b", "tên"]), _values, max_size=3)
_entries = st.lists(_fields, min_size=1, max_size=6)


@given(_entries, st.integers(0, 6))
def test_a_whole_chain_holds_from_any_place_on(entries: list[dict[str, Any]], at: int) -> None:
    links = _chain(entries)
    at = min(at, len(links))
    assert verify(links) == links[-1]
    assert verify(links[at:], links[at - 1] if at else None) == (links[-1] if links else None)


@given(_entries, st.data())
def test_whatever_is_changed_moved_or_taken_out_is_seen(entries: list[dict[str, Any]], data: st.DataObject) -> None:
    links = _chain(entries)
    at = data.draw(st.integers(0, len(links) - 1))
    kind = data.draw(st.sampled_from(["text", "hash", "removed", "twice"]))
    changed = list(links)
    if kind == "text":
        changed[at] = replace(links[at], entry=links[at].entry + " ")
    elif kind == "hash":
        changed[at] = replace(links[at], hash=bytes(32))
    elif kind == "removed":
        del changed[at]
        if at == len(links) - 1:
            # Only a digest kept elsewhere tells that the end was cut off.
            assert verify(changed) != links[-1]
            return
    else:
        changed.insert(at, links[at])
    with pytest.raises(AuditError, match="entry"):
        verify(changed)


async def test_what_is_recorded_is_in_the_chain_and_told_to_those_who_watch(db: Database) -> None:
    areas = Areas(db)
    city = await areas.create(None, "Hải Phòng", "city", None, system(NOW_MS))
    commune = await areas.create(city.id, "Xã", "commune", None, system(NOW_MS))
    act = Act("user:1", "Lan", NOW_MS, "10.0.0.7", "r1")
    async with db.write() as connection:
        await journal.record(
            connection, act, "area.rename", "area:x", areas=[commune.id], before={"name": "a"}, after={"name": "b"}
        )
        await journal.tell(connection, NOW_MS, "endpoint.linked", "endpoint:y", areas=[city.id])
    async with db.read() as connection:
        links = await stored.links(connection, 0, 10)
        events = await stored.events(connection, 0, 10)
        assert await stored.event_range(connection) == (events[0].seq, events[-1].seq)
    assert verify(links) == links[-1]
    for said in ("user:1", "Lan", "10.0.0.7", "r1", "area.rename", id_text(commune.id), '"name":"a"', '"name":"b"'):
        assert said in links[-1].entry, said
    told = [event for event in events if event.subject in ("area:x", "endpoint:y")]
    assert [event.kind for event in told] == ["area.rename", "endpoint.linked"]
    assert told[0].reach == {city.id, commune.id}
    assert told[1].reach == {city.id}


async def test_what_is_undone_is_not_in_the_journal(db: Database) -> None:
    async def fails() -> None:
        async with db.write() as connection:
            await journal.record(connection, system(NOW_MS), "area.create", "area:x")
            raise RuntimeError("ended in the middle")

    with pytest.raises(RuntimeError):
        await fails()
    async with db.read() as connection:
        assert await stored.last_link(connection) is None
        assert await stored.events(connection, 0, 10) == []


async def test_a_key_is_good_for_one_act_of_its_actor(db: Database) -> None:
    act = Act("token:1", "Máy", NOW_MS, key="k1", fingerprint=b"f" * 32)
    async with db.write() as connection:
        await journal.record(connection, act, "area.create", "area:x")
    with pytest.raises(Conflict):
        async with db.write() as connection:
            await journal.record(connection, act, "area.create", "area:y")
    async with db.write() as connection:
        await journal.record(connection, replace(act, actor="token:2"), "area.create", "area:z")
    async with db.read() as connection:
        done = await stored.used_key(connection, "token:1", "k1")
        assert done is not None
        assert (done.subject, done.fingerprint) == ("area:x", b"f" * 32)
        assert await stored.used_key(connection, "token:1", "k2") is None
        assert [link.seq for link in await stored.links(connection, 0, 10)] == [1, 2]


def test_an_entry_says_the_same_in_the_same_bytes() -> None:
    assert entry_text({"b": 1, "a": "Hải"}) == '{"a":"Hải","b":1}'
    with pytest.raises(ValueError, match="JSON"):
        entry_text({"a": float("nan")})
    assert chain.next_hash(GENESIS, "x") != chain.next_hash(b"\1" * 32, "x")
