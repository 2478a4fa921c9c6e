"""GET /link: who may come in, and how bad messages are answered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import secrets
import weakref
from pathlib import Path

import aiohttp
import msgpack
import pytest

from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.codecs import key_schedule, link_wire
from loa.codecs.key_schedule import Agreement
from loa.codecs.link_wire import SUBPROTOCOL, Bye, Hello, Message, Proof, StatementMessage, WelcomeMessage
from loa.codecs.signed import Kind, SigningKey, parse
from loa.codecs.statement_wire import Welcome
from loa.control_api.link_socket import SocketTransport
from loa.edge.speaker import enrol, identity
from loa.edge.speaker.identity import Identity
from loa.model import id_text
from tests.control_api.devices import linked

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def enrolled(api: ApiClient, folder: Path) -> Identity:
    """A device with its identity on disk."""
    area = await api.create_area("Xã thử", "commune")
    await enrol.claim(api.url, await api.enrolment_code(area, "Loa thử"), folder)
    loaded = identity.load(folder)
    assert loaded is not None
    return loaded


def hello(endpoint_id: bytes) -> bytes:
    return link_wire.encode(Hello(endpoint_id, secrets.token_bytes(32), Agreement().public, 0, "test"))


async def said_to(core: Core, *messages: bytes | str) -> list[Message]:
    """All that the core answers to these messages, until it closes."""
    answers: list[Message] = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"http://127.0.0.1:{core.http_port}/link", protocols=(SUBPROTOCOL,), max_msg_size=0
        ) as socket,
    ):
        for message in messages:
            if isinstance(message, str):
                await socket.send_str(message)
            else:
                await socket.send_bytes(message)
        async for answer in socket:
            assert isinstance(answer.data, bytes)
            answers.append(link_wire.decode(answer.data))
    return answers


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\x01"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"GET / HTTP/1.1",
        nested(10_000),
        msgpack.packb({0: 99}),
        msgpack.packb({0: 1}),
        msgpack.packb({1: 1, 0: 1}),
        b"\x81\x00\xc6\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        link_wire.encode(Bye("x")),
        "a text message",
    ],
    ids=[
        "empty", "reserved", "http", "nested 10,000 deep", "unknown type", "no fields", "keys out of order",
        "4 GB announced", "4 billion keys announced", "not a hello", "text",
    ],
)  # fmt: skip
async def test_what_is_no_hello_is_told_so(core: Core, message: bytes | str) -> None:
    answers = await said_to(core, message)
    assert [type(answer) for answer in answers] == [Bye]
    assert isinstance(answers[0], Bye)
    assert answers[0].reason == "malformed"


async def test_a_message_of_100_megabytes_ends_the_link(core: Core, api: ApiClient) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{core.http_port}/link", protocols=(SUBPROTOCOL,)) as socket,
    ):
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await socket.send_bytes(bytes(100 * 2**20))
        async for _ in socket:
            pass
        assert socket.closed
    assert await api.items("/api/v1/areas") is not None


async def test_a_link_without_the_subprotocol_is_refused(core: Core) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"http://127.0.0.1:{core.http_port}/link")
        assert caught.value.status == 400


async def test_an_unknown_endpoint_is_refused(core: Core) -> None:
    answers = await said_to(core, hello(secrets.token_bytes(16)))
    assert isinstance(answers[-1], Bye)
    assert answers[-1].reason == "unknown_endpoint"


async def test_another_devices_key_does_not_open_a_link(core: Core, api: ApiClient, tmp_path: Path) -> None:
    device = await enrolled(api, tmp_path / "device")
    first = hello(device.endpoint_id)
    thief = SigningKey.generate()
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{api.url}/link", protocols=(SUBPROTOCOL,)) as socket,
    ):
        await socket.send_bytes(first)
        welcome = link_wire.decode(await socket.receive_bytes())
        assert isinstance(welcome, WelcomeMessage)
        signature = thief.sign(key_schedule.proof_message(first, welcome.welcome))
        await socket.send_bytes(link_wire.encode(Proof(signature)))
        answer = link_wire.decode(await socket.receive_bytes())
    assert isinstance(answer, Bye)
    assert answer.reason == "bad_proof"


async def test_the_welcome_is_fresh_signed_and_for_this_hello(core: Core, api: ApiClient, tmp_path: Path) -> None:
    device = await enrolled(api, tmp_path / "device")
    first = hello(device.endpoint_id)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{api.url}/link", protocols=(SUBPROTOCOL,)) as socket,
    ):
        await socket.send_bytes(first)
        message = link_wire.decode(await socket.receive_bytes())
        assert isinstance(message, WelcomeMessage)
        envelope = parse(message.welcome, Kind.WELCOME)
        envelope.check(device.authority.key_list.keys[0].public_key)
        welcome = Welcome.decode(envelope.body)
        assert welcome.hello_hash == hashlib.sha256(first).digest()
        assert welcome.endpoint_id == device.endpoint_id
        signature = device.device_key.sign(key_schedule.proof_message(first, message.welcome))
        await socket.send_bytes(link_wire.encode(Proof(signature)))
        placed = link_wire.decode(await socket.receive_bytes())
        assert isinstance(placed, StatementMessage)
        await socket.send_bytes(first)
        while not isinstance(answer := link_wire.decode(await socket.receive_bytes()), Bye):
            pass
    assert answer.reason == "malformed"


async def test_a_revoked_endpoint_is_refused(core: Core, api: ApiClient, tmp_path: Path) -> None:
    device = await enrolled(api, tmp_path / "device")
    rows = await api.items("/api/v1/endpoints")
    row = next(item for item in rows if item["id"].replace("-", "") == device.endpoint_id.hex())
    revoked = await api.call("POST", f"/api/v1/endpoints/{row['id']}/revoke")
    assert revoked["revoked_at"] is not None
    answers = await said_to(core, hello(device.endpoint_id))
    assert isinstance(answers[-1], Bye)
    assert answers[-1].reason == "revoked"


async def test_a_device_revoked_during_its_handshake_gets_nothing(
    core: Core, api: ApiClient, tmp_path: Path
) -> None:
    device = await enrolled(api, tmp_path / "device")
    first = hello(device.endpoint_id)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{api.url}/link", protocols=(SUBPROTOCOL,)) as socket,
    ):
        await socket.send_bytes(first)
        welcome = link_wire.decode(await socket.receive_bytes())
        assert isinstance(welcome, WelcomeMessage)
        await api.call("POST", f"/api/v1/endpoints/{id_text(device.endpoint_id)}/revoke")
        signature = device.device_key.sign(key_schedule.proof_message(first, welcome.welcome))
        await socket.send_bytes(link_wire.encode(Proof(signature)))
        answer = link_wire.decode(await socket.receive_bytes())
    assert isinstance(answer, Bye)
    assert answer.reason == "revoked"
    assert core._hub.session(device.endpoint_id) is None


@pytest.mark.parametrize("goodbye", [True, False])
async def test_of_a_link_that_has_ended_nothing_waits_for_a_collection_of_cycles(
    core: Core, api: ApiClient, tmp_path: Path, goodbye: bool
) -> None:
    area = await api.create_area("Xã thử", "commune")
    gc.disable()
    try:
        async with linked(api, tmp_path, area) as device:
            session = core._hub.session(device.identity.endpoint_id)
            assert session is not None
            assert isinstance(session.transport, SocketTransport)
            left = weakref.ref(session.transport._socket)
            del session
            if not goodbye:
                connection = device._socket._response.connection
                assert connection is not None
                assert connection.transport is not None
                connection.transport.abort()
        async with asyncio.timeout(20):
            while True:
                if left() is None:
                    break
                await asyncio.sleep(0.02)
    finally:
        gc.enable()
