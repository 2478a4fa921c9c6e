"""One voice to twenty speakers: real processes, wrong clocks, bad lines, every frame compared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loa.app.api_client import Json
from loa.app.demo.run import BAD, wait_for_clocks
from loa.app.demo.stage import SpeakerPlan, Stage
from loa.app.demo.verdict import Recording, judge, reference, spread_ms
from tests.e2e.conftest import small_city

STARTED_WITHIN_NS = 5_000_000
# Twenty sound cards share two cores here: each asks for its sound early, and the network keeps its time for repair.
LEAD_MS = 200
PLAY_DELAY_MS = 600

PLANS = [
    SpeakerPlan(
        f"Cụm loa {number:02d}",
        commune=number % 3,
        offset_s=(number * 1801) % 7200 - 3600,
        rate_ppm=round(-80 + number * 160 / 19),
        line=BAD if number % 2 else None,
    )
    for number in range(20)
]


async def all_finished(stage: Stage, broadcast: Json, count: int) -> list[Json]:
    """The tune receipts, once each of `count` endpoints has finished."""
    while True:
        rows = await stage.api.items(f"/api/v1/broadcasts/{broadcast['id']}/receipts")
        tunes = [row for row in rows if row["action"] == "tune"]
        if len(tunes) == count and all(row["state"] in ("finished", "refused") for row in tunes):
            return tunes
        stage.check_alive()
        await asyncio.sleep(0.25)


@pytest.mark.alone
@pytest.mark.timeout(180)
async def test_twenty_skewed_speakers_play_every_frame_together(tmp_path: Path, six_seconds: Path) -> None:
    async with small_city(tmp_path, lead_ms=LEAD_MS) as stage:
        await play_together(stage, six_seconds)


async def play_together(stage: Stage, six_seconds: Path) -> None:
    """Twenty speakers come, play six seconds, and are compared."""
    await asyncio.gather(*(stage.add_speaker(plan) for plan in PLANS))
    programme = await stage.api.upload("Sáu giây", six_seconds)
    await wait_for_clocks(stage)
    broadcast = await stage.api.start(programme["id"], areas=[stage.city], play_delay_ms=PLAY_DELAY_MS)
    receipts = await asyncio.wait_for(all_finished(stage, broadcast, len(PLANS)), 60)

    for row in receipts:
        assert row["state"] == "finished", row
        assert all(row[f"{step}_at"] for step in ("received", "accepted", "started", "finished")), row
        assert row["result"] == "end", row
        assert row["played"] + row["recovered"] + row["concealed"] == programme["frames"], row
    presented = [row["presented_ns"] for row in receipts]
    assert max(presented) - min(presented) <= STARTED_WITHIN_NS

    ref = await reference(stage.api, broadcast)
    recordings = [await Recording.load(stage.wav_folder(plan.name), broadcast["id"]) for plan in PLANS]
    checks = await asyncio.to_thread(
        lambda: [judge(ref, plan, recording) for plan, recording in zip(PLANS, recordings, strict=True)]
    )
    assert {check.name: check.faults for check in checks if not check.passed} == {}
    assert spread_ms(checks) <= STARTED_WITHIN_NS / 1e6
    print(f"started within {(max(presented) - min(presented)) / 1e6:.3f} ms, spread {spread_ms(checks):.3f} ms")
    ended = await stage.api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}")
    assert (ended["state"], ended["frames_aired"]) == ("ended", programme["frames"])
    assert ended["receipts"] == {"finished": len(PLANS)}
