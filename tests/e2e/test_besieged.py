"""A core besieged from inside and outside while it is on air: whoever behaves hears every frame, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from loa.app.api_client import Json
from loa.app.demo.stage import Stage
from loa.codecs.link_media import DoorMessage
from tests import sounds
from tests.e2e.besieger import Besieger
from tests.e2e.conftest import bulletin
from tests.e2e.listener import Listener
from tests.e2e.test_attack_on_air import metrics

HONEST = 4
GONE = 6
SECONDS = 7


class Crowd:
    """Members of one area, by name."""

    def __init__(self, stage: Stage, stack: AsyncExitStack) -> None:
        self._stage = stage
        self._stack = stack

    async def enrolled(self, name: str) -> Listener:
        """One more, that has not come yet."""
        made = await self._stack.enter_async_context(Listener(self._stage.folder / name, {}))
        await made.enrol(self._stage.url, await self._stage.api.enrolment_code(self._stage.communes[0], name))
        return made

    async def member(self, name: str) -> Listener:
        """One more, whose address is bound."""
        made = await self.enrolled(name)
        await made.connect(self._stage.url)
        return made


async def short_programme(stage: Stage, folder: Path) -> Json:
    path = folder / "short.wav"
    path.write_bytes(sounds.wav(np.asarray(bulletin()[: SECONDS * 48_000])))
    return await stage.api.upload("Bảy giây", path)


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_who_behaves_hears_every_frame_of_a_core_that_is_besieged(stage: Stage, tmp_path: Path) -> None:
    programme = await short_programme(stage, tmp_path)
    async with AsyncExitStack() as stack:
        crowd = Crowd(stage, stack)
        names = [f"honest {n}" for n in range(HONEST)] + [f"gone {n}" for n in range(GONE)]
        names += ["inside", "outside", "link", "flapping", "silent", "revoked", "revoked by link"]
        members = dict(zip(names, await asyncio.gather(*map(crowd.member, names)), strict=True))
        # From the siege's own address the API answers nobody who is not known.
        newcomer = await crowd.enrolled("newcomer")
        revoked = [members["revoked"], members["revoked by link"]]
        await revoked[1].say(DoorMessage(True))

        besieger = Besieger(stage.url, seed=4)
        broadcast = await stage.api.start(programme["id"], areas=[stage.city])
        honest = [members[name] for name in names[:HONEST]]
        await asyncio.gather(*(tuned(each) for each in honest))
        ssrc = honest[0].tunes[0].ssrc
        silent = await stage.api.items("/api/v1/endpoints")
        ids = {row["name"]: row["id"] for row in silent}
        works = [
            besieger.flood_from_inside(members["inside"], ssrc),
            besieger.flood_from_outside(members["outside"]),
            besieger.flood_by_link(members["link"]),
            besieger.flap(members["flapping"]),
            besieger.stall(bytes.fromhex(ids["silent"].replace("-", ""))),
            besieger.listen_greedily(broadcast["id"], stage.http_port),
        ]
        siege = [asyncio.create_task(work) for work in works]
        try:
            for name in names[HONEST : HONEST + GONE]:
                members[name].vanish()
            await asyncio.sleep(1)
            for name, each in (("revoked", revoked[0]), ("revoked by link", revoked[1])):
                await stage.api.call("POST", f"/api/v1/endpoints/{ids[name]}/revoke")
                await each.until_refused()
            heard = [len(each.raw) for each in revoked]
            # It is ordered to play by link, however many of its datagrams the flood pushes out.
            coming = asyncio.create_task(newcomer.connect(stage.url))
            await tuned(newcomer)
            async with asyncio.timeout(30):
                await asyncio.gather(*(complete(each, programme) for each in honest))
            counted = await metrics(stage)
            failed = [task.exception() for task in siege if task.done()]
        finally:
            for task in siege:
                task.cancel()
            await asyncio.gather(*siege, return_exceptions=True)
        await coming

    assert failed == []
    assert {name for name, count in besieger.done.items() if count} == {
        "flood from inside",
        "flood from outside",
        "flood by link",
        "doors",
        "links anew",
        "stalled hellos",
        "greedy listeners",
    }
    for each in honest:
        assert Counter(each.streams[ssrc].indices) == Counter(range(each.tunes[0].index0, end(each))), "each once"
    # One frame may have been on its way.
    assert [len(each.raw) - before <= 1 for each, before in zip(revoked, heard, strict=True)] == [True, True]
    assert counted["loa_core_media_restarts_total"] == 0
    log = (tmp_path / "core.log").read_text(encoding="utf-8").splitlines()
    assert any("far too many datagrams" in line and '"inside"' in line for line in log)
    for name in ("media_dropped_limited", "media_dropped_mac", "hub_messages_held", "hub_refused_timeout"):
        assert counted[f"loa_{name}_total"] > 0, name


def end(listener: Listener) -> int:
    last = listener.tunes[0].end_index
    assert last is not None
    return last


async def tuned(listener: Listener) -> None:
    await listener.until(lambda: bool(listener.tunes))


async def complete(listener: Listener, programme: Json) -> None:
    stream = listener.streams[listener.tunes[0].ssrc]
    await listener.until(lambda: len(stream.payloads) == programme["frames"])
