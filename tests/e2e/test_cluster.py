"""A core and two api processes on a real PostgreSQL and a real Redis, and speakers that hear them; things die."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from loa.app.api_client import ApiClient, ApiError, Json
from loa.app.demo.run import wait_for_clocks
from loa.app.demo.stage import Process, SpeakerPlan, Stage
from loa.app.demo.verdict import Recording, judge, reference
from loa.broadcast.store import core_lock
from loa.codecs import link_wire
from tests.e2e.test_one_voice import all_finished
from tests.postgres import PostgresServer, postgres_server
from tests.valkey import ValkeyServer, valkey_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Many processes share few cores here, as in test_one_voice.
LEAD_MS, PLAY_DELAY_MS = 200, 600
AT_CORE, BY_API = SpeakerPlan("Cụm loa A", 0, 1800, 60), SpeakerPlan("Cụm loa B", 2, -600, -40)


@dataclass
class Follower:
    """Follows the events at one process, from now on, on one connection."""

    api: ApiClient
    seen: list[tuple[int, str]] = field(default_factory=list)
    gaps: list[Json] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with self.api._session.get(f"{self.api.url}/api/v1/events") as answer:
            kind = ""
            async for raw in answer.content:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind == "hello":
                    self.began.set()
                elif name == "data" and kind == "gap":
                    self.gaps.append(json.loads(value))
                elif name == "data":
                    said = json.loads(value)
                    self.seen.append((said["seq"], f"{kind} {said['subject']}"))

    async def sees(self, *wanted: str) -> None:
        """Wait until it has seen the last of them: all of them came once, in order, and nothing was left out."""
        await until(lambda: wanted[-1] in [what for _, what in self.seen])
        numbers = [number for number, _ in self.seen]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert [what for _, what in self.seen if what in wanted] == list(wanted)
        assert self.gaps == []


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            if true():
                return
            await asyncio.sleep(0.02)


@dataclass
class City:
    """The stage's core, two processes beside it, and what they share."""

    stage: Stage
    postgres: PostgresServer
    database_url: str
    valkey: ValkeyServer
    one: ApiClient
    two: ApiClient
    config: Path

    async def links(self, api: ApiClient) -> dict[str, bool | None]:
        """What a process says of the speakers' links."""
        return {row["name"]: row["linked"] for row in await api.items("/api/v1/endpoints")}

    async def links_become(self, linked: bool | None) -> None:
        """Wait until both processes say so of all speakers."""
        wanted = dict.fromkeys(self.stage.speakers, linked)
        async with asyncio.timeout(30):
            while True:
                if all([await self.links(api) == wanted for api in (self.one, self.two)]):
                    return
                await asyncio.sleep(0.05)

    async def links_are_known(self) -> None:
        """Wait until both processes know of all speakers."""
        async with asyncio.timeout(30):
            while True:
                if not any([None in (await self.links(api)).values() for api in (self.one, self.two)]):
                    return
                await asyncio.sleep(0.05)


def toml(path: Path, **settings: object) -> Path:
    path.write_text("".join(f"{key} = {json.dumps(str(value))}\n" for key, value in settings.items()))
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def city(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    folder = tmp_path_factory.mktemp("cluster")
    secret = folder / "secret"
    secret.write_text("a" * 64)
    secret.chmod(0o600)
    async with AsyncExitStack() as stack:
        valkey = stack.enter_context(valkey_server(folder))
        postgres = stack.enter_context(postgres_server())  # not the session's: it is stopped here
        database_url = await stack.enter_async_context(postgres.empty_database())
        shared = {
            "database_url": database_url,
            "redis_url": valkey.url,
            "cluster_secret_file": secret,
            "audio_dir": folder / "audio",
        }
        core = toml(folder / "core.toml", role="core", media_advertise="127.0.0.1", **shared)
        stage = await stack.enter_async_context(Stage(folder, [f"--config={core}"], lead_ms=LEAD_MS))
        await stage.open_core()
        await stage.build_areas("Hải Phòng", [("Cát Hải", ["Phù Long", "Xuân Đám"]), ("Kiến An", ["Phù Liễn"])])
        beside = toml(folder / "api.toml", role="api", core_url=stage.url, data_dir=folder / "api", **shared)
        token = (folder / "core" / "admin.token").read_text().strip()
        processes = [
            await Process.start(name, ["serve", f"--config={beside}", "--http-port=0"], folder)
            for name in ("api-1", "api-2")
        ]
        clients = []
        for process in processes:
            stack.push_async_callback(process.stop)
            url = await process.line("loa: ready on ")
            clients.append(await stack.enter_async_context(ApiClient(url, token)))
        made = City(stage, postgres, database_url, valkey, clients[0], clients[1], core)
        await stage.add_speaker(AT_CORE)
        stage.url = clients[0].url  # the second one claims and links by a process that has no core
        await stage.add_speaker(BY_API)
        await wait_for_clocks(stage)
        await made.links_become(True)
        yield made


async def test_a_second_core_does_not_start(city: City, tmp_path: Path) -> None:
    second = await Process.start(
        "second", ["serve", f"--config={city.config}", f"--data-dir={tmp_path}", "--http-port=0"], tmp_path
    )
    await until(lambda: not second.running)
    await second.stop()
    assert "another core runs on the database" in second.log.read_text()
    assert not (tmp_path / "keys").exists()


async def test_what_is_made_at_one_process_is_told_at_the_other_in_order(city: City) -> None:
    follower = Follower(city.two)
    following = asyncio.create_task(follower.run())
    await follower.began.wait()
    areas = [await (city.one, city.stage.api)[n % 2].create_area(f"Thôn {n}", "hamlet") for n in range(20)]
    await follower.sees(*(f"area.create area:{area}" for area in areas))
    following.cancel()


async def test_a_token_that_is_revoked_at_one_process_is_dead_at_the_other(city: City) -> None:
    made = await city.one.call("POST", "/api/v1/tokens", {"name": "tạm", "role": "viewer"})
    follower = Follower(city.two)
    following = asyncio.create_task(follower.run())
    await follower.began.wait()
    async with ApiClient(city.two.url, made["token"]) as client:
        await client.items("/api/v1/areas")
        await city.one.call("POST", f"/api/v1/tokens/{made['id']}/revoke")
        await follower.sees(f"token.revoke token:{made['id']}")
        with pytest.raises(ApiError) as caught:
            await client.items("/api/v1/areas")
        assert caught.value.status == 401
    following.cancel()


async def lets_in(client: ApiClient) -> bool:
    """Whether its token is good."""
    try:
        await client.items("/api/v1/areas")
    except ApiError as error:
        if error.status == 401:
            return False
        raise
    return True


async def test_without_redis_it_is_dead_there_soon(city: City) -> None:
    made = await city.one.call("POST", "/api/v1/tokens", {"name": "tạm", "role": "viewer"})
    city.valkey.kill()
    async with ApiClient(city.two.url, made["token"]) as client:
        await client.items("/api/v1/areas")
        await city.one.call("POST", f"/api/v1/tokens/{made['id']}/revoke")
        async with asyncio.timeout(30):
            while True:
                if not await lets_in(client):
                    break
                await asyncio.sleep(0.05)  # slower than the limit on its requests
    city.valkey.start()
    await city.links_become(True)


@pytest.mark.alone
async def test_the_voice_goes_on_while_redis_and_the_database_die_and_come_back(
    city: City, ten_seconds: Path
) -> None:
    stage = city.stage
    followers = [Follower(api) for api in (city.one, city.two)]
    following = [asyncio.create_task(follower.run()) for follower in followers]
    for follower in followers:
        await follower.began.wait()
    programme = await city.one.upload("Mười giây", ten_seconds)
    broadcast = await city.two.start(programme["id"], areas=[stage.city], play_delay_ms=PLAY_DELAY_MS)
    path = f"/api/v1/broadcasts/{broadcast['id']}"

    async def aired(frames: int) -> None:
        while True:
            if (await city.one.call("GET", path))["frames_aired"] >= frames:
                return
            await asyncio.sleep(0.05)

    async def make_areas() -> list[str]:
        return [await (city.one, city.two)[n % 2].create_area(f"Xóm {n}", "hamlet") for n in range(5)]

    await aired(50)
    city.valkey.kill()
    areas = await make_areas()
    await city.links_become(None)
    city.valkey.start()
    await city.links_become(True)
    areas += await make_areas()
    city.postgres.stop(at_once=True)
    for api in (city.one, city.two, stage.api):
        with pytest.raises(ApiError) as caught:
            await api.items("/api/v1/areas")
        assert (caught.value.status, caught.value.slug) == (503, "store-unavailable")
    city.postgres.start()
    areas += await make_areas()
    for follower in followers:
        await follower.sees(*(f"area.create area:{area}" for area in areas))
    receipts = await asyncio.wait_for(all_finished(stage, broadcast, 2), 60)
    assert {row["result"] for row in receipts} == {"end"}
    assert all(row["played"] + row["recovered"] == programme["frames"] for row in receipts)
    ref = await reference(city.one, broadcast)
    for plan in (AT_CORE, BY_API):
        check = judge(ref, plan, await Recording.load(stage.wav_folder(plan.name), broadcast["id"]))
        assert check.passed, check.faults
    for task in following:
        task.cancel()


async def test_without_the_core_the_rest_goes_on_and_with_it_everything(city: City, ten_seconds: Path) -> None:
    stage = city.stage
    assert stage.core is not None
    programme = (await city.one.items("/api/v1/programmes"))[0]["id"]
    stage.core.kill()
    await stage.core.stop()
    await city.links_become(None)
    area = await city.two.create_area("Lập khi lõi chết", "hamlet")
    assert (await city.one.call("GET", f"/api/v1/areas/{area}"))["name"] == "Lập khi lõi chết"
    await city.two.enrolment_code(area, "Cụm loa C")
    made = await city.one.upload("Tải lên khi lõi chết", ten_seconds)
    for api in (city.one, city.two):
        async with api._session.get(f"{api.url}/readyz") as answer:
            assert answer.status == 200
        with pytest.raises(ApiError) as caught:
            await api.start(programme, areas=[stage.city])
        assert (caught.value.status, caught.value.slug) == (503, "core-unreachable")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await api._session.ws_connect(f"{api.url}/link", protocols=(link_wire.SUBPROTOCOL,))
        assert refused.value.status == 503
    await stage.open_core()
    await city.links_are_known()
    broadcast = await city.one.start(made["id"], areas=[stage.city])
    stopped = await city.two.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
    assert stopped["state"] == "stopped"


async def test_a_core_that_was_replaced_while_it_was_cut_off_ends(city: City) -> None:
    core = city.stage.core
    assert core is not None
    other, shell = await asyncpg.connect(city.database_url), await asyncpg.connect(city.database_url)
    taking = asyncio.create_task(other.execute("SELECT pg_advisory_lock($1)", core_lock.LOCK))
    while not await shell.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
        pass  # until the other waits for the lock
    await shell.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'loa core %'"
    )
    await taking
    await until(lambda: not core.running)
    assert "another core runs on the database" in core.log.read_text()
    await other.close()
    await shell.close()
