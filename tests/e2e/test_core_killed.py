"""kill -9 in the middle of a broadcast: what was acknowledged is there, and the end is told as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loa.app.demo.run import wait_for_clocks
from loa.app.demo.stage import SpeakerPlan, Stage
from loa.app.demo.verdict import Recording, judge, reference
from tests.e2e.test_one_voice import all_finished

PLANS = [SpeakerPlan("Cụm loa A", 0, 1800, 60), SpeakerPlan("Cụm loa B", 2, -600, -40)]


@pytest.mark.alone
@pytest.mark.timeout(150)
async def test_what_was_acknowledged_survives_and_the_voice_comes_back(stage: Stage, ten_seconds: Path) -> None:
    for plan in PLANS:
        await stage.add_speaker(plan)
    programme = await stage.api.upload("Mười giây", ten_seconds)
    await wait_for_clocks(stage)
    broadcast = await stage.api.start(programme["id"], areas=[stage.city])
    path = f"/api/v1/broadcasts/{broadcast['id']}"
    seen = 0
    started: list[str] = []
    while seen < 100 or len(started) < 2:
        seen = (await stage.api.call("GET", path))["frames_aired"]
        receipts = await stage.api.items(f"{path}/receipts")
        started = [row["endpoint_id"] for row in receipts if row["started_at"]]
        await asyncio.sleep(0.1)
    late_area = await stage.api.create_area("Lập ngay trước khi máy chết", "commune", stage.city)
    late_code = await stage.api.enrolment_code(late_area, "Cụm loa C")
    assert stage.core is not None
    stage.core.kill()
    await stage.core.stop()

    await stage.open_core()
    ended = await stage.api.call("GET", path)
    assert (ended["state"], ended["reason"]) == ("failed", "core_restarted")
    assert ended["ended_at"] is not None
    assert 50 <= ended["frames_aired"] <= seen + 100 < programme["frames"]
    receipts = await stage.api.items(f"{path}/receipts")
    assert sorted(row["endpoint_id"] for row in receipts if row["started_at"]) == sorted(started)
    assert late_area in [row["id"] for row in await stage.api.items("/api/v1/areas")]
    assert (await stage.api.call("GET", f"/api/v1/programmes/{programme['id']}"))["sha256"] == programme["sha256"]
    assert len((await stage.api.call("GET", f"{path}/orders"))["items"]) == 1

    cut_off = await asyncio.wait_for(all_finished(stage, broadcast, 2), 60)
    assert {row["result"] for row in cut_off} <= {"epoch", "lost"}
    assert all(row["played"] < programme["frames"] for row in cut_off)

    await stage.add_speaker(SpeakerPlan("Cụm loa C", 0, 0, 0))
    assert late_code
    await wait_for_clocks(stage)
    again = await stage.api.start(programme["id"], areas=[stage.city])
    receipts = await asyncio.wait_for(all_finished(stage, again, 3), 60)
    assert {row["result"] for row in receipts} == {"end"}
    ref = await reference(stage.api, again)
    for plan in PLANS:
        check = judge(ref, plan, await Recording.load(stage.wav_folder(plan.name), again["id"]))
        assert check.passed, check.faults
