"""The HTTP face at its door: rights, bodies, pages, and clear answers to bad ones."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loa.app.api_client import ApiClient, ApiError
from loa.app.core import Core
from tests import sounds

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def problem(api: ApiClient, method: str, path: str, body: Any = None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await api.call(method, path, body)
    return caught.value


async def upload(api: ApiClient, tmp_path: Path, data: bytes, name: str = "sound.wav") -> dict[str, Any]:
    file = tmp_path / name
    file.write_bytes(data)
    return await api.upload("Bản tin", file)


async def test_nothing_is_answered_without_a_token(core: Core) -> None:
    async with ApiClient(f"http://127.0.0.1:{core.http_port}", "") as stranger:
        for method, path in (
            ("GET", "/metrics"),
            ("GET", "/api/v1/areas"),
            ("POST", "/api/v1/programmes"),
            ("POST", "/api/v1/broadcasts"),
            ("GET", "/api/v1/nothing/here"),
        ):
            error = await problem(stranger, method, path)
            assert (error.status, error.slug) == (401, "unauthorized"), path


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer ", "Basic YTpi", "bearer\tx", "Bearer " + "x" * 4000])
async def test_a_wrong_token_is_refused(core: Core, header: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{core.http_port}/api/v1/areas", headers={"Authorization": header}) as answer,
    ):
        assert answer.status == 401
        assert answer.content_type == "application/problem+json"


async def test_the_administrators_token_file_is_private(core: Core) -> None:
    assert core.admin_token_file.stat().st_mode & 0o777 == 0o600


async def test_health_is_open_and_ready_means_ready(core: Core) -> None:
    async with aiohttp.ClientSession() as session:
        for path, text in (("/healthz", "ok\n"), ("/readyz", "ready\n")):
            async with session.get(f"http://127.0.0.1:{core.http_port}{path}") as answer:
                assert (answer.status, await answer.text()) == (200, text)


async def test_areas_make_a_tree_and_pages_hold_all(api: ApiClient) -> None:
    city = await api.create_area("Hải Phòng", "city")
    made = [await api.create_area(f"Xã {number}", "commune", city) for number in range(5)]
    seen: list[str] = []
    after = ""
    while True:
        page = await api.call("GET", f"/api/v1/areas?limit=2{after}")
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(seen) == len(set(seen))
    assert {city, *made} <= set(seen)
    assert (await api.call("GET", f"/api/v1/areas/{made[0]}"))["parent_id"] == city


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ({"name": "", "level": "commune"}, "invalid"),
        ({"name": "   ", "level": "commune"}, "invalid"),
        ({"name": "x" * 201, "level": "commune"}, "invalid"),
        ({"name": "x", "level": "commune", "colour": "red"}, "invalid"),
        ({"name": 7, "level": "commune"}, "invalid"),
        ({"name": "x", "level": "commune", "parent_id": "not a uuid"}, "invalid"),
        ({"name": "x", "level": "commune", "parent_id": "0192f0c8-0000-7000-8000-000000000000"}, "not-found"),
        ([], "invalid"),
    ],
)
async def test_a_bad_area_is_refused_by_name(api: ApiClient, body: Any, slug: str) -> None:
    assert (await problem(api, "POST", "/api/v1/areas", body)).slug == slug


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b'{"name": "x"}', "text/plain", 415),
        (b" " * 70_000, "application/json", 413),
    ],
)
async def test_a_body_that_is_not_json_is_refused(core: Core, data: bytes, content_type: str, status: int) -> None:
    token = core.admin_token_file.read_text().strip()
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"http://127.0.0.1:{core.http_port}/api/v1/tokens",
            data=data,
            headers={"Authorization": f"Bearer {token}", "Content-Type": content_type},
        ) as answer,
    ):
        said = json.loads(await answer.text())
        assert (answer.status, said["status"]) == (status, status)
        assert answer.headers["X-Request-Id"] == said["request_id"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=x",
        "limit=²",
        "after=nonsense",
        "sort=colour",
        "colour=red",
        "limit=1&limit=2",
    ],
)
async def test_a_bad_page_is_refused(api: ApiClient, query: str) -> None:
    assert (await problem(api, "GET", f"/api/v1/areas?{query}")).status == 422


@pytest.mark.parametrize(
    "path",
    ["/api/v1/areas/x", "/api/v1/programmes/%2e%2e", "/api/v1/broadcasts/00000000-0000-0000-0000-000000000000"],
)
async def test_what_is_not_there_is_not_found(api: ApiClient, path: str) -> None:
    assert (await problem(api, "GET", path)).status == 404


async def test_a_programme_is_stored_and_read_back(api: ApiClient, tmp_path: Path) -> None:
    made = await upload(api, tmp_path, sounds.wav(sounds.siren(1.0)))
    assert made["frames"] >= 50
    assert abs(made["loudness_lufs"] + 16) < 1.5
    assert (await api.audio(made["id"]))[:4] == b"OggS"
    assert made["id"] in [item["id"] for item in await api.items("/api/v1/programmes")]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "empty.wav"),
        (b"Khong phai am thanh" * 100, "notice.txt"),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), "picture.png"),
        (bytes(100_000), "zeros.mp3"),
        (b"RIFF\xff\xff\xff\x7fWAVEfmt ", "head.wav"),
    ],
)
async def test_what_is_not_audio_is_refused(api: ApiClient, tmp_path: Path, data: bytes, name: str) -> None:
    with pytest.raises(ApiError) as caught:
        await upload(api, tmp_path, data, name)
    assert caught.value.status == 422
    assert caught.value.slug in ("not-audio", "audio-unreadable")


async def test_a_truncated_file_is_refused(api: ApiClient, tmp_path: Path) -> None:
    whole = sounds.wav(sounds.siren(2.0))
    with pytest.raises(ApiError) as caught:
        await upload(api, tmp_path, whole[: len(whole) // 2])
    assert caught.value.slug == "audio-unreadable"


async def test_a_file_that_is_too_large_is_refused(api: ApiClient, tmp_path: Path) -> None:
    with pytest.raises(ApiError) as caught:
        await upload(api, tmp_path, bytes(8 * 2**20 + 1))
    assert (caught.value.status, caught.value.slug) == (413, "too-large")


async def raw(core: Core, head: str, body: bytes = b"", *, cut: bool = False) -> bytes:
    """One request as bytes. With `cut` the connection is closed after them; else the whole answer is read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", core.http_port)
    token = core.admin_token_file.read_text().strip()
    writer.write(f"{head}\r\nHost: x\r\nAuthorization: Bearer {token}\r\n".encode())
    writer.write(b"Connection: close\r\n\r\n" + body if "\r\n\r\n" not in head else body)
    await writer.drain()
    if cut:
        writer.close()
        await writer.wait_closed()
        return b""
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


UPLOAD = "POST /api/v1/programmes HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x"
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nBan tin\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
)


async def test_ten_gigabytes_announced_are_refused_before_they_are_sent(core: Core) -> None:
    head = f"{UPLOAD}\r\nContent-Length: {10 * 2**30}"
    answer = await raw(core, head, FORM)
    assert b" 413 " in answer.splitlines()[0]
    assert b"too-large" in answer


async def test_an_upload_that_is_cut_off_leaves_nothing(core: Core, api: ApiClient) -> None:
    audio = core.config.data_dir / "audio"
    before = await api.items("/api/v1/programmes")
    head = f"{UPLOAD}\r\nContent-Length: 4000000"
    await raw(core, head, FORM + sounds.wav(sounds.tone(1.0)), cut=True)
    for _ in range(200):
        left = [path for path in audio.rglob("*") if path.is_file() and path.suffix not in (".ogg", ".lock")]
        if not left:
            break
        await asyncio.sleep(0.02)
    assert left == []
    assert await api.items("/api/v1/programmes") == before


async def test_a_broken_form_is_refused(core: Core) -> None:
    odd = FORM.replace(b"title", b"ti\x7f\x01tle")
    for body in (b"", b"--y--", b"--x\r\n\r\n", FORM[:30], FORM.replace(b"title", b"tittle"), odd):
        head = f"{UPLOAD}\r\nContent-Length: {len(body)}"
        status = (await raw(core, head, body)).split(b" ", 2)[1]
        assert status in (b"400", b"422"), body


async def test_a_broadcast_needs_somebody_and_the_right_priority(api: ApiClient, tmp_path: Path) -> None:
    programme = (await upload(api, tmp_path, sounds.wav(sounds.tone(0.5))))["id"]
    area = await api.create_area("Xã vắng", "commune")
    unknown = "0192f0c8-0000-7000-8000-000000000000"
    for body, slug in (
        ({"programme_id": programme, "targets": {}}, "invalid"),
        ({"programme_id": programme, "targets": {"areas": [unknown]}}, "not-found"),
        ({"programme_id": unknown, "targets": {"areas": [area]}}, "not-found"),
        ({"programme_id": programme, "targets": {"areas": [area]}, "priority": 255}, "invalid"),
        ({"programme_id": programme, "targets": {"areas": [area]}, "priority": 256}, "invalid"),
        ({"programme_id": programme, "targets": {"areas": [area]}, "volume": 101}, "invalid"),
        ({"programme_id": programme, "targets": {"areas": [area]}, "play_delay_ms": 10_001}, "invalid"),
    ):
        assert (await problem(api, "POST", "/api/v1/broadcasts", body)).slug == slug


async def test_a_broadcast_is_heard_at_listen_and_ends_as_told(core: Core, api: ApiClient, tmp_path: Path) -> None:
    programme = await upload(api, tmp_path, sounds.wav(sounds.siren(1.0)))
    area = await api.create_area("Phường Phù Liễn", "commune")
    broadcast = await api.start(programme["id"], areas=[area])
    assert broadcast["state"] == "on_air"
    async with (
        aiohttp.ClientSession() as public,
        public.get(f"http://127.0.0.1:{core.http_port}/listen/{broadcast['id']}.ogg") as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "audio/ogg")
        heard = await answer.read()
    file = tmp_path / "heard.ogg"
    file.write_bytes(heard)
    probe = await asyncio.create_subprocess_exec(
        "ffprobe", "-v", "error", "-show_entries", "stream=codec_name:format=duration", "-of", "csv=p=0", str(file),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = (await probe.communicate())[0].decode().split()
    assert said[0] == "opus"
    assert 0.5 < float(said[1]) < 1.2
    running = core._director.running(bytes.fromhex(broadcast["id"].replace("-", "")))
    if running is not None:
        await asyncio.wait_for(running.ended.wait(), 10)
    await core._director.chronicle.scribe.settled()
    ended = await api.call("GET", f"/api/v1/broadcasts/{broadcast['id']}")
    assert (ended["state"], ended["reason"]) == ("ended", "end")
    assert ended["frames_aired"] == ended["frames_total"] == programme["frames"]
    gone = await problem(api, "GET", f"/listen/{broadcast['id']}.ogg")
    assert (gone.status, gone.slug) == (410, "not-on-air")


async def test_a_broadcast_is_stopped_once_and_stays_stopped(api: ApiClient, tmp_path: Path) -> None:
    programme = await upload(api, tmp_path, sounds.wav(sounds.siren(5.0)))
    area = await api.create_area("Phường Hồng Bàng", "commune")
    broadcast = await api.start(programme["id"], areas=[area])
    both = await asyncio.gather(*(api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop") for _ in range(2)))
    assert {said["state"] for said in both} <= {"stopped", "on_air"}
    final = await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
    assert (final["state"], final["reason"]) == ("stopped", "stopped")
    assert final["frames_aired"] < programme["frames"]


async def test_metrics_count_and_name_no_endpoint(api: ApiClient, core: Core) -> None:
    async with (
        aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {core.admin_token_file.read_text().strip()}"}
        ) as s,
        s.get(f"{api.url}/metrics") as answer,
    ):
        text = await answer.text()
    assert "loa_endpoints_linked 0.0" in text
    assert "loa_air_broadcasts_started_total" in text
    assert "127.0.0.1" not in text
