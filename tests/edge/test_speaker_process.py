"""The speaker with real sockets, threads, files and Opus, against a small origin on the loopback."""

from __future__ import annotations

import asyncio
import json
import time
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from aiohttp import WSMsgType, web

from loa.app.speaker import Settings, Speaker, make_output
from loa.cli.speaker import exit_code
from loa.codecs import link_wire, rtp
from loa.codecs.link_wire import Bye, OrderMessage, Receipt, ReceiptsAck, ReceiptsMessage
from loa.codecs.opus_encode import OpusEncoder
from loa.codecs.order_wire import Tune
from loa.codecs.rtp import RtpHeader
from loa.codecs.srtp import SrtpContext
from loa.edge.speaker.link_client import BackOff, link_url
from loa.errors import ConfigError, EnrolmentError, LinkError, WireError
from loa.model import ReceiptState, id_text
from loa.timing.clock import SystemClock, parse_skew
from tests.edge.origin import BROADCAST, Authorities, ServerChannel, ServerLink, Sound, tone, tune

MS = 1_000_000


class Origin(asyncio.DatagramProtocol):
    """One link and one media socket. Origin time is this machine's monotonic clock."""

    def __init__(self) -> None:
        self.by = Authorities()
        self.receipts: list[Receipt] = []
        self.byes: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.channel: ServerChannel | None = None
        self.peer: tuple[str, int] | None = None
        self.url = ""
        self.links = 0
        self.media_port = 0
        self.finished = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.media_port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.channel is not None:
            for answer in self.channel.receive(data, time.monotonic_ns()):
                self.transport.sendto(answer, addr)
            self.peer = addr if self.channel.bound else None

    async def link(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(link_wire.SUBPROTOCOL,))
        await socket.prepare(request)
        self.links += 1
        self.sockets.append(socket)
        hello = await socket.receive_bytes()
        link = ServerLink(self.by, hello)
        await socket.send_bytes(link.welcome(origin_ns=time.monotonic_ns(), media_port=self.media_port))
        keys = link.take_proof(await socket.receive_bytes())
        self.channel = ServerChannel(b"channel1", keys.channel_secret)
        await socket.send_bytes(link.secret())
        async for message in socket:
            assert message.type is WSMsgType.BINARY
            said = link_wire.decode(message.data)
            if isinstance(said, ReceiptsMessage):
                self.receipts += said.receipts
                acked = tuple((each.order_id, int(each.state)) for each in said.receipts)
                await socket.send_bytes(link_wire.encode(ReceiptsAck(acked)))
                if any(each.state is ReceiptState.FINISHED for each in said.receipts):
                    self.finished.set()
            elif isinstance(said, Bye):
                self.byes.append(said.reason)
        return socket

    async def air(self, of: Tune, packets: list[bytes]) -> None:
        await self.sockets[-1].send_bytes(link_wire.encode(OrderMessage(self.by.order(of))))
        media = Sound(of).media_key
        srtp = SrtpContext(media.key, media.salt)
        for number, packet in enumerate(packets):
            wait_ns = of.start_ns + number * 20 * MS - time.monotonic_ns()
            await asyncio.sleep(max(0, wait_ns) / 1e9)
            index = of.index0 + number
            timestamp = (of.timestamp0 + number * 960) % (1 << 32)
            header = RtpHeader(rtp.PT_OPUS, index & 0xFFFF, timestamp, of.ssrc).pack()
            self.transport.sendto(srtp.protect(header, packet, index), self.peer)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(Origin, local_addr=("127.0.0.1", 0))
    app = web.Application()
    app.router.add_get("/link", made.link)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    for socket in made.sockets:
        await socket.close()
    await runner.cleanup()
    transport.close()


async def until(seconds: float, done: Callable[[], bool]) -> None:
    """Poll a condition; TimeoutError when it does not come true in time."""
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


async def test_a_tone_is_heard_on_a_skewed_clock_and_written_down_where_it_belongs(
    origin: Origin, tmp_path: Path
) -> None:
    origin.by.enrolled(tmp_path)
    skew = "-1800s,-80ppm"
    settings = Settings(
        origin.url,
        tmp_path / "state",
        output=f"wav:{tmp_path / 'heard'}",
        clock_skew=skew,
        report=tmp_path / "report.json",
    )
    speaker = Speaker(settings)
    running = asyncio.create_task(speaker.run())
    await until(10, lambda: origin.peer is not None)
    await asyncio.sleep(1.5)

    encoder = OpusEncoder(bitrate_bps=64_000)
    samples = tone(np.arange(40 * 960, dtype=np.float64))
    packets = (encoder.encode(samples) + encoder.flush())[:40]
    start_ns = time.monotonic_ns() + 200 * MS
    of = tune(start_ns=start_ns, play_delay_ms=300, end_index=65_500 + len(packets))
    await origin.air(of, packets)
    async with asyncio.timeout(10):
        await origin.finished.wait()
    speaker.stop()
    async with asyncio.timeout(10):
        await running

    assert [each.state for each in origin.receipts] == [
        ReceiptState.RECEIVED,
        ReceiptState.ACCEPTED,
        ReceiptState.STARTED,
        ReceiptState.FINISHED,
    ]
    result = origin.receipts[-1].result
    assert result is not None
    assert (result.played, result.concealed, result.reason) == (40, 0, "end")
    assert abs(origin.receipts[2].presented_ns - start_ns - 300 * MS) < 5 * MS
    assert origin.byes == ["shutdown"]

    path = tmp_path / "heard" / f"{id_text(BROADCAST)}.wav"
    sidecar = json.loads(path.with_suffix(".json").read_text())
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2)
        assert file.getnframes() == sidecar["samples"]
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32767
    assert (sidecar["played"], sidecar["concealed_frames"], sidecar["finished_reason"]) == (40, [], "end")
    assert float(np.sqrt(np.mean(pcm[10_000:20_000] ** 2))) == pytest.approx(0.5 / 2**0.5, rel=0.05)
    offset_ns, rate_ppm = parse_skew(skew)
    wav_origin_ns = (sidecar["wav_local_ns"] - offset_ns) / (1 + rate_ppm / 1_000_000)
    assert abs(float(wav_origin_ns) - start_ns - 300 * MS) < 15 * MS  # the first sample is within its first block
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["played"], report["state"], report["volume"]) == (40, "stopped", 100)


async def test_a_link_that_breaks_is_made_again(origin: Origin, tmp_path: Path) -> None:
    origin.by.enrolled(tmp_path)
    speaker = Speaker(Settings(origin.url, tmp_path / "state", output="null"))
    running = asyncio.create_task(speaker.run())
    await until(10, lambda: origin.peer is not None)
    await origin.sockets[0].close()
    await until(10, lambda: origin.links == 2)
    speaker.stop()
    async with asyncio.timeout(10):
        await running


async def test_without_an_identity_and_a_code_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--code"):
        await Speaker(Settings("http://127.0.0.1:1", tmp_path / "state", output="null")).run()


@pytest.mark.parametrize("text", ["", "nulls", "wav", "null:x", "alsa"])
def test_an_unknown_output_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--output"):
        make_output(text, SystemClock())


@pytest.mark.parametrize("url", ["", "host:8080", "ftp://host", "http://"])
def test_a_core_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--core"):
        link_url(url)


def test_the_link_s_address_follows_the_core_s() -> None:
    assert link_url("http://127.0.0.1:8080/") == "ws://127.0.0.1:8080/link"
    assert link_url("https://loa.example/core") == "wss://loa.example/core/link"


def test_back_off_doubles_to_30_s_and_an_unwanted_device_waits_ten_minutes() -> None:
    import random

    waits = BackOff(random.Random(3))
    seen = [waits.next_s() for _ in range(12)]
    for number, wait_s in enumerate(seen):
        middle = min(30.0, 0.5 * 2**number)
        assert 0.5 * middle <= wait_s <= 1.5 * middle
    assert waits.next_s("revoked") == waits.next_s("unknown_endpoint") == 600
    waits.succeeded()
    assert waits.next_s() <= 0.75


def test_exit_codes_tell_what_is_the_matter() -> None:
    assert exit_code(ConfigError("x")) == 2
    assert exit_code(EnrolmentError("wrong", "x")) == 3
    assert exit_code(LinkError("x")) == 4
    assert exit_code(WireError("x")) == 1
