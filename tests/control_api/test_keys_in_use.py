"""A running core takes up what a ceremony changes in its folder of keys, and devices follow it without a break."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from loa import config as settings
from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.broadcast.orders.keyring import KeyRing
from loa.codecs.order_wire import Bundle, Order, Tune
from loa.edge.speaker.link_session import (
    Event,
    KeyListChanged,
    OrderArrived,
    PlacementChanged,
    SecretReceived,
)
from loa.edge.speaker.order_gate import Accepted, Refusal
from loa.errors import ConfigError
from tests.control_api.conftest import MovableClock
from tests.control_api.devices import greeted, linked
from tests.sounds import siren, wav

pytestmark = pytest.mark.asyncio(loop_scope="module")


def keys_of(core: Core) -> KeyRing:
    return KeyRing.open(core.config.data_dir / "keys", int(time.time()), create=False)


async def test_a_rotation_reaches_a_linked_device_and_the_next_order_is_of_the_new_key(
    core: Core, api: ApiClient, tmp_path: Path
) -> None:
    area = await api.create_area("Xã Gia Luận", "commune")
    sound = tmp_path / "siren.wav"
    sound.write_bytes(wav(siren(1.0)))
    programme = await api.upload("Một giây", sound)
    async with linked(api, tmp_path / "device", area) as device:
        ring = keys_of(core)
        ring.rotate(int(time.time()))
        core.look_at_keys()
        await device.until(KeyListChanged)
        assert device.identity.authority.key_list == ring.key_list
        await api.start(programme["id"], areas=[area])
        order = await device.until(OrderArrived)
        assert isinstance(order, OrderArrived)
        assert Bundle.decode(order.bundle).envelope.signer == ring.order_key.key_id
        assert isinstance(device.judge(order.bundle), Accepted)


async def test_a_revocation_brings_the_list_a_new_secret_and_the_order_on_air_anew(
    core: Core, api: ApiClient, tmp_path: Path
) -> None:
    area = await api.create_area("Xã Hiền Hào", "commune")
    sound = tmp_path / "siren.wav"
    sound.write_bytes(wav(siren(8.0)))
    programme = await api.upload("Tám giây", sound)
    async with linked(api, tmp_path / "device", area) as device:
        broadcast = await api.start(programme["id"], areas=[area])
        before = await device.until(OrderArrived)
        ring = keys_of(core)
        revoked = ring.order_key.key_id
        ring.revoke(revoked, int(time.time()))
        core.look_at_keys()
        await device.until(KeyListChanged)
        secret = await device.until(SecretReceived)
        after = await device.until(OrderArrived)
        assert isinstance(before, OrderArrived)
        assert isinstance(secret, SecretReceived)
        assert isinstance(after, OrderArrived)
        assert secret.serial > 1
        old, new = (Order.decode(Bundle.decode(each.bundle).envelope.body).action for each in (before, after))
        assert isinstance(new, Tune)
        assert old == new, "the same generation: the sound goes on as it is"
        refused = device.judge(before.bundle)
        assert isinstance(refused, Refusal)
        assert refused.reason == "key_revoked"
        assert isinstance(device.judge(after.bundle), Accepted)

        async with linked(api, tmp_path / "late", area) as late:
            order = await late.until(OrderArrived)
            assert isinstance(order, OrderArrived)
            assert isinstance(late.judge(order.bundle), Accepted), "who comes later can obey it"
        shown = await api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}")
        assert shown["state"] == "on_air"
        await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")


async def test_a_link_that_was_being_made_is_told_of_the_change_too(
    core: Core, api: ApiClient, tmp_path: Path
) -> None:
    area = await api.create_area("Xã Trân Châu", "commune")
    async with greeted(api, tmp_path / "device", area) as device, linked(api, tmp_path / "other", area) as other:
        ring = keys_of(core)
        ring.rotate(int(time.time()))
        core.look_at_keys()
        await other.until(KeyListChanged)
        await device.send()
        seen: list[Event] = []
        while not any(isinstance(event, SecretReceived) for event in seen):
            seen += await device.events()
        assert [type(event) for event in seen] == [KeyListChanged, PlacementChanged, SecretReceived]
        assert device.identity.authority.key_list == ring.key_list
        assert device.session.refused_statements == 0


async def test_a_core_whose_folder_was_spoilt_goes_on_with_its_keys(
    core: Core, api: ApiClient, tmp_path: Path
) -> None:
    area = await api.create_area("Xã Việt Hải", "commune")
    path = core.config.data_dir / "keys" / "key_list"
    good = path.read_bytes()
    path.with_name("spoilt").write_bytes(b"x" * 100)
    path.with_name("spoilt").replace(path)
    core.look_at_keys()
    async with linked(api, tmp_path / "device", area) as device:
        assert device.session.up
    path.with_name("good").write_bytes(good)
    path.with_name("good").replace(path)


async def test_a_second_core_does_not_start_on_the_same_folder(core: Core) -> None:
    config = settings.load(data_dir=core.config.data_dir, http_port=0, media_port=0)
    with pytest.raises(ConfigError, match="another core runs"):
        async with Core(config, MovableClock()):
            pass


async def test_a_change_is_noticed_without_a_signal(
    core: Core, api: ApiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loa.app.key_keeper.WATCH_S", 0.05)
    core.look_at_keys()
    area = await api.create_area("Xã Xuân Đám", "commune")
    async with linked(api, tmp_path / "device", area) as device:
        await asyncio.to_thread(keys_of(core).rotate, int(time.time()))
        await device.until(KeyListChanged)
        assert device.identity.authority.key_list == keys_of(core).key_list
