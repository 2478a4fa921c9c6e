"""What reaches a socket of a generated endpoint: commands always, sound where it is wanted, a link's bytes while it
is read."""

from __future__ import annotations

import asyncio
import socket

import pytest

from loa.app.load.link import Link
from loa.app.load.sink_sockets import SinkSocket
from loa.codecs.channel_wire import MAGIC

SOUND, COMMAND = bytes((0x80, 111)) + bytes(30), bytes((MAGIC, 1)) + bytes(30)


@pytest.mark.parametrize("sound", [True, False])
def test_the_kernel_drops_sound_for_who_does_not_want_it(sound: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as core:
        core.bind(("127.0.0.1", 0))
        sink = SinkSocket(core.getsockname(), socket.AF_INET, shared=False, sound=sound)
        try:
            for data in (SOUND, COMMAND):
                core.sendto(data, sink.bare.getsockname())
            came = [data for _, data, _ in sink.read(0)]
        finally:
            sink.close()
    assert came == ([SOUND, COMMAND] if sound else [COMMAND])


class _Owner:
    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.ended = ""

    def link_open(self, link: Link) -> None:
        raise AssertionError("nothing was granted")

    def link_message(self, link: Link, data: bytes) -> None:
        self.messages.append(data)

    def link_lost(self, link: Link, reason: str) -> None:
        self.ended = reason


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Into nothing."""

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("deaf", [True, False])
def test_a_deaf_link_does_not_look_at_what_comes(deaf: bool) -> None:
    transport, link = _Transport(), Link("core:8080", "/link", _Owner())
    link.connection_made(transport)
    link.deaf = deaf
    link.data_received(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    assert transport.aborted is not deaf
