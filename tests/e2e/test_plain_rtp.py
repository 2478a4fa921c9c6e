"""Plain RTP as others hear it: ffmpeg by the description, GStreamer by its parameters, compared with the sound."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loa.app.api_client import Json
from loa.app.demo.stage import Stage, free_udp_port
from loa.codecs.multicast import SAP_PORT
from loa.codecs.ogg_opus import read_ogg_opus
from loa.codecs.opus_decode import OpusDecoder
from loa.codecs.rtp import RtpHeader, parse_packet
from loa.codecs.sap import Announcement
from loa.edge.speaker.group_ear import Membership
from loa.edge.speaker.group_socket import join_group
from tests import sounds

GROUP, SAP = "239.7.0.2", "239.255.255.255"
ALIKE = 0.98
"""Correlation from which a frame is taken for another."""
RATE = 48_000
FRAME = 960
Samples = NDArray[np.float32]


def wandering(seconds: float, seed: int) -> Samples:
    """A tone whose pitch wanders, so that no two moments are alike."""
    rng = np.random.default_rng(seed)
    knots = rng.uniform(300, 3_000, round(seconds * 20) + 2)
    pitch = np.interp(np.arange(round(seconds * RATE)) / RATE * 20, np.arange(len(knots)), knots)
    made: Samples = (0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)).astype(np.float32)
    return made


@contextlib.asynccontextmanager
async def running(*arguments: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A receiver, told to come to its end when the block is left."""
    with log.open("wb") as opened:
        child = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=opened, stderr=opened
        )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(child.wait(), 10)
        except TimeoutError:
            child.kill()
            await child.wait()


def members(group: str) -> int:
    """How many sockets of this machine have joined a group (proc(5), /proc/net/igmp)."""
    name = socket.inet_aton(group)[::-1].hex().upper()
    rows = [line.split() for line in Path("/proc/net/igmp").read_text(encoding="ascii").splitlines()]
    return sum(int(row[1]) for row in rows if row[0] == name)


def recorded(path: Path) -> Samples:
    """A mono WAV file."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    made: Samples = (pcm / 32_768).astype(np.float32)
    return made


def lag_of(sound: Samples, at: int, heard: Samples) -> int:
    """By how many samples later 200 ms of a sound, from sample `at` on, are heard: where they fit best."""
    piece = sound[at : at + 10 * FRAME].astype(np.float64)
    size = 1 << (len(heard) + len(piece)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(piece, size)), size)
    return int(np.argmax(product[: len(heard)])) - at


def heard_at(sound: Samples, lag: int, heard: Samples) -> list[bool]:
    """For each frame of 20 ms of a sound, whether it is heard so many samples later."""
    found = []
    for at in range(0, len(sound) - FRAME + 1, FRAME):
        ours = sound[at : at + FRAME].astype(np.float64)
        theirs = heard[max(0, at + lag) : max(0, at + lag) + FRAME].astype(np.float64)
        alike = len(theirs) == FRAME and ours @ theirs > ALIKE * np.sqrt((ours @ ours) * (theirs @ theirs))
        found.append(bool(alike))
    return found


def check(first: Samples, second: Samples, heard: Samples) -> None:
    """The first sound up to the second, the whole second, and the first from there on; each frame in its place.

    A decoder that changes over needs two frames until it is the other sound's.
    """
    assert all(heard_at(second, lag_of(second, len(second) // 2, heard), heard)[2:])
    before, after = lag_of(first, 10 * FRAME, heard), lag_of(first, len(first) - 20 * FRAME, heard)
    assert 0 <= after - before <= 2 * FRAME
    early, late = heard_at(first, before, heard), heard_at(first, after, heard)
    came_to = early.index(False)
    went_on = len(late) - late[::-1].index(False)
    assert came_to >= 60
    assert len(late) - went_on >= 40
    # On the stream's own time line, on which the first may stand a little later after the second than before it.
    gap = (went_on - came_to) * FRAME + after - before - len(second)
    assert 0 <= gap <= 4 * FRAME, (came_to, went_on, before, after)


async def stored(stage: Stage, programme: Json) -> tuple[list[bytes], Samples]:
    """A programme's packets, and what they sound like."""
    packets = list(read_ogg_opus(await stage.api.audio(programme["id"])).packets)
    with OpusDecoder() as decoder:
        return packets, np.concatenate([decoder.decode(packet) for packet in packets])


async def moment(stage: Stage) -> None:
    """A while, in which something may come to be."""
    stage.check_alive()
    await asyncio.sleep(0.05)


async def announcement(announced: socket.socket, description: bytes) -> Announcement:
    """The next that is of this session: other cores announce theirs in the same place."""
    of = description.split(b"\r\n")[1]
    async with asyncio.timeout(5):
        while True:
            data = await asyncio.get_running_loop().sock_recv(announced, 2_048)
            if of in data:
                return Announcement.parse(data)


@pytest.mark.timeout(120)
async def test_ffmpeg_and_gstreamer_hear_a_broadcast_and_the_one_that_pre_empts_it(tmp_path: Path) -> None:
    for name, seconds in (("first", 4.0), ("second", 1.0)):
        (tmp_path / f"{name}.wav").write_bytes(sounds.wav(wandering(seconds, round(seconds))))
    async with Stage(tmp_path / "city") as stage:
        await stage.open_core()
        await stage.build_areas("Hải Phòng", [("Cát Hải", ["Phù Long"])])
        programmes = [await stage.api.upload(name, tmp_path / f"{name}.wav") for name in ("first", "second")]
        (first, first_pcm), (second, second_pcm) = [await stored(stage, each) for each in programmes]
        path, port = f"/api/v1/areas/{stage.communes[0]}", free_udp_port()
        output = {"address": GROUP, "port": port, "ttl": 1, "source": "127.0.0.1"}
        loop = asyncio.get_running_loop()
        with (
            join_group(Membership(SAP, SAP_PORT, "127.0.0.1")) as announced,
            join_group(Membership(GROUP, port, "127.0.0.1")) as third,
        ):
            await stage.api.call("PUT", f"{path}/plain-rtp", output)
            async with stage.api._session.get(f"{stage.url}{path}/sdp") as answer:
                description = await answer.read()
            there = await announcement(announced, description)
            assert (there.deletion, there.payload) == (False, description)
            sdp = tmp_path / "area.sdp"
            sdp.write_bytes(description)
            async with (
                running(*ffmpeg(sdp, tmp_path / "ffmpeg.wav"), log=tmp_path / "ffmpeg.log"),
                running(*gstreamer(port, tmp_path / "gstreamer.wav"), log=tmp_path / "gstreamer.log"),
            ):
                while members(GROUP) < 1 + 2 + 1:  # this test, ffmpeg for RTP and for RTCP, GStreamer
                    await moment(stage)
                packets: list[tuple[RtpHeader, bytes]] = []
                broadcast = await stage.api.start(programmes[0]["id"], areas=[stage.city], play_delay_ms=500)
                on_air = f"/api/v1/broadcasts/{broadcast['id']}"
                while len(packets) < 80:
                    packets.append(parse_packet(await asyncio.wait_for(loop.sock_recv(third, 2_048), 5)))
                await stage.api.start(
                    programmes[1]["id"], areas=[stage.communes[0]], play_delay_ms=500, priority=120
                )
                while (await stage.api.call("GET", on_air))["state"] != "ended":
                    await moment(stage)
            with contextlib.suppress(BlockingIOError):
                while True:
                    packets.append(parse_packet(third.recv(2_048)))
            await stage.api.call("DELETE", f"{path}/plain-rtp")
            gone = await announcement(announced, description)
            assert (gone.deletion, gone.id_hash) == (True, there.id_hash)
    headers = [header for header, _ in packets]
    assert len({header.ssrc for header in headers}) == 1
    assert {(b.sequence - a.sequence) % 2**16 for a, b in itertools.pairwise(headers)} == {1}
    assert sum(header.marker for header in headers) == 3
    payloads = [payload for _, payload in packets]
    at = payloads.index(second[0])
    assert payloads[:at] == first[:at]
    assert payloads[at : at + len(second)] == second
    rest = payloads[at + len(second) :]
    assert rest == first[len(first) - len(rest) :]
    for name in ("ffmpeg", "gstreamer"):
        await asyncio.to_thread(check, first_pcm, second_pcm, recorded(tmp_path / f"{name}.wav"))


def ffmpeg(sdp: Path, wav: Path) -> list[str]:
    """A receiver that knows the description and nothing else."""
    given = ["-protocol_whitelist", "file,udp,rtp", "-localaddr", "127.0.0.1", "-i", str(sdp)]
    return ["ffmpeg", "-nostdin", "-hide_banner", *given, "-ac", "1", "-ar", str(RATE), str(wav)]


def gstreamer(port: int, wav: Path) -> list[str]:
    """A receiver that was set up by hand."""
    caps = "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000"
    source = f"udpsrc address={GROUP} port={port} multicast-iface=lo caps={caps}"
    decode = "rtpjitterbuffer latency=100 ! rtpopusdepay ! opusdec ! audioconvert"
    store = f"audio/x-raw,rate={RATE},channels=1,format=S16LE ! wavenc ! filesink location={wav}"
    return ["gst-launch-1.0", "-e", *f"{source} ! {decode} ! {store}".split()]
