"""What the store held before programmes had areas is told rightly after."""

from __future__ import annotations

import importlib
from typing import Any

from sqlalchemy import Connection, MetaData, Table, insert, text

from loa.broadcast.store.broadcasts import BroadcastFilter, Broadcasts
from loa.broadcast.store.database import Database, migrate, migrate_down
from loa.broadcast.store.programmes import Programmes
from loa.model import id_text
from tests.broadcast.conftest import NOW_MS

_STEP = importlib.import_module("loa.broadcast.store.migrations.versions.0006_library")
CITY, COMMUNE, OTHER = (bytes([number]) * 16 for number in (1, 2, 3))
SPEAKER, PROGRAMME, UNTOLD = (bytes([number]) * 16 for number in (4, 5, 6))
TO_AREA, TO_SPEAKER = b"\x07" * 16, b"\x08" * 16


def _fill(connection: Connection) -> None:
    def put(table: str, /, **values: Any) -> None:
        connection.execute(insert(Table(table, MetaData(), autoload_with=connection)).values(values))

    for area_id, parent_id in ((CITY, None), (COMMUNE, CITY), (OTHER, CITY)):
        put("area", id=area_id, parent_id=parent_id, name="Xã", level="x", code=None, created_ms=NOW_MS)
    put(
        "endpoint",
        id=SPEAKER,
        kind="speaker",
        name="Loa",
        area_id=OTHER,
        device_key=b"k" * 32,
        enrolled_ms=NOW_MS,
        placement_serial=1,
    )
    for programme_id in (PROGRAMME, UNTOLD):
        put(
            "programme",
            id=programme_id,
            title="Bản tin cũ",
            klass="routine",
            sha256=b"h" * 32,
            samples=960,
            frames=1,
            frame_samples=960,
            duration_ms=20,
            size_bytes=9,
            loudness_lufs=-1600,
            created_ms=NOW_MS,
        )
    put(
        "audit",
        seq=1,
        at_ms=NOW_MS,
        actor="token:x",
        action="programme.create",
        subject=f"programme:{id_text(PROGRAMME)}",
        entry="{}",
        hash=b"h" * 32,
    )
    put("event", seq=1, at_ms=NOW_MS, kind="programme.create", subject="programme:x", reach=b"", data="{}")
    for broadcast_id, areas, endpoints in ((TO_AREA, COMMUNE, b""), (TO_SPEAKER, b"", SPEAKER + b"?" * 16)):
        put(
            "broadcast",
            id=broadcast_id,
            programme_id=PROGRAMME,
            state="ended",
            priority=64,
            volume=100,
            play_delay_ms=400,
            areas=areas,
            endpoints=endpoints,
            created_ms=NOW_MS,
            generation=1,
            frames_total=1,
            frames_aired=1,
            reason="end",
        )


async def test_what_there_was_gets_what_is_known_of_it(db: Database) -> None:
    async with db.write() as connection:
        await connection.run_sync(migrate_down, _STEP.down_revision)
        await connection.run_sync(_fill)
        await connection.run_sync(migrate)
    programmes, broadcasts = Programmes(db), Broadcasts(db)
    made = await programmes.get(PROGRAMME)
    assert (made.area_id, made.owner, made.version, made.deleted_ms) == (None, "token:x", 1, None)
    assert (await programmes.get(UNTOLD)).owner == ""
    kept = await broadcasts.get(TO_AREA)
    assert (kept.programme_title, kept.programme_sha256) == ("Bản tin cũ", b"h" * 32)
    for area_id, expected in ((CITY, {TO_AREA, TO_SPEAKER}), (COMMUNE, {TO_AREA}), (OTHER, {TO_SPEAKER})):
        rows = await broadcasts.list(only=BroadcastFilter(area_id=area_id))
        assert {row.id for row in rows} == expected
    async with db.read() as connection:
        assert (await connection.execute(text("SELECT areas FROM event"))).scalar_one() == b""
    async with db.write() as connection:
        await connection.run_sync(migrate_down, _STEP.down_revision)
        await connection.run_sync(migrate)
    assert await broadcasts.get(TO_AREA) == kept
