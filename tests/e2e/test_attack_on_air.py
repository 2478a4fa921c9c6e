"""An attacker on the path, who is also a member of the group, while a broadcast is on air."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from loa.app.api_client import Json
from loa.app.demo.run import wait_for_clocks
from loa.app.demo.stage import SpeakerPlan, Stage
from loa.app.demo.verdict import Recording, judge, reference
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Type
from loa.codecs.enrolment_wire import from_base64
from loa.codecs.ogg_opus import read_ogg_opus
from tests.e2e.attacker import Attacker
from tests.e2e.conftest import BULLETIN
from tests.e2e.listener import Listener
from tests.e2e.test_one_voice import all_finished

HONEST = SpeakerPlan("Cụm loa yên", 0, 1200, 45)
ATTACKED = "Cụm loa bị phá"
WAIT_S = 20
MEDIA_KINDS = (
    "forged before its frame",
    "forged for the future",
    "block signed by the forger",
    "block under another number",
    "replay",
    "flipped bit",
    "wrong SSRC",
    "garbage",
    "empty",
    "too large",
)
OTHER_KINDS = (
    "block held back",
    "order",
    "replayed BOUND",
    "replayed PROBE_REPLY",
    "BOUND with a wrong MAC",
    "PROBE_REPLY with a wrong MAC",
    "captured, from elsewhere",
    "captured, from the speaker's address",
    "wrong MAC, from elsewhere",
    "wrong MAC, from the speaker's address",
    "garbage to the core",
    "empty to the core",
    "too large for the core",
    "NACK for what was never sent",
)


async def metrics(stage: Stage) -> dict[str, float]:
    """The core's counters and gauges by name."""
    token = (stage.folder / "core" / "admin.token").read_text(encoding="utf-8").strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{stage.url}/metrics") as answer:
        assert answer.status == 200
        lines = (await answer.text()).splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if line[0] != "#")}


async def metrics_when(stage: Stage, true: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The counters once they say so: the core asks its media process for them every second."""
    async with asyncio.timeout(WAIT_S):
        while True:
            counted = await metrics(stage)
            if true(counted):
                return counted
            await asyncio.sleep(0.2)


async def both_started(stage: Stage, broadcast: Json) -> None:
    """Wait until two endpoints say that they are heard."""
    path = f"/api/v1/broadcasts/{broadcast['id']}/receipts"
    states: list[str] = []
    async with asyncio.timeout(WAIT_S):
        while states != ["started", "started"]:
            await asyncio.sleep(0.1)
            states = [row["state"] for row in await stage.api.items(path)]


async def orders_of_another_area(stage: Stage, programme: str) -> tuple[Json, list[bytes]]:
    """A broadcast that means neither speaker, and the bundles of its TUNE and STOP."""
    broadcast = await stage.api.start(programme, areas=[stage.communes[2]])
    await stage.api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
    said = await stage.api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}/orders")
    assert [item["action"] for item in said["items"]] == ["tune", "stop"]
    return broadcast, [from_base64(item["bundle"]) for item in said["items"]]


async def shown_when(stage: Stage, name: str, true: Callable[[Json], bool]) -> Json:
    """What the API shows of an endpoint, once its status says so."""
    async with asyncio.timeout(WAIT_S):
        while True:
            shown = next(row for row in await stage.endpoints() if row["name"] == name)
            if shown["status"] and true(shown["status"]):
                return shown
            await asyncio.sleep(0.1)


@pytest.mark.alone
@pytest.mark.timeout(150)
async def test_nobody_on_the_path_and_in_the_group_disturbs_the_voice(
    stage: Stage, six_seconds: Path, tmp_path: Path
) -> None:
    sounds = read_ogg_opus(BULLETIN.read_bytes()).packets
    programme = await stage.api.upload("Sáu giây", six_seconds)
    async with (
        Attacker(("127.0.0.1", stage.media_port), sounds, seed=20) as attacker,
        Listener(tmp_path / "member", {}) as member,
    ):
        attacked = SpeakerPlan(ATTACKED, 1, -700, -60, media=attacker.address)
        await asyncio.gather(stage.add_speaker(HONEST), stage.add_speaker(attacked))
        await wait_for_clocks(stage)
        await member.enrol(stage.url, await stage.api.enrolment_code(stage.communes[1], "Máy của kẻ gian"))
        await member.connect(stage.url)
        elsewhere, attacker.foreign = await orders_of_another_area(stage, programme["id"])
        before = await metrics_when(stage, lambda counted: counted["loa_media_channels_bound"] == 3)

        attacker.attack(member)
        broadcast = await stage.api.start(programme["id"], areas=[stage.city])
        receipts = await asyncio.wait_for(all_finished(stage, broadcast, 2), 60)

        shown = await shown_when(stage, ATTACKED, lambda status: bool(status["played"] == programme["frames"]))
        injected = sum(attacker.sent[kind] for kind in MEDIA_KINDS)

        # A genuine order still does what it says, though its name was used by a forger before.
        second = await stage.api.start(programme["id"], areas=[stage.city])
        await both_started(stage, second)
        await stage.api.call("POST", f"/api/v1/broadcasts/{second['id']}/stop")
        stopped = await asyncio.wait_for(all_finished(stage, second, 2), 30)
        after = await metrics_when(
            stage, lambda counted: counted["loa_media_frames_sent_total"] > programme["frames"]
        )

    # The attack was made, wholly.
    assert {kind: attacker.sent[kind] for kind in (*MEDIA_KINDS, *OTHER_KINDS) if not attacker.sent[kind]} == {}
    assert [port.unsent for port in (attacker.front, attacker.back, attacker.thief)] == [0, 0, 0]

    # The voice was heard, by both, wholly and at its time.
    for row in receipts:
        assert (row["state"], row["result"]) == ("finished", "end"), row
        assert (row["played"], row["concealed"], row["unsigned"]) == (programme["frames"], 0, 0), row
    ref = await reference(stage.api, broadcast)
    for plan in (HONEST, attacked):
        recording = await Recording.load(stage.wav_folder(plan.name), broadcast["id"])
        check = await asyncio.to_thread(judge, ref, plan, recording)
        assert check.faults == [], plan.name
        assert check.exempt == [], plan.name
    assert [row["result"] for row in stopped] == ["stopped", "stopped"]

    # No stream moved, and nobody was sent more than he had sent.
    assert attacker.moved == []
    assert [channel_wire.parse(data).type for data in attacker.challenged] == [Type.CHALLENGE]
    assert sum(map(len, attacker.challenged)) < attacker.racer.sent_bytes
    assert after["loa_media_bindings_total"] == before["loa_media_bindings_total"]

    # Whom a broadcast does not mean leaves nothing in its receipts, and what was dropped was counted.
    assert await stage.api.items(f"/api/v1/broadcasts/{elsewhere['id']}/receipts") == []
    grown = {name: after[name] - value for name, value in before.items()}
    for name in ("mac", "replay", "malformed", "unknown", "foreign"):
        assert grown[f"loa_media_dropped_{name}_total"] > 0, name
    assert grown["loa_media_repair_misses_total"] > 0
    assert shown["status"]["dropped"] >= injected
