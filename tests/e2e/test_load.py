"""A crowd of real links in real processes against a real core: everyone comes, hears, and is counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loa.app.demo.stage import Stage
from loa.app.load import Crowd, LoadPlan, Tally

ENDPOINTS, SAMPLE = 30, 5
SECONDS = 4.0


@pytest.mark.timeout(120)
async def test_thirty_endpoints_in_two_processes_hear_a_bulletin(stage: Stage, speech_and_siren: Path) -> None:
    programme = await stage.api.upload("Mười giây", speech_and_siren)
    plan = LoadPlan(ENDPOINTS, processes=2, sample=SAMPLE, nack=0.05)
    async with Crowd(stage.url, plan, stage.folder / "load") as crowd:
        assert await crowd.enrol(stage.api, stage.communes[0]) == ENDPOINTS
        await crowd.join(60)
        listed = await stage.api.items("/api/v1/endpoints")
        assert len(listed) == ENDPOINTS
        assert all(row["linked"] and row["media_bound"] for row in listed)
        broadcast = await stage.api.start(programme["id"], areas=[stage.communes[0]])
        await asyncio.sleep(SECONDS)
        await stage.api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
        while not _all_acknowledged(tally := await crowd.report()):
            crowd.check_alive()
            await asyncio.sleep(0.2)
        receipts = await stage.api.items(f"/api/v1/broadcasts/{broadcast['id']}/receipts")
        await crowd.leave()

    assert tally.join_us.count == tally.counts["joins"] == ENDPOINTS
    assert tally.counts["links_lost"] == 0
    tune, stop = sorted(tally.orders.values(), key=lambda order: order.issued_ms)
    assert (tune.action, stop.action) == ("tune", "stop")
    for order in (tune, stop):
        assert order.broadcast_id == broadcast["id"]
        assert order.first.count == ENDPOINTS
        assert order.by_door["link"].count == ENDPOINTS
        # Whoever answered by its link before the first datagram left is sent none.
        assert 0 < order.by_door["datagram"].count <= ENDPOINTS
    assert tally.gauges["sample_missing"] == 0
    assert tally.gauges["sample_played"] > 0
    sent = len(tally.frames)
    assert sent > 0
    assert tally.counts["sample_packets"] == sent * SAMPLE
    assert tally.frames.spread_us(SAMPLE).count == sent
    # The kernel has counted what it dropped for the others: each frame, and the signed blocks beside it.
    assert tally.gauges["sink_packets"] >= sent * (ENDPOINTS - SAMPLE)
    assert tally.counts["nacks"] > 0
    assert {row["state"] for row in receipts} <= {"started", "finished", "accepted"}
    assert len({row["endpoint_id"] for row in receipts}) == ENDPOINTS


def _all_acknowledged(tally: Tally) -> bool:
    return [order.acknowledged.count for order in tally.orders.values()] == [ENDPOINTS, ENDPOINTS]
