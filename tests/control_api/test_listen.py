"""Listening over HTTP at its door: the same pages for all, by every kind of client, from the middle to the end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from loa import config as settings
from loa.app.api_client import ApiClient, Json
from loa.app.core import Core
from loa.broadcast.listen import station, taking_over
from loa.codecs.ogg_page import FLAG_EOS, OggPage
from tests import sounds
from tests.certificates import Authority
from tests.control_api.test_limits import begun

pytestmark = pytest.mark.asyncio(loop_scope="module")
SOON = 500
"""Looks, 20 ms apart, before something is taken to be wrong."""


async def on_air(api: ApiClient, tmp_path: Path, seconds: float = 20.0) -> Json:
    """A broadcast; the sound of each length is uploaded once."""
    known = {each["title"]: each for each in await api.items("/api/v1/programmes")}
    title = f"{seconds:g} s"
    file = tmp_path / f"{title}.wav"
    if title not in known:
        file.write_bytes(sounds.wav(sounds.siren(seconds)))
        known[title] = await api.upload(title, file)
    area = await api.create_area("Xã nghe", "commune")
    return await api.start(known[title]["id"], areas=[area])


def path(broadcast: Json) -> str:
    return f"/listen/{broadcast['id']}.ogg"


async def stop(api: ApiClient, broadcast: Json) -> None:
    await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")


async def soon(so: Callable[[], bool]) -> None:
    for _ in range(SOON):
        if so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


def terms(core: Core, monkeypatch: pytest.MonkeyPatch, **changes: int) -> None:
    monkeypatch.setattr(core._listeners, "_terms", replace(core._listeners._terms, **changes))


def whole_stream(body: bytes) -> list[OggPage]:
    """The pages of a body from which none is missing, to one that says that it is the last."""
    pages = sounds.pages_of(body)
    assert [page.sequence for page in pages[:2]] == [0, 1]
    first = pages[2].sequence
    assert [page.sequence for page in pages[2:]] == list(range(first, first + len(pages) - 2))
    assert [page.flags & FLAG_EOS for page in pages] == [0] * (len(pages) - 1) + [FLAG_EOS]
    return pages


async def said_by(*command: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    return (await process.communicate())[0].decode()


async def test_who_comes_later_gets_the_same_pages_from_there_to_the_end(
    core: Core, api: ApiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms(core, monkeypatch, page_ms=100, burst_ms=200)
    broadcast = await on_air(api, tmp_path)
    async with aiohttp.ClientSession() as session, session.get(api.url + path(broadcast)) as first:
        assert (first.status, first.content_type) == (200, "audio/ogg")
        early = await first.content.readexactly(6_000)
        async with session.get(api.url + path(broadcast)) as second:
            late = await second.content.readexactly(3_000)
            await stop(api, broadcast)
            early, late = early + await first.read(), late + await second.read()
    whole, part = whole_stream(early), whole_stream(late)
    assert part[:2] == whole[:2]  # the headers
    assert whole[2].sequence < part[2].sequence < part[-1].sequence
    assert part[2:] == whole[2 + part[2].sequence - whole[2].sequence :]
    assert part[-1].pieces == []
    await soon(lambda: len(core._listeners) == 0)


async def test_players_take_what_begins_in_the_middle(
    core: Core, api: ApiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms(core, monkeypatch, page_ms=100, burst_ms=200)
    broadcast = await on_air(api, tmp_path, 3.0)
    async with aiohttp.ClientSession() as session:
        async with session.get(api.url + path(broadcast)) as before:
            await before.content.readexactly(8_000)
        async with session.get(api.url + path(broadcast)) as answer:
            heard = await answer.read()
    file = tmp_path / "heard.ogg"
    file.write_bytes(heard)
    began = sounds.pages_of(heard)[2]
    begins_s = (began.granule - 960 * len(began.pieces) - 312) / 48_000
    assert begins_s > 0.3
    assert await said_by("ffmpeg", "-v", "warning", "-xerror", "-i", file, "-f", "null", "-") == ""
    shown = await said_by("ffprobe", "-v", "warning", "-show_entries", "format=start_time", "-of", "csv=p=0", file)
    assert float(shown) == pytest.approx(begins_s, abs=0.03)


async def test_a_client_of_http_1_0_gets_the_bare_stream(core: Core, api: ApiClient, tmp_path: Path) -> None:
    broadcast = await on_air(api, tmp_path)
    reader, writer = await begun(core, f"GET {path(broadcast)} HTTP/1.0")
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(1_000)
        await stop(api, broadcast)
        body += await reader.read()
    writer.close()
    await writer.wait_closed()
    assert head.startswith(b"HTTP/1.0 200 ")
    assert b"transfer-encoding" not in head.lower()
    whole_stream(body)


async def test_head_tells_what_a_listener_would_get(core: Core, api: ApiClient, tmp_path: Path) -> None:
    broadcast = await on_air(api, tmp_path)
    joined = core._listeners.counters["joined"]
    async with api._session.head(api.url + path(broadcast)) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "audio/ogg", b"")
    assert core._listeners.counters["joined"] == joined
    await stop(api, broadcast)
    async with api._session.head(api.url + path(broadcast)) as answer:
        assert answer.status == 410


async def test_each_broadcast_has_pages_of_its_own(core: Core, api: ApiClient, tmp_path: Path) -> None:
    both = [await on_air(api, tmp_path), await on_air(api, tmp_path)]
    async with aiohttp.ClientSession() as session:
        answers = [await session.get(api.url + path(each)) for each in both]
        await stop(api, both[0])
        ended = whole_stream(await answers[0].read())
        await stop(api, both[1])
        other = whole_stream(await answers[1].read())
    assert {page.serial for page in ended}.isdisjoint({page.serial for page in other})


async def test_a_listener_too_many_is_told_to_come_back(
    core: Core, api: ApiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms(core, monkeypatch, most=2, page_ms=20)
    broadcast = await on_air(api, tmp_path)
    refused = core._listeners.counters["refused"]
    async with aiohttp.ClientSession() as session:
        first, second = [await session.get(api.url + path(broadcast)) for _ in range(2)]
        assert (first.status, second.status) == (200, 200)
        async with session.get(api.url + path(broadcast)) as third:
            assert (third.status, third.headers["Retry-After"]) == (503, "1")
        first.close()
        await soon(lambda: len(core._listeners) == 1)
        async with session.get(api.url + path(broadcast)) as again:
            assert again.status == 200
        second.close()
    assert core._listeners.counters["refused"] == refused + 1
    await soon(lambda: len(core._listeners) == 0)
    await stop(api, broadcast)


async def test_a_listener_that_takes_nothing_is_dropped(
    core: Core, api: ApiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station, "BACKLOG_MS", 100)
    terms(core, monkeypatch, page_ms=20, burst_ms=0)
    broadcast = await on_air(api, tmp_path)
    dropped = core._listeners.counters["dropped_slow"]
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session, session.get(api.url + path(broadcast)) as other:
        with socket.socket() as sock:
            monkeypatch.setattr(taking_over, "SEND_BUFFER_BYTES", 1)  # the least that the kernel grants
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", core.http_port))
            await loop.sock_sendall(sock, f"GET {path(broadcast)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await soon(lambda: core._listeners.counters["dropped_slow"] == dropped + 1)
            heard = b""
            while piece := await loop.sock_recv(sock, 65_536):
                heard += piece
        assert len(core._listeners) == 1
        await stop(api, broadcast)
        whole_stream(await other.read())
    assert heard.startswith(b"HTTP/1.1 200")
    assert not heard.endswith(b"0\r\n\r\n")  # it was cut off, not ended


async def test_by_tls_it_is_heard_too_and_ends_with_the_core(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("core")
    config = settings.load(data_dir=tmp_path / "core", http_port=0, media_port=0, tls_cert=cert, tls_key=key)
    trusted = ssl.create_default_context(cafile=str(authority.file))
    async with Core(config) as core:
        token = core.admin_token_file.read_text(encoding="utf-8").strip()
        async with ApiClient(core.url, token, trusted) as api, aiohttp.ClientSession() as session:
            broadcast = await on_air(api, tmp_path, 5.0)
            answer = await session.get(api.url + path(broadcast), ssl=trusted)
            heard = await answer.content.readexactly(3_000)
            assert len(core._listeners) == 1
            ending = asyncio.create_task(core._listeners.close())
            heard += await answer.read()
            await ending
    assert len(whole_stream(heard)) > 3
