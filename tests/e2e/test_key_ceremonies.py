"""Keys are changed while a core speaks and a speaker listens: the voice goes on, and old keys are of no use."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import secrets
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loa.app.api_client import ApiClient, Json
from loa.app.demo.run import wait_for_clocks
from loa.app.demo.stage import Process, SpeakerPlan, Stage
from loa.app.demo.verdict import Recording, judge, reference
from loa.codecs import channel_wire, human_text, signed
from loa.codecs.enrolment_wire import from_base64
from loa.codecs.order_wire import Bundle, Order, Stop, seal_order
from loa.codecs.signed import Kind, SigningKey
from loa.model import parse_id
from tests.e2e.attacker import Address, Port
from tests.e2e.conftest import BULLETIN
from tests.e2e.shell import loa, logged, until_logged
from tests.e2e.test_one_voice import all_finished

NAME = "Cụm loa nghi thức"


class Line:
    """A speaker's way to the core, on which somebody can send a datagram to the speaker as if from the core."""

    def __init__(self, core: Address) -> None:
        self._core = core
        self._speaker: Address | None = None
        self._near, self._far = Port(self._up), Port(self._down)

    @property
    def address(self) -> str:
        host, port = self._near.address
        return f"{host}:{port}"

    def _up(self, data: bytes, address: Address) -> None:
        self._speaker = address
        self._far.send(data, self._core)

    def _down(self, data: bytes, _address: Address) -> None:
        if self._speaker is not None:
            self._near.send(data, self._speaker)

    def stop_everything(self, key: SigningKey, area: str) -> bytes:
        """Send an order that this key has signed: to stop a broadcast that there is not. Its order id."""
        now_ms = time.time_ns() // 1_000_000
        stop = Stop(secrets.token_bytes(16), 0, 0)
        order = Order(now_ms * 1000, now_ms, now_ms + 60_000, (parse_id(area),), (), stop)
        bundle = Bundle(signed.parse(seal_order(order, key), Kind.ORDER)).encode()
        assert self._speaker is not None
        self._near.send(channel_wire.encode_order(bundle), self._speaker)
        return key.key_id + order.seq.to_bytes(8, "big")

    def close(self) -> None:
        self._near.close()
        self._far.close()


class City:
    """A stage whose core has its keys in `data`, and a root that is kept in `offline`."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(folder / "stage")
        self.data = folder / "stage" / "core"
        self.offline = folder / "offline"
        self.stick = folder / "stick"
        self.stick.mkdir()

    async def exchange(self, *asked: str) -> None:
        """Request, sign and install, as in docs/keys.md."""
        request, grant = self.stick / "request", self.stick / "grant"
        await loa("keys", "request", "--out", request, "--data-dir", self.data, *asked)
        fingerprint = human_text.fingerprint(request.read_bytes())
        await loa("keys", "sign", request, "--root", self.offline, "--out", grant, "--fingerprint", fingerprint)
        await self.install(grant)

    async def install(self, grant: Path) -> None:
        root = human_text.fingerprint((self.offline / "root.pub").read_bytes())
        await loa("keys", "install", grant, "--data-dir", self.data, "--root-fingerprint", root)

    async def shown(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(await loa("keys", "show", "--json", "--data-dir", self.data))
        return values

    def order_key(self) -> SigningKey:
        """As somebody has it who copied it from the core."""
        return SigningKey((self.data / "keys" / "order.key").read_bytes())

    def speaker(self, name: str = NAME) -> Process:
        return self.stage.speakers[name]

    async def has_list(self, version: int) -> None:
        """The speaker has written this key list down."""
        log = self.speaker().log
        await until_logged(log, lambda event: event["event"] == "key list" and event["version"] >= version)

    async def signers(self, broadcast: Json) -> list[bytes]:
        """Who signed the orders of a broadcast."""
        said = await self.stage.api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}/orders")
        return [Bundle.decode(from_base64(item["bundle"])).envelope.signer for item in said["items"]]


async def _started(stage: Stage, broadcast: Json) -> None:
    path = f"/api/v1/broadcasts/{broadcast['id']}/receipts"
    async with asyncio.timeout(30):
        while True:
            if any(row["started_at"] for row in await stage.api.items(path)):
                return
            await asyncio.sleep(0.05)


def _answered(order_id: bytes) -> Any:
    return lambda event: event["event"] == "stop" and event["order"] == order_id.hex()


@pytest.mark.timeout(180)
async def test_keys_are_rotated_and_revoked_while_the_voice_is_on_air(tmp_path: Path) -> None:
    city = City(tmp_path)
    stage = city.stage
    await loa("keys", "create-root", city.offline)
    async with stage:
        await city.exchange()
        await stage.open_core()
        await stage.build_areas("Hải Phòng", [("Cát Hải", ["Phù Long"])])
        line = Line(("127.0.0.1", stage.media_port))
        plan = SpeakerPlan(NAME, 0, 1200, 45, media=line.address)
        await stage.add_speaker(plan)
        programme = await stage.api.upload("Bản tin", BULLETIN)
        await wait_for_clocks(stage)
        first = city.order_key()
        heard = line.stop_everything(first, stage.city)
        await until_logged(city.speaker().log, _answered(heard))

        broadcast = await stage.api.start(programme["id"], areas=[stage.city])
        await _started(stage, broadcast)
        await loa("keys", "rotate", "--root", city.offline, "--data-dir", city.data)
        assert stage.core is not None
        os.kill(stage.core.pid, signal.SIGHUP)
        second = city.order_key()
        assert second.seed != first.seed
        await city.has_list(2)
        await until_logged(city.speaker().log, _answered(line.stop_everything(first, stage.city)))

        await loa("keys", "revoke", first.key_id.hex(), "--root", city.offline, "--data-dir", city.data)
        os.kill(stage.core.pid, signal.SIGHUP)
        await city.has_list(3)
        refused = line.stop_everything(first, stage.city)
        event = await until_logged(city.speaker().log, lambda event: event["event"] == "order refused")
        assert (event["reason"], event["detail"]) == ("key_revoked", first.key_id.hex())
        accepted = line.stop_everything(second, stage.city)
        await until_logged(city.speaker().log, _answered(accepted))
        assert not any(_answered(refused)(event) for event in logged(city.speaker().log))
        assert (await stage.api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}"))["state"] == "on_air"

        # What was on air through all of it was heard whole, under the order of the old key and of the new.
        rows = await asyncio.wait_for(all_finished(stage, broadcast, 2), 60)
        assert [row["result"] for row in rows] == ["end", "end"], rows
        assert {row["played"] for row in rows} == {programme["frames"]}
        assert await city.signers(broadcast) == [first.key_id, second.key_id]
        recording = await Recording.load(stage.wav_folder(NAME), broadcast["id"])
        check = await asyncio.to_thread(judge, await reference(stage.api, broadcast), plan, recording)
        assert check.faults == []

        # And by exchange: renewed, with the root on another machine all the time.
        await city.exchange("--renew")
        await city.has_list(4)
        again = await stage.api.start(programme["id"], areas=[stage.city])
        await _started(stage, again)
        await stage.api.call("POST", f"/api/v1/broadcasts/{again['id']}/stop")
        assert set(await city.signers(again)) == {second.key_id}
        (row,) = await asyncio.wait_for(all_finished(stage, again, 1), 30)
        assert row["result"] == "stopped"
        values = await city.shown()
        assert (values["version"], values["revoked"]) == (4, [first.key_id.hex()])
        assert not (city.data / "keys" / "root.key").exists()
        line.close()


async def _status_of(url: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{url}/api/v1/endpoints") as answer:
        return answer.status


async def _plays(stage: Stage, api: ApiClient, programme: str, name: str) -> None:
    """The speaker of this name hears a broadcast begin."""
    broadcast = await api.start(programme, areas=[stage.city])
    path = f"/api/v1/broadcasts/{broadcast['id']}/receipts"
    async with asyncio.timeout(30):
        while True:
            rows = {row["id"]: row["name"] for row in await api.items("/api/v1/endpoints")}
            started = [rows[row["endpoint_id"]] for row in await api.items(path) if row["started_at"]]
            if name in started:
                break
            await asyncio.sleep(0.1)
    await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")


async def _linked(api: ApiClient, name: str) -> None:
    async with asyncio.timeout(60):
        while True:
            rows = await api.items("/api/v1/endpoints")
            good = [row for row in rows if row["name"] == name and row["linked"] and row["media_bound"]]
            if any(row["status"] and row["status"]["clock_error_ms"] is not None for row in good):
                return
            await asyncio.sleep(0.2)


@pytest.mark.timeout(180)
async def test_after_a_compromise_and_a_lost_root_the_city_speaks_again(tmp_path: Path) -> None:
    city = City(tmp_path)
    stage = city.stage
    await loa("keys", "create-root", city.offline)
    async with stage:
        await city.exchange()
        await stage.open_core()
        await stage.build_areas("Hải Phòng", [("Kiến An", ["Phù Liễn"])])
        line = Line(("127.0.0.1", stage.media_port))
        await stage.add_speaker(SpeakerPlan(NAME, 0, -600, -40, media=line.address))
        programme = (await stage.api.upload("Bản tin", BULLETIN))["id"]
        await wait_for_clocks(stage)
        stolen, stolen_token = city.order_key(), (city.data / "admin.token").read_text().strip()
        await until_logged(city.speaker().log, _answered(line.stop_everything(stolen, stage.city)))

        # The core is compromised.
        assert stage.core is not None
        await stage.core.stop()
        said = await loa("keys", "core-compromised", "--root", city.offline, "--yes", "--data-dir", city.data)
        assert "1 tokens revoked" in said
        await stage.open_core()
        assert await _status_of(stage.url, stolen_token) == 401
        async with ApiClient(stage.url, (city.data / "admin.token").read_text().strip()) as api:
            await _linked(api, NAME)
            await _plays(stage, api, programme, NAME)
            line.stop_everything(stolen, stage.city)
            event = await until_logged(city.speaker().log, lambda event: event["event"] == "order refused")
            assert event["reason"] == "key_revoked"

            # The root is lost.
            await stage.core.stop()
            sheet = city.stick / "codes.csv"
            await loa("keys", "replace-root", "--codes", sheet, "--yes", "--data-dir", city.data)
            await stage.open_core()
            await until_logged(
                city.speaker().log,
                lambda event: event["event"] == "link closed" and event["reason"] == "revoked",
            )
            with sheet.open(encoding="utf-8-sig", newline="") as opened:
                (row,) = csv.DictReader(opened)
            assert row["name"] == NAME
            await city.speaker().stop()
            stage.speakers[NAME] = await Process.start(
                "enrolled-again",
                [
                    "speaker",
                    f"--core={stage.url}",
                    f"--state={tmp_path / 'emptied'}",
                    f"--code={row['code']}",
                    f"--output=wav:{tmp_path / 'wav'}",
                ],
                stage.folder,
            )
            await _linked(api, NAME)
            await _plays(stage, api, programme, NAME)

            # A device is stolen.
            rows = await api.items("/api/v1/endpoints")
            (mine,) = [each["id"] for each in rows if each["linked"]]
            token_file = ("--token-file", city.data / "admin.token")
            assert NAME in await loa("revoke-device", mine, "--core", stage.url, *token_file)
            event = await until_logged(city.speaker().log, lambda event: event["event"] == "link closed")
            assert (event["reason"], event["by_server"]) == ("revoked", True)
            shown = await api.call("GET", f"/api/v1/endpoints/{mine}")
            assert shown["revoked_at"] is not None
            assert shown["linked"] is False
        line.close()
