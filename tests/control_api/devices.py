"""An enrolled speaker whose link a test reads by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from loa.app.api_client import ApiClient
from loa.codecs.link_wire import SUBPROTOCOL
from loa.edge.speaker import enrol, identity
from loa.edge.speaker.identity import Identity
from loa.edge.speaker.link_session import Event, LinkSession, SecretReceived, Welcomed
from loa.edge.speaker.order_gate import Accepted, OrderGate, Refusal


class Device:
    """An enrolled speaker's own link session and order gate, on a socket that the test reads by hand."""

    def __init__(self, who: Identity, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.identity = who
        self.session = LinkSession(who, "test")
        self.gate = OrderGate(who.authority, who.endpoint_id, lambda _: None)
        self._socket = socket

    async def send(self) -> None:
        for message in self.session.take_outgoing():
            await self._socket.send_bytes(message)

    async def events(self) -> list[Event]:
        """What the next message says."""
        async with asyncio.timeout(20):
            return self.session.receive(await self._socket.receive_bytes(), time.monotonic_ns())

    async def until(self, kind: type[Event]) -> Event:
        """The first event of this kind."""
        while True:
            for event in await self.events():
                if isinstance(event, kind):
                    return event

    def judge(self, bundle: bytes) -> Accepted | Refusal:
        verdict = self.gate.judge(
            bundle, now_ns=0, utc_ms=time.time_ns() // 1_000_000, place=self.identity.placement.areas
        )
        assert isinstance(verdict, Accepted | Refusal)
        return verdict


@asynccontextmanager
async def greeted(api: ApiClient, folder: Path, area: str) -> AsyncIterator[Device]:
    """A device that has had its welcome, and has not answered it."""
    await enrol.claim(api.url, await api.enrolment_code(area, "Loa thử khóa"), folder)
    who = identity.load(folder)
    assert who is not None
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{api.url}/link", protocols=(SUBPROTOCOL,)) as socket,
    ):
        device = Device(who, socket)
        await socket.send_bytes(device.session.hello())
        await device.until(Welcomed)
        yield device


@asynccontextmanager
async def linked(api: ApiClient, folder: Path, area: str) -> AsyncIterator[Device]:
    """A device whose link is up."""
    async with greeted(api, folder, area) as device:
        await device.send()
        await device.until(SecretReceived)
        yield device
