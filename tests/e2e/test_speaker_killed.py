"""A speaker loses its power in the middle of a broadcast: it comes back, and plays the rest in its time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loa.app.demo.run import wait_for_clocks
from loa.app.demo.stage import SpeakerPlan, Stage
from loa.app.demo.verdict import Recording
from tests.e2e.test_one_voice import all_finished

PLAN = SpeakerPlan("Cụm loa mất điện", 1, 900, -70)


@pytest.mark.timeout(120)
async def test_a_speaker_that_lost_its_power_plays_the_rest(stage: Stage, ten_seconds: Path) -> None:
    await stage.add_speaker(PLAN)
    programme = await stage.api.upload("Mười giây", ten_seconds)
    await wait_for_clocks(stage)
    broadcast = await stage.api.start(programme["id"], areas=[stage.city])
    path = f"/api/v1/broadcasts/{broadcast['id']}/receipts"
    while True:
        if any(row["started_at"] for row in await stage.api.items(path)):
            break
        await asyncio.sleep(0.1)
    stage.speakers[PLAN.name].kill()
    await stage.speakers[PLAN.name].stop()
    await stage.start_speaker(PLAN.name)

    (receipt,) = await asyncio.wait_for(all_finished(stage, broadcast, 1), 60)
    assert receipt["result"] == "end"
    assert 0 < receipt["played"] < programme["frames"]
    again = await Recording.load(stage.wav_folder(PLAN.name), broadcast["id"])
    assert again.about["played"] == receipt["played"]
    assert again.about["finished_reason"] == "end"
    assert len(await stage.api.items(path)) == 1, "it was the same order"
