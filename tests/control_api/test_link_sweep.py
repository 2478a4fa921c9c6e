"""Links whose other end says nothing: pinged, then given up; and what goes out as one frame for all."""

from __future__ import annotations

import asyncio
import struct
from typing import cast

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from loa.app.core import Core
from loa.codecs.link_wire import SUBPROTOCOL
from loa.control_api import link_socket
from loa.control_api.link_socket import SocketTransport, frame
from loa.control_api.link_sweep import LinkSweep
from loa.errors import LinkError


class Silent:
    """A socket from which nothing comes, and what is under it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborted = False
        self.unsent_bytes = 0
        self.coming: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue()

    async def receive(self) -> aiohttp.WSMessage:
        return await self.coming.get()

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def transport(self) -> SocketTransport:
        return SocketTransport(cast(web.WebSocketResponse, self), cast(asyncio.Transport, self))


async def test_one_that_stays_silent_is_pinged_once_and_then_gone() -> None:
    silent, sweep = Silent(), LinkSweep()
    link = silent.transport()
    reading = asyncio.create_task(link.receive())
    await asyncio.sleep(0)
    with sweep.of(link):
        await sweep.turn()
        assert silent.written == []
        for _ in range(2):
            await sweep.turn()
        assert (silent.written, silent.aborted) == ([b"\x89\x00"], False)
        await sweep.turn()
        assert silent.aborted
    with pytest.raises(LinkError):
        link.send(b"x")
    reading.cancel()


async def test_one_that_answers_stays_and_its_own_pings_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_socket, "CONTROL_PAUSE_S", 0)
    silent, sweep = Silent(), LinkSweep()
    link = silent.transport()
    reading = asyncio.create_task(link.receive())
    with sweep.of(link):
        for kind, data in ((WSMsgType.PONG, b""), (WSMsgType.PING, b"who")) * 3:
            await sweep.turn()
            await sweep.turn()
            silent.coming.put_nowait(aiohttp.WSMessage(kind, data, None))
            for _ in range(5):
                await asyncio.sleep(0)
        assert not silent.aborted
        assert silent.written.count(b"\x8a\x03who") == 3
        silent.coming.put_nowait(aiohttp.WSMessage(WSMsgType.BINARY, b"a status", None))
        assert await reading == b"a status"


async def test_a_flood_of_pings_leaves_others_their_turn_and_fills_nothing() -> None:
    silent = Silent()
    for _ in range(1000):
        silent.coming.put_nowait(aiohttp.WSMessage(WSMsgType.PING, b"who", None))
    reading = asyncio.create_task(silent.transport().receive())
    await asyncio.sleep(0)
    assert silent.coming.qsize() >= 990
    assert silent.written == [b"\x8a\x03who"]
    reading.cancel()
    silent.unsent_bytes = 1
    reading = asyncio.create_task(silent.transport().receive())
    await asyncio.sleep(0)
    assert silent.written == [b"\x8a\x03who"]
    reading.cancel()


async def test_nobody_is_given_up_while_this_side_does_not_read() -> None:
    silent, sweep = Silent(), LinkSweep()
    with sweep.of(silent.transport()):
        for _ in range(10):
            await sweep.turn()
    assert not silent.aborted
    await sweep.turn()
    assert silent.written == []


@given(size=st.one_of(st.integers(0, 300), st.sampled_from([65_535, 65_536, 70_000])))
def test_a_frame_says_its_length_in_the_shortest_way(size: int) -> None:
    made = frame(WSMsgType.BINARY, bytes(size))
    assert made[0] == 0x82
    shown, at = made[1], 2
    if shown == 126:
        (shown,), at = struct.unpack_from("!H", made, 2), 4
        assert shown > 125
    elif shown == 127:
        (shown,), at = struct.unpack_from("!Q", made, 2), 10
        assert shown > 65_535
    assert shown == size == len(made) - at


@pytest.mark.asyncio(loop_scope="module")
async def test_a_link_answers_pings_of_its_endpoint(core: Core) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{core.url}/link", protocols=(SUBPROTOCOL,), autoping=False) as socket,
    ):
        await socket.ping(b"there?")
        answer = await socket.receive()
        assert (answer.type, answer.data) == (WSMsgType.PONG, b"there?")
