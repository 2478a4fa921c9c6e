"""What one caller can take of the core's time and room, and what is answered above that."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.broadcast.registry.enrolment import ClaimAnswer, Enrolments
from loa.codecs.link_wire import SUBPROTOCOL
from loa.control_api import link_socket, requests
from loa.control_api.routes import enrolments
from loa.edge.speaker import enrol
from tests import sounds
from tests.control_api.test_api import FORM, UPLOAD, problem, upload
from tests.control_api.test_link import hello

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLAIM = {"code_id": "ZZZZZ", "device_key": "A" * 43, "nonce": "A" * 22, "kind": "speaker", "mac": "A" * 22}


async def begun(core: Core, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which an administrator's request has begun; the body is still to be sent."""
    token = core.admin_token_file.read_text().strip()
    reader, writer = await asyncio.open_connection("127.0.0.1", core.http_port)
    writer.write(f"{head}\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer, once it is whole."""
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split(b" ", 2)[1]), json.loads(body)


@pytest.mark.parametrize(
    "limit", ["0000000005000", "000000001999999999", "0001", "1" + "0" * 5000, "007", "+5", " 5", "٥", "5_0", "5\n"]
)
async def test_a_limit_is_read_as_one_number(api: ApiClient, limit: str) -> None:
    async with api._session.get(f"{api.url}/api/v1/areas", params={"limit": limit}) as answer:
        assert (answer.status, (await answer.json(content_type=None))["type"]) == (422, "urn:loa:problem:invalid")


async def test_limits_that_are_good_are_taken(api: ApiClient) -> None:
    await api.create_area("Xã một", "commune")
    for limit in ("1", "500"):
        assert (await api.call("GET", f"/api/v1/areas?limit={limit}"))["items"]


async def test_a_body_that_does_not_come_is_not_waited_for(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_TIMEOUT_S", 0.05)
    reader, writer = await begun(
        core, "POST /api/v1/areas HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 50"
    )
    writer.write(b'{"name"')
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert b" 408 " in head.splitlines()[0]
    assert b"application/problem+json" in head


async def test_a_title_that_comes_in_pieces_is_whole(core: Core, api: ApiClient) -> None:
    title = "Bản tin sáng của xã Phù Long"
    body = FORM.replace(b"Ban tin", title.encode()) + sounds.wav(sounds.tone(0.5)) + b"\r\n--x--\r\n"
    reader, writer = await begun(core, f"{UPLOAD}\r\nContent-Length: {len(body)}")
    cut = body.index(title.encode())
    pieces = [body[:cut], *(body[at : at + 9] for at in range(cut, cut + 63, 9)), body[cut + 63 :]]
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)  # so that the pieces do not travel as one
    status, said = await answered(reader, writer)
    assert (status, said.get("title")) == (201, title)


@pytest.mark.parametrize(
    ("field", "status", "slug"),
    [
        (b"x" * 1025, 413, "too-large"),
        (b"x" * 300_000, 413, "too-large"),
        (b"x" * 1024, 422, "invalid"),
        (b"\xff\xfe", 400, "malformed"),
        (b"", 422, "invalid"),
    ],
)
async def test_a_title_has_its_bounds(core: Core, field: bytes, status: int, slug: str) -> None:
    body = FORM.replace(b"Ban tin", field) + b"RIFF\r\n--x--\r\n"
    reader, writer = await begun(core, f"{UPLOAD}\r\nContent-Length: {len(body)}")
    writer.write(body)
    got, said = await answered(reader, writer)
    assert (got, said["type"]) == (status, f"urn:loa:problem:{slug}")


async def test_a_field_is_given_once(core: Core) -> None:
    title = FORM[: FORM.index(b"--x", 3)]
    body = title + FORM + b"RIFF\r\n--x--\r\n"
    reader, writer = await begun(core, f"{UPLOAD}\r\nContent-Length: {len(body)}")
    writer.write(body)
    status, said = await answered(reader, writer)
    assert (status, said["type"]) == (422, "urn:loa:problem:invalid")


async def test_a_programme_without_its_file_is_not_found(core: Core, api: ApiClient, tmp_path: Path) -> None:
    stored = {path for path in (core.config.data_dir / "audio").rglob("*") if path.is_file()}
    made = await upload(api, tmp_path, sounds.wav(sounds.siren(0.7)))
    new = {path for path in (core.config.data_dir / "audio").rglob("*") if path.is_file()} - stored
    for path in new:
        path.unlink()
    async with api._session.get(f"{api.url}/api/v1/programmes/{made['id']}/audio") as answer:
        said = await answer.json(content_type=None)
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
        assert said["type"] == "urn:loa:problem:not-found"


async def test_claims_in_flight_are_few_and_more_come_back_later(
    api: ApiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = asyncio.Semaphore(0), asyncio.Event()
    claim = Enrolments.claim

    async def slow(self: Enrolments, **given: Any) -> ClaimAnswer:
        inside.release()
        await go_on.wait()
        return await claim(self, **given)

    monkeypatch.setattr(Enrolments, "claim", slow)
    waiting = [
        asyncio.create_task(problem(api, "POST", "/api/v1/enrolments/claim", CLAIM))
        for _ in range(enrolments.MAX_CLAIMS)
    ]
    async with asyncio.timeout(10):
        for _ in waiting:
            await inside.acquire()
        async with api._session.post(f"{api.url}/api/v1/enrolments/claim", json=CLAIM) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert (await answer.json(content_type=None))["type"] == "urn:loa:problem:busy"
        go_on.set()
        assert {error.slug for error in await asyncio.gather(*waiting)} == {"enrolment-unknown"}
    area = await api.create_area("Xã đông", "commune")
    await enrol.claim(api.url, await api.enrolment_code(area, "Loa"), tmp_path / "device")


async def test_a_link_too_many_is_told_to_come_back(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_socket, "MAX_LINKS", 1)
    url = f"http://127.0.0.1:{core.http_port}/link"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=(SUBPROTOCOL,)) as first,
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(url, protocols=(SUBPROTOCOL,))
        assert caught.value.status == 503
        assert caught.value.headers is not None
        assert caught.value.headers["Retry-After"] == "1"
        await first.send_bytes(hello(bytes(16)))
        async for _ in first:
            pass
        async with asyncio.timeout(10), session.ws_connect(url, protocols=(SUBPROTOCOL,)) as again:
            assert not again.closed


async def test_there_is_no_head_of_a_link(api: ApiClient) -> None:
    async with api._session.head(f"{api.url}/link") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")
