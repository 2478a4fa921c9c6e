"""Speakers that hear by their area's multicast group: real processes, real sockets, IGMPv3 joins on loopback."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from loa.app.demo.run import wait_for_clocks
from loa.app.demo.stage import SpeakerPlan, Stage
from loa.edge.speaker.group_ear import Membership
from loa.edge.speaker.group_socket import join_group
from tests import sounds
from tests.e2e.test_one_voice import all_finished

PLANS = [SpeakerPlan(f"Loa {number}", commune=number, offset_s=number, rate_ppm=20 * number) for number in range(2)]
GROUP = "232.7.0.1"


async def figures(stage: Stage) -> dict[str, float]:
    """What the core counts now, the media process's counters included."""
    async with stage.api._session.get(f"{stage.url}/metrics") as answer:
        return {name: float(value) for name, value in re.findall(r"^(loa_\S+) (\S+)$", await answer.text(), re.M)}


async def until(stage: Stage, name: str, value: float) -> None:
    """Wait until a figure has a value."""
    async with asyncio.timeout(20):
        while (await figures(stage))[name] != value:
            stage.check_alive()
            await asyncio.sleep(0.1)


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_speakers_go_over_to_their_group_and_back_in_the_middle_of_a_bulletin_and_lose_no_frame(
    tmp_path: Path,
) -> None:
    siren = tmp_path / "siren.wav"
    siren.write_bytes(sounds.wav(sounds.siren(4.0)))
    async with Stage(tmp_path / "city", core_options=["--media-host=127.0.0.1"]) as stage:
        await stage.open_core()
        await stage.build_areas("Hải Phòng", [("Cát Hải", ["Phù Long", "Xuân Đám"])])
        await asyncio.gather(*(stage.add_speaker(plan) for plan in PLANS))
        path = f"/api/v1/areas/{stage.city}/multicast"
        await stage.api.call("PUT", path, {"address": GROUP, "port": stage.media_port, "ttl": 1})
        await until(stage, "loa_endpoints_in_groups", len(PLANS))
        programme = await stage.api.upload("Bốn giây", siren)
        await wait_for_clocks(stage)
        with join_group(Membership(GROUP, stage.media_port, "127.0.0.1")) as third:
            broadcast = await stage.api.start(programme["id"], areas=[stage.city], play_delay_ms=1_000)
            for _ in range(50):
                await asyncio.get_running_loop().sock_recv(third, 2_048)
        await stage.api.call("DELETE", path)
        receipts = await asyncio.wait_for(all_finished(stage, broadcast, len(PLANS)), 40)
        for row in receipts:
            assert (row["state"], row["result"], row["concealed"]) == ("finished", "end", 0), row
            assert row["played"] == programme["frames"], row
        await until(stage, "loa_media_frames_sent_total", programme["frames"])
        after = await figures(stage)
        assert after["loa_endpoints_in_groups"] == after["loa_media_group_send_refused_total"] == 0
        # Sound and blocks, once for both speakers while they heard by the group, and then to each of them.
        sent = after["loa_media_frames_sent_total"] + after["loa_media_blocks_sent_total"]
        assert after["loa_media_packets_sent_total"] < 2 * (sent - 40)
