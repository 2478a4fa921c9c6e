"""What an api process hands over comes to the core as it was asked, is believed, and comes back as it was said."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from loa import config as settings
from loa.app.api_client import ApiClient, Json
from loa.app.api_process import ApiProcess
from loa.app.core import Core
from loa.broadcast.live import redis_line
from loa.control_api import hand_over, handed_over
from loa.control_api.handed_over import HEADER
from loa.control_api.operation import Operation
from loa.control_api.table import OPERATIONS
from loa.edge.speaker import enrol
from loa.edge.speaker.link_session import MediaArrived, TimeTold
from loa.model import id_text
from tests import sounds
from tests.control_api.conftest import MovableClock
from tests.control_api.devices import linked
from tests.control_api.test_api import problem, upload
from tests.e2e.listener import Listener
from tests.postgres import PostgresServer
from tests.valkey import ValkeyServer, valkey_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class City:
    """A core and a process beside it."""

    core: Core
    beside: ApiProcess
    api: ApiClient
    """Asks the process beside."""
    at_core: ApiClient
    valkey: ValkeyServer

    async def becomes(self, path: str, true: Callable[[Json], bool]) -> None:
        """Wait until what the process beside shows is so."""
        async with asyncio.timeout(30):
            while True:
                if true(await self.api.call("GET", path)):
                    return
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def soon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_line, "RETRY_S", 0.05)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def city(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, clock: MovableClock, soon: None
) -> AsyncIterator[City]:
    folder = tmp_path_factory.mktemp("city")
    secret = folder / "secret"
    secret.write_text("s" * 32)
    secret.chmod(0o600)
    async with AsyncExitStack() as stack:
        valkey = stack.enter_context(valkey_server(folder))
        shared: dict[str, Any] = {
            "database_url": await stack.enter_async_context(postgres.empty_database()),
            "redis_url": valkey.url,
            "cluster_secret_file": secret,
            "audio_dir": folder / "audio",
            "http_port": 0,
        }
        core = await stack.enter_async_context(
            Core(
                settings.load(
                    role="core", data_dir=folder / "core", media_port=0, media_advertise="127.0.0.1", **shared
                )
            )
        )
        token = core.admin_token_file.read_text(encoding="utf-8").strip()
        core_url = f"http://127.0.0.1:{core.http_port}"
        beside = await stack.enter_async_context(
            ApiProcess(settings.load(role="api", core_url=core_url, data_dir=folder / "api", **shared), clock)
        )
        api = await stack.enter_async_context(ApiClient(f"http://127.0.0.1:{beside.http_port}", token))
        at_core = await stack.enter_async_context(ApiClient(core_url, token))
        yield City(core, beside, api, at_core, valkey)


async def test_every_answer_of_the_core_comes_back_as_it_was(city: City, tmp_path: Path) -> None:
    programme = (await upload(city.api, tmp_path, sounds.wav(sounds.siren(30.0))))["id"]
    area = await city.api.create_area("Xã một", "commune")
    body = {"programme_id": programme, "targets": {"areas": [area]}}
    url, headers = f"{city.api.url}/api/v1/broadcasts", {"Idempotency-Key": "once"}
    made = []
    for _ in range(2):
        async with city.api._session.post(url, json=body, headers=headers) as answer:
            assert answer.status == 201
            assert "Connection" not in answer.headers
            made.append(((await answer.json())["id"], answer.headers.get("Idempotency-Replayed")))
    assert made == [(made[0][0], None), (made[0][0], "true")]
    path = f"/api/v1/broadcasts/{made[0][0]}"
    await city.becomes(path, lambda said: said["frames_aired"] > 0)
    async with city.api._session.get(f"{city.api.url}/listen/{made[0][0]}.ogg") as answer:
        assert (answer.status, answer.content_type) == (200, "audio/ogg")
        assert (await answer.content.readexactly(500))[:4] == b"OggS"
        stopped = await city.api.call("POST", f"{path}/stop")
        assert stopped["state"] == "stopped"
        assert len(await answer.read()) > 100
    again = await problem(city.api, "GET", f"/listen/{made[0][0]}.ogg")
    assert (again.status, again.slug) == (410, "not-on-air")
    wrong = await problem(city.api, "POST", "/api/v1/broadcasts", {**body, "volume": 101})
    assert (wrong.status, wrong.slug) == (422, "invalid")


async def test_the_journal_names_who_asked_and_not_who_handed_it_over(city: City, tmp_path: Path) -> None:
    area = await city.api.create_area("Xã hai", "commune")
    code = await city.api.enrolment_code(area, "Loa")
    endpoint = id_text(await enrol.claim(city.api.url, code, tmp_path / "speaker"))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(local_addr=("127.0.0.9", 0)), headers=dict(city.api._session.headers)
    ) as session:
        url = f"{city.api.url}/api/v1/endpoints/{endpoint}/revoke"
        lies = {"X-Forwarded-For": "6.6.6.6", HEADER: "1 0123456789abcdef 6.6.6.6 " + "0" * 64}
        async with session.post(url, headers=lies) as answer:
            assert answer.status == 200
            assert (await answer.json())["linked"] is False
            request_id = answer.headers["X-Request-Id"]
    [entry] = (await city.at_core.call("GET", f"/api/v1/audit?subject=endpoint:{endpoint}&action=endpoint.revoke"))[
        "items"
    ]
    assert (entry["origin"], entry["request_id"]) == ("127.0.0.9", request_id)
    assert re.fullmatch("[0-9a-f]{16}", request_id)


async def test_a_link_by_the_process_beside_is_the_cores(city: City, tmp_path: Path) -> None:
    area = await city.api.create_area("Xã ba", "commune")
    sound = (await upload(city.api, tmp_path, sounds.wav(sounds.siren(20.0)), "b.wav"))["id"]
    async with Listener(tmp_path / "listener", {}) as listener:
        endpoint = id_text(await listener.enrol(city.api.url, await city.api.enrolment_code(area, "Loa")))
        await listener.connect(city.api.url)
        assert listener.media[0] == "127.0.0.1"
        await city.becomes(
            f"/api/v1/endpoints/{endpoint}", lambda said: said["door"] == "unicast" and said["media_bound"]
        )
        broadcast = await city.api.start(sound, areas=[area])
        await listener.until(lambda: any(len(stream.payloads) > 20 for stream in listener.streams.values()))
        await city.api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
        await listener.until(lambda: bool(listener.stops))
    await city.becomes(f"/api/v1/endpoints/{endpoint}", lambda said: said["linked"] is False)
    async with city.api._session.get(f"{city.api.url}/link") as answer:
        assert answer.status == 400
    assert city.beside._hand_over.counters["links"] == 1


async def test_sound_by_link_comes_through_the_process_beside(city: City, tmp_path: Path) -> None:
    area = await city.api.create_area("Xã ba rưỡi", "commune")
    sound = await upload(city.api, tmp_path, sounds.wav(sounds.siren(1.0)), "c.wav")
    async with linked(city.api, tmp_path / "device", area) as device:
        device.session.send_door(True)
        device.session.send_probe(1)
        await device.send()
        await device.until(TimeTold)
        await city.api.start(sound["id"], areas=[area])
        packets = 0
        while packets < sound["frames"]:
            arrived = await device.until(MediaArrived)
            assert isinstance(arrived, MediaArrived)
            packets += len(arrived.packets)


async def test_what_is_not_known_is_said_to_be_not_known(city: City, tmp_path: Path) -> None:
    area = await city.api.create_area("Xã bốn", "commune")
    endpoint = id_text(
        await enrol.claim(city.api.url, await city.api.enrolment_code(area, "Loa"), tmp_path / "speaker")
    )
    path = f"/api/v1/endpoints/{endpoint}"

    await city.becomes(path, lambda said: said["linked"] is False)
    city.valkey.kill()
    await city.becomes(path, lambda said: said["linked"] is None)
    said = await city.api.call("GET", path)
    assert [said[name] for name in ("linked", "media_bound", "door", "status")] == [None] * 4
    assert (await city.at_core.call("GET", path))["linked"] is False
    city.valkey.start()
    await city.becomes(path, lambda said: said["linked"] is False)


async def test_no_token_no_right_and_no_body_comes_to_the_core(city: City) -> None:
    before = city.beside._hand_over.counters["handed_over"]
    made = await city.api.call("POST", "/api/v1/tokens", {"name": "x", "role": "viewer"})
    stop = "/api/v1/broadcasts/0192f0c8-0000-7000-8000-000000000000/stop"
    async with ApiClient(city.api.url, "loa_wrong") as stranger, ApiClient(city.api.url, made["token"]) as viewer:
        assert (await problem(stranger, "POST", stop)).status == 401
        assert (await problem(viewer, "POST", stop)).status == 403
    async with city.api._session.post(f"{city.api.url}/api/v1/broadcasts", data=b"x" * 70_000) as answer:
        assert answer.status == 415
    huge = {"Content-Type": "application/json"}
    async with city.api._session.post(
        f"{city.api.url}/api/v1/broadcasts", data=b"x" * 70_000, headers=huge
    ) as answer:
        assert answer.status == 413
    assert city.beside._hand_over.counters["handed_over"] == before + 2
    assert (await problem(city.api, "POST", stop)).status == 404


async def test_what_was_counted_at_the_process_beside_is_not_counted_again(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    async def take(caller: str) -> float:
        taken.append(caller)
        return 0.0

    monkeypatch.setattr(city.core.services.limits, "take", take)
    stop = "/api/v1/broadcasts/0192f0c8-0000-7000-8000-000000000000/stop"
    assert (await problem(city.api, "POST", stop)).status == 404
    assert taken == []
    assert (await problem(city.at_core, "POST", stop)).status == 404
    assert len(taken) == 1


async def test_the_core_does_not_believe_whoever_does_not_know_the_secret(city: City, clock: MovableClock) -> None:
    stop = "/api/v1/broadcasts/0192f0c8-0000-7000-8000-000000000000/stop"
    for line in ("", "x", "1 0123456789abcdef 6.6.6.6 " + "0" * 64):
        async with city.at_core._session.post(city.at_core.url + stop, headers={HEADER: line}) as answer:
            assert answer.status == 403
            assert (await answer.json())["type"] == "urn:loa:problem:hand-over-refused"
    with clock.later(handed_over.MAX_APART_S + 2):
        error = await problem(city.api, "POST", stop)
        assert (error.status, error.slug) == (503, "core-unreachable")
    assert (await problem(city.api, "POST", stop)).status == 404


@asynccontextmanager
async def false_core(city: City, serve: Any) -> AsyncIterator[None]:
    """In the core's place: `serve(reader, writer)`."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    true_url = city.beside._hand_over._core_url
    city.beside._hand_over._core_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield
    finally:
        city.beside._hand_over._core_url = true_url
        server.close()


async def test_a_core_that_is_not_there_or_goes_in_the_middle_is_told_apart(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = "/api/v1/broadcasts/0192f0c8-0000-7000-8000-000000000000/stop"
    heard: list[bytes] = []

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with false_core(city, drop):
        error = await problem(city.api, "POST", stop)
        assert (error.status, error.slug) == (503, "core-unreachable")
        assert "not known" in error.detail
    assert len(heard) == 1  # it is never sent twice
    assert b"X-Forwarded-For" not in heard[0]

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    monkeypatch.setattr(
        city.beside._hand_over._session, "_timeout", aiohttp.ClientTimeout(total=None, sock_read=0.05)
    )
    async with false_core(city, silent):
        assert (await problem(city.api, "POST", stop)).slug == "core-unreachable"
    city.beside._hand_over._core_url, true_url = "http://127.0.0.1:9", city.beside._hand_over._core_url
    try:
        async with city.api._session.post(city.api.url + stop) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            assert "nothing has happened" in (await answer.json())["detail"]
    finally:
        city.beside._hand_over._core_url = true_url


async def test_an_answer_that_breaks_off_breaks_off(city: City) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nX-Hop: 1\r\nConnection: X-Hop\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with false_core(city, cut), city.api._session.get(f"{city.api.url}/listen/{'0' * 32}.ogg") as answer:
        assert (answer.status, "X-Hop" in answer.headers) == (200, False)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_what_is_handed_over_at_once_is_bounded(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_over, "MAX_AT_ONCE", 0)
    stop = "/api/v1/broadcasts/0192f0c8-0000-7000-8000-000000000000/stop"
    assert (await problem(city.api, "POST", stop)).slug == "busy"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.method} {o.path}")
async def test_a_route_is_declared_to_need_the_core_when_it_does(operation: Operation) -> None:
    module = inspect.getmodule(operation.handler)
    helpers = [each for name, each in inspect.getmembers(module, inspect.isfunction) if name.startswith("_")]
    needy = ["at_core", *(each.__name__ for each in helpers if "at_core(request)" in inspect.getsource(each))]
    source = inspect.getsource(operation.handler)
    assert operation.at_core == any(f"{name}(request" in source for name in needy)


async def test_all_that_is_not_the_cores_is_answered_here(city: City) -> None:
    before = city.beside._hand_over.counters["handed_over"]
    for path in ("areas", "endpoints", "enrolments", "programmes", "broadcasts", "tokens", "audit"):
        await city.api.items(f"/api/v1/{path}")
    async with city.api._session.get(f"{city.api.url}/metrics") as answer:
        text = await answer.text()
    assert f"loa_hand_over_handed_over_total {float(before)}" in text
    assert "loa_redis_up 1.0" in text
