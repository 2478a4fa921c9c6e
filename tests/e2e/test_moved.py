"""A speaker that comes to stand elsewhere while it plays: it goes on, it is stopped, and it hears what is on air
there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from loa.app.api_client import ApiError, Json
from loa.app.demo.run import wait_for_clocks
from loa.app.demo.stage import SpeakerPlan, Stage
from loa.edge.speaker import identity
from loa.model import parse_id

LEAD_MS = 200


async def receipts(stage: Stage, broadcast: Json, true: Callable[[list[Json]], bool]) -> list[Json]:
    """The receipts of a broadcast, once they are so."""
    async with asyncio.timeout(30):
        while not true(rows := await stage.api.items(f"/api/v1/broadcasts/{broadcast['id']}/receipts")):
            stage.check_alive()
            await asyncio.sleep(0.05)
    return rows


def said(rows: list[Json], endpoint: str, action: str) -> list[str]:
    """How far the speaker came with orders of this kind."""
    return [row["state"] for row in rows if (row["endpoint_id"], row["action"]) == (endpoint, action)]


async def placed(folder: Path, area: str) -> None:
    """Wait until the speaker has written down that it stands there."""
    async with asyncio.timeout(30):
        while True:
            known = identity.load(folder)
            if known is not None and known.placement.areas[-1] == parse_id(area):
                return
            await asyncio.sleep(0.05)


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_a_speaker_that_moves_goes_on_is_stopped_and_hears_what_is_there(
    stage: Stage, six_seconds: Path
) -> None:
    api, (old, new, far) = stage.api, stage.communes
    plans = [SpeakerPlan("Loa gần", 0, 0, 0), SpeakerPlan("Loa xa", 2, 0, 0)]
    await asyncio.gather(*(stage.add_speaker(plan) for plan in plans))
    programme = (await api.upload("Sáu giây", six_seconds))["id"]
    await wait_for_clocks(stage)
    ids = {row["name"]: row["id"] for row in await stage.endpoints()}
    near, away = ids["Loa gần"], ids["Loa xa"]

    broadcast = await api.start(programme, areas=[old])
    await receipts(stage, broadcast, lambda rows: said(rows, near, "tune") == ["started"])
    merge: Json = {"sources": [old], "into": {"area_id": new}}
    plan = await api.call("POST", "/api/v1/areas/merge/preview", merge)
    assert [each["broadcast_id"] for each in plan["broadcasts"]] == [broadcast["id"]]
    await api.call("POST", "/api/v1/areas/merge", merge | {"plan": plan["plan"]})
    await placed(stage.folder / "speaker-01", new)
    assert (await api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}"))["state"] == "on_air"
    await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
    rows = await receipts(stage, broadcast, lambda rows: said(rows, near, "tune") == ["finished"])
    rows = await receipts(stage, broadcast, lambda rows: said(rows, near, "stop") not in ([], ["received"]))
    assert said(rows, near, "stop") != ["refused"]
    assert [row["result"] for row in rows if row["action"] == "tune"] == ["stopped"]

    with pytest.raises(ApiError) as caught:
        await api.start(programme, areas=[old])
    assert caught.value.status == 404
    broadcast = await api.start(programme, areas=[new])
    await receipts(stage, broadcast, lambda rows: said(rows, near, "tune") == ["started"])
    await api.call("PATCH", f"/api/v1/endpoints/{away}", {"area_id": new}, {"If-Match": "*"})
    await receipts(stage, broadcast, lambda rows: said(rows, away, "tune") == ["started"])
    await api.call("PATCH", f"/api/v1/endpoints/{near}", {"area_id": far}, {"If-Match": "*"})
    await placed(stage.folder / "speaker-01", far)
    rows = await receipts(
        stage,
        broadcast,
        lambda rows: said(rows, near, "tune") == said(rows, away, "tune") == ["finished"],
    )
    by_name = {row["endpoint_id"]: row for row in rows}
    assert by_name[near]["result"] == by_name[away]["result"] == "end"
    assert by_name[near]["concealed"] == 0
    assert by_name[near]["played"] > by_name[away]["played"] > 0
