"""`loa serve` as a service manager sees it: real processes, real signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from loa.app.api_client import ApiError
from loa.app.demo.stage import SpeakerPlan, Stage
from loa.app.service import EXIT_ON_THE_SPOT
from tests import sounds


class Ear:
    """The service manager's socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))

    async def wait_for(self, beginning: str) -> list[str]:
        """All that is said up to the first message that begins so."""
        said: list[str] = []
        loop = asyncio.get_running_loop()
        while not said or not said[-1].startswith(beginning):
            said.append((await loop.sock_recv(self._socket, 4096)).decode())
        return said

    def close(self) -> None:
        self._socket.close()


class HalfRequest:
    """POST /api/v1/areas, of which the core has the head and the first half of the body."""

    BODY = b'{"name": "Kh\xc3\xb3m 1", "level": "hamlet"}'

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def send(cls, stage: Stage, token: str) -> HalfRequest:
        self = cls(*await asyncio.open_connection("127.0.0.1", stage.http_port))
        self._writer.write(
            (
                "POST /api/v1/areas HTTP/1.1\r\nHost: loa\r\nExpect: 100-continue\r\n"
                f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(cls.BODY)}\r\n\r\n"
            ).encode()
        )
        assert b"100" in await self._reader.readline()
        await self._reader.readline()
        self._writer.write(cls.BODY[:10])
        return self

    async def finish(self) -> int:
        """Send the rest; the answer's status."""
        self._writer.write(self.BODY[10:])
        return int((await self._reader.readline()).split()[1])

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(tmp_path) as opened:
        yield opened


def token(stage: Stage) -> str:
    return (stage.folder / "core" / "admin.token").read_text().strip()


def media_environment(core: int) -> bytes:
    child = Path(f"/proc/{core}/task/{core}/children").read_text().split()[0]
    return Path(f"/proc/{child}/environ").read_bytes()


def terminate(stage: Stage) -> None:
    assert stage.core is not None
    os.kill(stage.core.pid, signal.SIGTERM)


async def ended(stage: Stage) -> int:
    """The core's exit code."""
    assert stage.core is not None
    return await stage.core.wait()


async def not_ready(stage: Stage) -> str:
    """What /readyz says is missing, as soon as something is."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{stage.url}/readyz") as answer:
                if answer.status == 503:
                    return str((await answer.json(content_type="application/problem+json"))["detail"])
            await asyncio.sleep(0.02)


async def on_air(stage: Stage) -> str:
    """A long broadcast to nobody yet; its id."""
    area = await stage.api.create_area("Phù Liễn", "commune")
    path = stage.folder / "long.wav"
    path.write_bytes(sounds.wav(sounds.tone(30)))
    programme = await stage.api.upload("Dài", path)
    broadcast = await stage.api.start(programme["id"], areas=[area])
    return str(broadcast["id"])


async def test_the_service_manager_hears_of_ready_of_life_and_of_the_end(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = Ear(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    await stage.open_core()
    assert "READY=1" in await ear.wait_for("STATUS=ready; on air: 0; endpoints linked: 0")
    for _ in range(3):
        await ear.wait_for("WATCHDOG=1")
    assert stage.core is not None
    assert b"NOTIFY_SOCKET" not in media_environment(stage.core.pid)
    await on_air(stage)
    await ear.wait_for("STATUS=ready; on air: 1")
    terminate(stage)
    await ear.wait_for("STOPPING=1")
    assert await ended(stage) == 0
    ear.close()


async def test_a_speaker_box_tells_its_service_manager_too(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.open_core()
    await stage.build_areas("Hải Phòng", [("Kiến An", ["Phù Liễn"])])
    ear = Ear(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    await stage.add_speaker(SpeakerPlan("Cụm loa 1", 0, 0, 0))
    assert (await ear.wait_for("READY=1"))[-1] == "READY=1"
    await ear.wait_for("STATUS=idle; link up; media bound")
    await ear.wait_for("WATCHDOG=1")
    os.kill(stage.speakers["Cụm loa 1"].pid, signal.SIGTERM)
    await ear.wait_for("STOPPING=1")
    assert await stage.speakers["Cụm loa 1"].wait() == 0
    ear.close()


async def test_a_core_takes_as_many_files_as_it_may(stage: Stage) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
    try:
        await stage.open_core()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert stage.core is not None
    assert resource.prlimit(stage.core.pid, resource.RLIMIT_NOFILE) == (hard, hard)


async def test_sigterm_lets_requests_finish_then_stops_what_is_on_air_truthfully(stage: Stage) -> None:
    await stage.open_core()
    broadcast = await on_air(stage)
    begun = await HalfRequest.send(stage, token(stage))
    terminate(stage)
    assert await not_ready(stage) == "the core is going down"
    told = await stage.api.call("GET", f"/api/v1/broadcasts/{broadcast}")
    assert told["state"] == "on_air"
    with pytest.raises(ApiError, match="going down") as refused:
        await stage.api.start(told["programme_id"], areas=told["areas"])
    assert refused.value.status == 409
    assert await begun.finish() == 201
    assert await ended(stage) == 0
    await begun.close()

    await stage.open_core()
    told = await stage.api.call("GET", f"/api/v1/broadcasts/{broadcast}")
    assert (told["state"], told["reason"]) == ("stopped", "stopped")
    assert "Khóm 1" in [area["name"] for area in await stage.api.items("/api/v1/areas")]


async def test_a_second_signal_waits_for_no_request(tmp_path: Path) -> None:
    async with Stage(tmp_path, core_options=["--config", str(_config(tmp_path, "drain_s = 300"))]) as stage:
        await stage.open_core()
        broadcast = await on_air(stage)
        begun = await HalfRequest.send(stage, token(stage))
        terminate(stage)
        await not_ready(stage)
        terminate(stage)
        assert await ended(stage) == 0
        await begun.close()
        await stage.open_core()
        told = await stage.api.call("GET", f"/api/v1/broadcasts/{broadcast}")
        assert (told["state"], told["reason"]) == ("stopped", "stopped")


async def test_a_signal_while_it_closes_ends_it_on_the_spot(tmp_path: Path) -> None:
    async with Stage(tmp_path, core_options=["--config", str(_config(tmp_path, "drain_s = 0"))]) as stage:
        await stage.open_core()
        begun = await HalfRequest.send(stage, token(stage))
        terminate(stage)
        # Closing has begun when nobody listens any more; then it waits a while for the request's handler.
        with contextlib.suppress(ConnectionError):
            while True:
                _, writer = await asyncio.open_connection("127.0.0.1", stage.http_port)
                writer.close()
                await asyncio.sleep(0.01)
        terminate(stage)
        assert await ended(stage) == EXIT_ON_THE_SPOT
        await begun.close()


def _config(folder: Path, text: str) -> Path:
    path = folder / "loa.toml"
    path.write_text(text + "\n")
    return path
