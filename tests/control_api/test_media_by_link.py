"""Sound over the link from a real core: whole, by the same key, and only to who has asked for it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from loa.app.api_client import ApiClient, Json
from loa.app.core import Core
from loa.broadcast.air.running import Running
from loa.broadcast.air.session import DOOR_CHANGES_NS
from loa.codecs import key_schedule
from loa.codecs.order_wire import Bundle, Order, Tune
from loa.codecs.rtp import nearest_index
from loa.codecs.srtp import SrtpContext
from loa.edge.speaker.link_session import Closed, MediaArrived, OrderArrived, SecretReceived, TimeTold
from tests.control_api.devices import Device, greeted, linked
from tests.sounds import siren, wav

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def programme(api: ApiClient, folder: Path) -> str:
    sound = folder / "siren.wav"
    sound.write_bytes(wav(siren(1.0)))
    return str((await api.upload("Một giây", sound))["id"])


def on_air(core: Core, broadcast: Json) -> Running | None:
    return core._director.running(bytes.fromhex(broadcast["id"].replace("-", "")))


async def door(core: Core, device: Device, *, by_link: bool) -> None:
    """Ask for a door, and wait until it is open: questions are answered in order."""
    device.session.send_door(by_link)
    device.session.send_probe(1)
    await device.send()
    await device.until(TimeTold)


async def test_the_time_is_told_by_link(core: Core, api: ApiClient, tmp_path: Path) -> None:
    area = await api.create_area("Xã Hiền Hào", "commune")
    async with linked(api, tmp_path / "device", area) as device:
        before_ns = time.monotonic_ns()
        device.session.send_probe(before_ns)
        await device.send()
        told = await device.until(TimeTold)
        assert isinstance(told, TimeTold)
        assert told.reply.t1_ns == before_ns
        assert before_ns <= told.reply.t2_ns <= told.reply.t3_ns <= time.monotonic_ns()


async def test_every_frame_and_block_comes_by_link_in_order(core: Core, api: ApiClient, tmp_path: Path) -> None:
    area = await api.create_area("Xã Trân Châu", "commune")
    async with greeted(api, tmp_path / "device", area) as device:
        await device.send()
        secret = await device.until(SecretReceived)
        assert isinstance(secret, SecretReceived)
        await door(core, device, by_link=True)
        started = await api.start(await programme(api, tmp_path), areas=[area])
        ordered = await device.until(OrderArrived)
        assert isinstance(ordered, OrderArrived)
        tune = Order.decode(Bundle.decode(ordered.bundle).envelope.body).action
        assert isinstance(tune, Tune)
        assert tune.end_index is not None
        media = key_schedule.media_key(secret.secret, tune.epoch, tune.broadcast_id, tune.generation)
        srtp = SrtpContext(media.key, media.salt)
        came: dict[int, list[int]] = {tune.ssrc: [], tune.block_ssrc: []}
        blocks = -(-(tune.end_index - tune.index0) // tune.block_frames)
        while len(came[tune.ssrc]) < tune.end_index - tune.index0 or len(came[tune.block_ssrc]) < blocks:
            arrived = await device.until(MediaArrived)
            assert isinstance(arrived, MediaArrived)
            for packet in arrived.packets:
                ssrc = int.from_bytes(packet[8:12], "big")
                first = tune.index0 if ssrc == tune.ssrc else 0
                index = nearest_index(int.from_bytes(packet[2:4], "big"), first + len(came[ssrc]))
                srtp.unprotect(packet, index)
                came[ssrc].append(index)
        assert came[tune.ssrc] == list(range(tune.index0, tune.end_index))
        assert came[tune.block_ssrc] == list(range(blocks))
        assert core._hub.counters["link_frames_dropped"] == 0
        if (running := on_air(core, started)) is not None:
            await running.ended.wait()


async def test_one_that_came_in_the_middle_and_went_back_gets_no_more(
    core: Core, api: ApiClient, tmp_path: Path
) -> None:
    area = await api.create_area("Xã Gia Luận", "commune")
    async with linked(api, tmp_path / "device", area) as device:
        broadcast = await api.start(await programme(api, tmp_path), areas=[area])
        running = on_air(core, broadcast)
        assert running is not None
        [shown] = (await api.call("GET", f"/api/v1/endpoints?area_id={area}"))["items"]
        assert (shown["media_bound"], shown["door"]) == (False, None)
        await door(core, device, by_link=True)
        [shown] = (await api.call("GET", f"/api/v1/endpoints?area_id={area}"))["items"]
        assert (shown["media_bound"], shown["door"]) == (True, "link")
        await device.until(MediaArrived)
        assert len(running.audience.by_link) == 1
        (session,) = running.audience.by_link
        session.door_ns -= DOOR_CHANGES_NS
        await door(core, device, by_link=False)
        assert len(running.audience.by_link) == 0
        assert session.channel_id in running.audience.by_unicast
        await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")


async def test_one_that_is_gone_is_sent_nothing(core: Core, api: ApiClient, tmp_path: Path) -> None:
    area = await api.create_area("Xã Xuân Đám", "commune")
    async with linked(api, tmp_path / "device", area) as device:
        await door(core, device, by_link=True)
        broadcast = await api.start(await programme(api, tmp_path), areas=[area])
        await device.until(MediaArrived)
    running = on_air(core, broadcast)
    while running is not None and running.audience.by_link:  # noqa: ASYNC110 - its going has no event of its own
        await asyncio.sleep(0.01)
    await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")


async def test_doors_that_open_and_shut_all_the_time_end_the_link(
    core: Core, api: ApiClient, tmp_path: Path
) -> None:
    area = await api.create_area("Xã Phù Long", "commune")
    async with linked(api, tmp_path / "device", area) as device:
        for by_link in (True, True, False):
            device.session.send_door(by_link)
        await device.send()
        closed = await device.until(Closed)
        assert isinstance(closed, Closed)
        assert closed.reason == "malformed"
