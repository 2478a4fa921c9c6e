"""On air through faults: a store that fails, a media process that dies, stops and starts that cross."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loa import config as settings
from loa.app.api_client import ApiClient, ApiError, Json
from loa.app.core import Core
from loa.broadcast.air.media_port import Audience, Command, Frames, SendOrder, StartAir
from loa.broadcast.journal.act import system
from loa.errors import LoaError, StoreError
from loa.model import parse_id
from tests import sounds
from tests.broadcast.air.sessions import session

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def programme(api: ApiClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("sound") / "siren.wav"
    file.write_bytes(sounds.wav(sounds.siren(8.0)))
    return str((await api.upload("Còi thử", file))["id"])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def area(api: ApiClient) -> str:
    return await api.create_area("Phường Lê Chân", "commune")


class HeldBook:
    """The order book, whose next order waits until it is let go, or fails. `written`: it is durable meanwhile."""

    def __init__(
        self, core: Core, monkeypatch: pytest.MonkeyPatch, error: LoaError | None = None, *, written: bool = False
    ) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        book = core._director._book
        issue = book.issue

        async def held(*arguments: Any, **named: Any) -> Any:
            issued = await issue(*arguments, **named) if written else None
            self.reached.set()
            await self.go.wait()
            if error is not None:
                raise error
            return issued or await issue(*arguments, **named)

        monkeypatch.setattr(book, "issue", held)


async def state(api: ApiClient, broadcast: Json) -> Json:
    return await api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}")


async def newest(api: ApiClient) -> Json:
    return (await api.items("/api/v1/broadcasts"))[-1]


async def test_a_stop_silences_though_the_store_fails(
    core: Core, api: ApiClient, programme: str, area: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broadcast = await api.start(programme, areas=[area])
    with monkeypatch.context() as patch:
        HeldBook(core, patch, StoreError("database is locked [SQL: BEGIN]")).go.set()
        with pytest.raises(ApiError) as caught:
            await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
    assert caught.value.status == 503
    assert "SQL" not in caught.value.detail
    assert core._director.on_air() == ()
    ended = await state(api, broadcast)
    assert (ended["state"], ended["reason"]) == ("stopped", "stopped")


async def test_stops_at_once_make_one_order(api: ApiClient, programme: str, area: str) -> None:
    broadcast = await api.start(programme, areas=[area])
    said = await asyncio.gather(*(api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop") for _ in range(5)))
    assert {each["state"] for each in said} == {"stopped"}
    orders = (await api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}/orders"))["items"]
    assert [order["action"] for order in orders] == ["tune", "stop"]
    assert said[0]["frames_aired"] == (await state(api, broadcast))["frames_aired"]


async def test_an_alert_pre_empts_a_bulletin_until_it_is_stopped(
    core: Core, api: ApiClient, programme: str, area: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, come_later, elsewhere = (session(number, parse_id(area)) for number in range(3))
    elsewhere.place = (bytes(16),)
    linked = [here, elsewhere]
    monkeypatch.setattr(core._hub, "sessions", lambda: linked)
    bulletin = await api.start(programme, areas=[area])
    on_air = core._director.running(parse_id(bulletin["id"]))
    assert on_air is not None
    assert [each in on_air.audience for each in (here, elsewhere)] == [True, False]
    alert = await api.start(programme, areas=[area], priority=127)
    linked.append(come_later)
    await core._director.joined(come_later)
    # It has both orders, so that it can rejoin, and the sound of the alert alone.
    assert len(come_later.transport.sent) == 2  # type: ignore[attr-defined]
    assert come_later not in on_air.audience
    (interval,) = (await state(api, bulletin))["pre_empted"]
    assert (interval["to_at"], interval["endpoints"]) == (None, 2)
    linked.remove(here)
    core._director.left(here)
    await api.call("POST", f"/api/v1/broadcasts/{alert['id']}/stop")
    assert [each in on_air.audience for each in (here, come_later)] == [False, True]
    (interval,) = (await state(api, bulletin))["pre_empted"]
    assert interval["from_at"] < interval["to_at"]
    # What begins while something goes before it is pre-empted from its first frame on.
    low = await api.start(programme, areas=[area], priority=1)
    assert [(each["to_at"], each["endpoints"]) for each in low["pre_empted"]] == [(None, 1)]
    for broadcast in (bulletin, low):
        stopped = await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
        assert [each["to_at"] is None for each in stopped["pre_empted"]] == [False]
    core._director.left(come_later)


async def test_the_sound_is_handed_over_before_the_orders(
    core: Core, api: ApiClient, programme: str, area: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = [session(number, parse_id(area)) for number in range(3)]
    monkeypatch.setattr(core._hub, "sessions", lambda: linked)
    media = core._director._media
    assert media is not None
    told: list[Command] = []
    monkeypatch.setattr(media, "send", told.append)
    await api.start(programme, areas=[area])
    kinds = [type(each) for each in told]
    assert kinds == [StartAir, Audience, *[Frames] * kinds.count(Frames), SendOrder]
    assert Frames in kinds
    channels = {each.channel_id for each in linked}
    assert [set(each.joined) for each in told if isinstance(each, Audience)] == [channels]
    assert [set(each.channels) for each in told if isinstance(each, SendOrder)] == [channels]
    monkeypatch.undo()
    for each in linked:
        core._director.left(each)
    for broadcast in core._director.on_air():
        await core._director.stop(broadcast.broadcast.id, system(0))


async def test_a_stop_before_it_began_keeps_it_off_air(
    core: Core, api: ApiClient, programme: str, area: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldBook(core, monkeypatch, written=True)
    starting = asyncio.create_task(api.start(programme, areas=[area]))
    await held.reached.wait()
    broadcast = await newest(api)
    await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
    held.go.set()
    assert (await starting)["state"] == "stopped"
    assert core._director.on_air() == ()


@pytest.mark.parametrize("written", [False, True])
async def test_a_start_that_cannot_be_written_down_is_not_on_air(
    core: Core, api: ApiClient, programme: str, area: str, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    before = await api.items("/api/v1/broadcasts")
    failed = core._director.counters["broadcasts_not_started"]
    # It is written down, too, when the answer of the database was lost.
    HeldBook(core, monkeypatch, StoreError("the disk is full"), written=written).go.set()
    with pytest.raises(ApiError) as caught:
        await api.start(programme, areas=[area])
    assert caught.value.status == 503
    await core._director.chronicle.scribe.settled()
    new = [each for each in await api.items("/api/v1/broadcasts") if each not in before]
    ended = [("failed", "not_started", 0)] if written else []
    assert [(each["state"], each["reason"], each["frames_aired"]) for each in new] == ended
    assert core._director.counters["broadcasts_not_started"] == failed + 1
    assert core._director.on_air() == ()


async def test_a_store_that_is_slow_at_the_start_costs_no_word(
    core: Core, api: ApiClient, programme: str, area: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = core._director._book
    issue, calls = book.issue, []

    async def slow_once(*arguments: Any, **named: Any) -> Any:
        issued = await issue(*arguments, **named)
        calls.append(arguments[0])
        if len(calls) == 1:
            monkeypatch.setattr(core._clock, "monotonic_ns", lambda later=core._clock.monotonic_ns: later() + 10**9)
        return issued

    with monkeypatch.context() as patch:
        patch.setattr(book, "issue", slow_once)
        broadcast = await api.start(programme, areas=[area])
    monkeypatch.undo()
    assert broadcast["generation"] == 2
    assert [call.generation for call in calls] == [1, 2]
    assert calls[0].ssrc != calls[1].ssrc
    await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")


def media_pid() -> int:
    """The process id of this process's media process."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"media_process" in (entry / "cmdline").read_bytes():
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError("there is no media process")


async def ready(api: ApiClient) -> bool:
    try:
        await api.call("GET", "/readyz")
    except ApiError as error:
        return error.status == 200  # "ready" is no JSON
    return True


async def test_a_media_process_that_dies_is_replaced_and_its_broadcast_told_failed(
    core: Core, api: ApiClient, programme: str, area: str
) -> None:
    for _ in range(2):
        broadcast = await api.start(programme, areas=[area])
        running = core._director.on_air()[0]
        os.kill(media_pid(), signal.SIGKILL)
        async with asyncio.timeout(20):
            await running.ended.wait()
            await core._media_ready.wait()
        told = await state(api, broadcast)
        assert (told["state"], told["reason"]) == ("failed", "media_process_ended")
        assert await ready(api)
    again = await api.start(programme, areas=[area])
    assert again["state"] == "on_air"
    await api.call("POST", f"/api/v1/broadcasts/{again['id']}/stop")


@pytest_asyncio.fixture(loop_scope="module")
async def another(tmp_path: Path) -> AsyncIterator[Core]:
    async with Core(settings.load(data_dir=tmp_path / "other", http_port=0)) as running:
        yield running


async def test_nothing_starts_while_the_core_goes_down(
    another: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tone.wav"
    file.write_bytes(sounds.wav(sounds.tone(1.0)))
    token = another.admin_token_file.read_text().strip()
    async with ApiClient(f"http://127.0.0.1:{another.http_port}", token) as api:
        programme = (await api.upload("Tiếng", file))["id"]
        area = await api.create_area("Xã", "commune")
        held = HeldBook(another, monkeypatch)
        starting = asyncio.create_task(api.start(programme, areas=[area]))
        await held.reached.wait()
        await another._director.close()
        held.go.set()
        with pytest.raises(ApiError) as caught:
            await starting
        assert caught.value.status == 409
        await another._director.chronicle.scribe.settled()
        assert (await newest(api))["reason"] == "not_started"


async def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
    ):
        udp.bind(("127.0.0.1", 0))
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        for option in (f"--media-port={udp.getsockname()[1]}", f"--http-port={tcp.getsockname()[1]}"):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "loa", "serve", f"--data-dir={tmp_path / option}", "--http-port=0", option,
                "--log-level=error", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, error = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 1, error
            assert b"Traceback" not in error
            assert error.decode().splitlines()[-1].startswith("loa: ")
