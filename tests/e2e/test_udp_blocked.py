"""A speaker that no datagram reaches plays a bulletin in full over its link, in time with one that they reach."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loa.app.demo.run import wait_for_clocks
from loa.app.demo.stage import SpeakerPlan, Stage, free_udp_port
from loa.app.demo.verdict import Recording, judge, reference, spread_ms
from tests.sounds import siren, wav


@pytest.mark.alone
async def test_a_speaker_behind_a_wall_plays_in_full_and_in_time(stage: Stage, tmp_path: Path) -> None:
    sound = tmp_path / "siren.wav"
    sound.write_bytes(wav(siren(3.0)))
    behind = SpeakerPlan("Cụm loa sau tường lửa", 0, 1800, 40, media=f"127.0.0.1:{free_udp_port()}")
    plans = [behind, SpeakerPlan("Cụm loa ngoài", 0, -600, -30)]
    await asyncio.gather(*(stage.add_speaker(plan) for plan in plans))
    programme = await stage.api.upload("Ba giây", sound)
    await wait_for_clocks(stage)
    doors = {row["name"]: row["door"] for row in await stage.endpoints()}
    assert doors == {behind.name: "link", plans[1].name: "unicast"}

    broadcast = await stage.api.start(programme["id"], areas=[stage.city], play_delay_ms=600)
    while True:
        receipts = await stage.api.items(f"/api/v1/broadcasts/{broadcast['id']}/receipts")
        if len(receipts) == 2 and all(row["state"] == "finished" for row in receipts):
            break
        stage.check_alive()
        await asyncio.sleep(0.2)
    for row in receipts:
        assert (row["result"], row["played"], row["concealed"]) == ("end", programme["frames"], 0), row
    ref = await reference(stage.api, broadcast)
    recordings = [await Recording.load(stage.wav_folder(plan.name), broadcast["id"]) for plan in plans]
    checks = await asyncio.to_thread(
        lambda: [judge(ref, plan, recording) for plan, recording in zip(plans, recordings, strict=True)]
    )
    assert {check.name: check.faults for check in checks if not check.passed} == {}
    print(f"spread {spread_ms(checks):.3f} ms")
