"""Uploads over HTTP: watched by who sends them, bounded in every way, and clear about what went wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from loa import config as settings
from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.broadcast.content.uploads import KEPT_MS
from loa.control_api import pace, requests
from loa.control_api.routes import uploads as routes
from tests import sounds
from tests.control_api.conftest import MovableClock
from tests.control_api.test_api import FORM, UPLOAD, problem
from tests.control_api.test_limits import begun

pytestmark = pytest.mark.asyncio(loop_scope="module")

UPLOADS, PROGRAMMES = "/api/v1/uploads", "/api/v1/programmes"
SOUND = sounds.wav(sounds.siren(1.0))


@asynccontextmanager
async def core_with(folder: Path, clock: MovableClock, **given: Any) -> AsyncIterator[Core]:
    config = settings.load(data_dir=folder, http_port=0, media_port=0, **given)
    async with Core(config, clock) as running:
        yield running


@asynccontextmanager
async def client_of(core: Core) -> AsyncIterator[ApiClient]:
    token = core.admin_token_file.read_text(encoding="utf-8").strip()
    async with ApiClient(f"http://127.0.0.1:{core.http_port}", token) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def core(tmp_path_factory: pytest.TempPathFactory, clock: MovableClock) -> AsyncIterator[Core]:
    """A core that takes two uploads at once, one of each caller, of up to five seconds of sound."""
    given = {"uploads_at_once": 2, "uploads_per_caller": 1, "max_programme_s": 5}
    async with core_with(tmp_path_factory.mktemp("core"), clock, **given) as running:
        yield running


async def sent(
    api: ApiClient, data: bytes = SOUND, upload_id: str = "", fields: Mapping[str, str] | None = None
) -> tuple[int, Any, str]:
    """Status, body and `Upload-Id` of an upload."""
    form = aiohttp.FormData()
    for name, value in {"title": "Bản tin", **(fields or {})}.items():
        form.add_field(name, value)
    form.add_field("file", data, filename="x.wav")
    headers = {"Upload-Id": upload_id} if upload_id else {}
    async with api._session.post(api.url + PROGRAMMES, data=form, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers.get("Upload-Id", "")


@asynccontextmanager
async def half_sent(core: Core, upload_id: str) -> AsyncIterator[asyncio.StreamWriter]:
    """An administrator's upload of which half has been sent."""
    _, writer = await begun(core, f"{UPLOAD}\r\nContent-Length: {len(FORM) + len(SOUND)}\r\nUpload-Id: {upload_id}")
    writer.write(FORM)
    for at in range(0, len(SOUND) // 2, 8192):
        writer.write(SOUND[at : min(at + 8192, len(SOUND) // 2)])
        await writer.drain()
        await asyncio.sleep(0.01)  # so that the pieces do not travel as one
    try:
        yield writer
    finally:
        writer.close()
        await writer.wait_closed()


async def until(api: ApiClient, upload_id: str, state: str) -> dict[str, Any]:
    """The upload, once it is in this state."""
    async with asyncio.timeout(20):
        while True:
            async with api._session.get(f"{api.url}{UPLOADS}/{upload_id}") as answer:
                said: dict[str, Any] = await answer.json()
            if said.get("state") == state:
                return said
            await asyncio.sleep(0.05)


async def watched(api: ApiClient, upload_id: str) -> list[dict[str, Any]]:
    """All that a watcher is told, to the end of the stream."""
    async with api._session.get(f"{api.url}{UPLOADS}/{upload_id}/events") as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        lines = (await answer.read()).decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


ORDER = ["receiving", "queued", "measuring", "encoding", "done"]


async def test_who_sends_watches_to_the_end(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "LOOK_S", 0.005)
    upload_id = str(uuid.uuid4())
    watching = asyncio.create_task(watched(api, upload_id))
    status, made, named = await sent(api, upload_id=upload_id)
    assert (status, named) == (201, upload_id)
    told = await watching
    states = [each["state"] for each in told]
    assert states == sorted(states, key=ORDER.index)
    assert states[-1] == "done"
    assert {"measuring", "encoding"} & set(states)
    assert (told[-1]["programme_id"], told[-1]["share"]) == (made["id"], 1.0)
    assert told[-1]["received_bytes"] == told[-1]["expected_bytes"] == len(SOUND)
    for state in ORDER:
        shares = [each["share"] for each in told if each["state"] == state]
        assert shares == sorted(shares)
    assert await api.call("GET", f"{UPLOADS}/{upload_id}") == told[-1]


async def test_an_upload_without_a_name_is_given_one(api: ApiClient) -> None:
    status, made, named = await sent(api)
    assert status == 201
    assert (await api.call("GET", f"{UPLOADS}/{named}"))["programme_id"] == made["id"]


async def test_an_upload_is_seen_while_it_comes_and_told_when_it_breaks_off(core: Core, api: ApiClient) -> None:
    upload_id = str(uuid.uuid4())
    async with half_sent(core, upload_id):
        seen = await until(api, upload_id, "receiving")
        while seen["received_bytes"] == 0:
            await asyncio.sleep(0.05)
            seen = await until(api, upload_id, "receiving")
        assert 0 < seen["share"] <= 0.6
        assert seen["expected_bytes"] == len(FORM) + len(SOUND)
    ended = await until(api, upload_id, "failed")
    assert ended["problem"] in ("malformed", "interrupted")
    assert ended["programme_id"] is None


async def test_an_upload_is_nobody_elses(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "COMES_S", 0.05)
    _, _, upload_id = await sent(api)
    other = (await api.call("POST", "/api/v1/tokens", {"name": "khác", "role": "admin"}))["token"]
    viewer = (await api.call("POST", "/api/v1/tokens", {"name": "xem", "role": "viewer"}))["token"]
    async with ApiClient(api.url, other) as client:
        assert (await problem(client, "GET", f"{UPLOADS}/{upload_id}")).slug == "not-found"
        assert (await problem(client, "GET", f"{UPLOADS}/{upload_id}/events")).slug == "not-found"
    async with ApiClient(api.url, viewer) as client:
        assert (await problem(client, "GET", f"{UPLOADS}/{upload_id}")).slug == "forbidden"


async def test_an_upload_is_forgotten_after_a_while(api: ApiClient, clock: MovableClock) -> None:
    _, _, upload_id = await sent(api)
    await api.call("GET", f"{UPLOADS}/{upload_id}")
    with clock.later(KEPT_MS // 1000 + 60):
        assert (await problem(api, "GET", f"{UPLOADS}/{upload_id}")).slug == "not-found"


async def test_only_so_many_come_at_once(core: Core, api: ApiClient) -> None:
    upload_id = str(uuid.uuid4())
    tokens = [
        (await api.call("POST", "/api/v1/tokens", {"name": name, "role": "officer"}))["token"] for name in "ab"
    ]
    async with (
        half_sent(core, upload_id),
        ApiClient(api.url, tokens[0]) as one,
        ApiClient(api.url, tokens[1]) as two,
    ):
        await until(api, upload_id, "receiving")
        assert (await sent(api, upload_id=upload_id))[0] == 409
        status, said, _ = await sent(api)
        assert (status, said["type"]) == (429, "urn:loa:problem:too-many-uploads")
        stop = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield FORM.replace(b"--x", b"--y") + SOUND
            await stop.wait()

        headers = {"Content-Type": "multipart/form-data; boundary=y", "Upload-Id": upload_id}
        sending = asyncio.create_task(one._session.post(api.url + PROGRAMMES, data=endless(), headers=headers))
        await until(one, upload_id, "receiving")
        async with two._session.post(api.url + PROGRAMMES, data=b"", headers=headers) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert (await answer.json(content_type=None))["type"] == "urn:loa:problem:busy"
        stop.set()
        (await sending).close()
    await until(api, upload_id, "failed")
    assert (await sent(api))[0] == 201


@pytest.mark.parametrize("upload_id", ["x", "123", "not a uuid at all"])
async def test_a_name_that_is_no_uuid_is_refused(api: ApiClient, upload_id: str) -> None:
    status, said, _ = await sent(api, upload_id=upload_id)
    assert (status, said["type"]) == (400, "urn:loa:problem:malformed")


@pytest.mark.parametrize(
    ("data", "status", "slug"),
    [
        (b"Khong phai am thanh" * 100, 422, "not-audio"),
        (SOUND[: len(SOUND) // 2], 422, "audio-unreadable"),
        (sounds.wav(sounds.siren(6.0)), 422, "too-long"),
    ],
)
async def test_what_was_wrong_is_told_to_who_sent_and_to_who_watches(
    api: ApiClient, data: bytes, status: int, slug: str
) -> None:
    upload_id = str(uuid.uuid4())
    got, said, _ = await sent(api, data, upload_id)
    assert (got, said["type"]) == (status, f"urn:loa:problem:{slug}")
    shown = await api.call("GET", f"{UPLOADS}/{upload_id}")
    assert (shown["state"], shown["problem"], shown["detail"]) == ("failed", slug, said["detail"])


async def test_a_file_that_came_otherwise_than_it_was_sent_is_refused(api: ApiClient) -> None:
    right, wrong = hashlib.sha256(SOUND).hexdigest(), hashlib.sha256(b"other").hexdigest()
    assert (await sent(api, fields={"sha256": right}))[0] == 201
    status, said, _ = await sent(api, fields={"sha256": wrong})
    assert (status, said["type"]) == (422, "urn:loa:problem:digest-mismatch")
    assert right in said["detail"]
    for bad in ("", right.upper(), right[:-1], "x" * 64):
        assert (await sent(api, fields={"sha256": bad}))[0] == 422


@pytest.mark.parametrize("drip", [b"", b"."])
async def test_a_body_that_hardly_comes_is_not_waited_for(
    core: Core, api: ApiClient, monkeypatch: pytest.MonkeyPatch, drip: bytes
) -> None:
    monkeypatch.setattr(pace, "WINDOW_S", 0.2)
    reader, writer = await begun(core, f"{UPLOAD}\r\nContent-Length: 4000000")
    writer.write(FORM)

    async def dripping() -> None:
        while drip:
            writer.write(drip)
            await asyncio.sleep(0.01)

    dripped = asyncio.create_task(dripping())
    status, said = await answered_head(reader)
    dripped.cancel()
    writer.close()
    assert (status, said["type"]) == (408, "urn:loa:problem:timeout")
    assert (await sent(api))[0] == 201


async def answered_head(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """Status and body of an answer that comes before the request is whole."""
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head.split(b" ", 2)[1]), json.loads(await reader.readexactly(length))


async def test_a_form_whose_fields_do_not_come_is_not_waited_for(
    core: Core, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "BODY_TIMEOUT_S", 0.05)
    reader, writer = await begun(core, f"{UPLOAD}\r\nContent-Length: 4000000")
    writer.write(FORM[:60])
    status, said = await answered_head(reader)
    writer.close()
    assert (status, said["type"]) == (408, "urn:loa:problem:timeout")


async def test_a_quota_is_told_before_and_after_the_file_has_come(tmp_path: Path, clock: MovableClock) -> None:
    async with core_with(tmp_path / "core", clock, audio_quota_bytes=60_000) as core, client_of(core) as api:
        status, said, _ = await sent(api, sounds.wav(sounds.siren(10.0)))
        assert (status, said["type"]) == (507, "urn:loa:problem:quota-full")
        stored = 0
        for number in range(8):
            status, said, _ = await sent(api, sounds.wav(sounds.tone(2.0, 300 + 100 * number)))
            if status != 201:
                break
            stored += said["size_bytes"]
        assert (status, said["type"]) == (507, "urn:loa:problem:quota-full")
        assert 0 < stored <= 60_000
        files = list((tmp_path / "core" / "audio").rglob("*.ogg"))
        assert sum(file.stat().st_size for file in files) == stored


async def test_the_last_of_the_disk_is_not_for_uploads(tmp_path: Path, clock: MovableClock) -> None:
    async with core_with(tmp_path / "core", clock, disk_reserve_bytes=1 << 60) as core, client_of(core) as api:
        status, said, _ = await sent(api)
        assert (status, said["type"]) == (507, "urn:loa:problem:disk-full")
        await api.create_area("Xã", "commune")
