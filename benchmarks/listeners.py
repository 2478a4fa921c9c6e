"""HTTP listeners: Loa beside Icecast, the same sound in pages of the same length to crowds of the same size."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import Figure
from benchmarks.processor import cpu_s
from loa.app.api_client import ApiClient
from loa.app.open_files import raise_file_limit
from loa.codecs.ogg_opus import OggOpusWriter, read_ogg_opus
from tests import sounds

CASES = ((20, 2_000), (200, 8_000), (1_000, 8_000))
"""Length of a page in milliseconds, and listeners."""
JOINS_PER_S = 2_000
SECONDS = 10.0
SOUND_S = 60.0
FRAME_S = 0.02
READY_S = 20.0
ASK_S = 0.02
ICECAST = "icecast2"
_PASSWORD = "source"
_CONFIG = """<icecast>
  <limits><clients>{most}</clients><sources>2</sources><queue-size>524288</queue-size><burst-size>65535</burst-size>
    <header-timeout>15</header-timeout><source-timeout>10</source-timeout></limits>
  <authentication><source-password>{password}</source-password><admin-password>{password}</admin-password>
  </authentication>
  <hostname>127.0.0.1</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <paths><basedir>{folder}</basedir><logdir>{folder}</logdir><webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot></paths>
  <logging><loglevel>1</loglevel><accesslog>access.log</accesslog><errorlog>error.log</errorlog></logging>
  <security><chroot>0</chroot>{owner}</security>
</icecast>
"""
_OWNER = "<changeowner><user>nobody</user><group>nogroup</group></changeowner>"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a crowd met at a server.

    `cores`: what the server used, in cores, while nobody came or went. `request_ms`: how long another request took
    at the 99th percentile, also while all came.
    """

    joins: int
    served: int
    p99_ms: float
    listening: int
    cores: float
    kbit_a_listener: float
    request_ms: float | None = None


def measure() -> list[Figure]:
    """Real processes: both servers in turn, for each length of a page, and the crowd."""
    raise_file_limit()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        packets = asyncio.run(_make_programme(folder))
        for page_ms, count in CASES:
            ours = _loa(folder, page_ms, count)
            theirs = _icecast(folder, page_ms, count, packets) if shutil.which(ICECAST) else None
            figures += _told(page_ms, ours, theirs)
    return figures


def _told(page_ms: int, ours: Outcome, theirs: Outcome | None) -> Iterator[Figure]:
    if theirs is not None:
        yield from _of("Icecast", page_ms, theirs)
        ratio = (ours.cores / ours.listening) / (theirs.cores / theirs.listening)
        name = f"{page_ms} ms pages, Loa: CPU a listener, of Icecast's"
        yield Figure(name, ratio, "×", at_most=1.0 if page_ms == 200 else 1.2)
    yield from _of("Loa", page_ms, ours, all_served=100.0 if page_ms >= 200 else None)


def _of(who: str, page_ms: int, outcome: Outcome, all_served: float | None = None) -> Iterator[Figure]:
    where = f"{page_ms} ms pages, {who}"
    joins = f"of {outcome.joins:,}, {JOINS_PER_S:,} a second"
    each = f"{outcome.listening:,} listeners, {outcome.kbit_a_listener:.0f} kbit/s each"
    yield Figure(f"{where}: joins served", 100 * outcome.served / outcome.joins, "%", joins, at_least=all_served)
    yield Figure(f"{where}: first sound, p99", outcome.p99_ms, "ms")
    yield Figure(f"{where}: CPU", outcome.cores, "cores", each)
    if outcome.request_ms is not None:
        yield Figure(f"{where}: another request meanwhile, p99", outcome.request_ms, "ms")


# --- Loa ------------------------------------------------------------------------------------------------------


@contextmanager
def _core(folder: Path, page_ms: int, most: int) -> Iterator[tuple[int, str, str]]:
    """A core: its pid, address and token."""
    environment = {"LOA_LISTEN_PAGE_MS": str(page_ms), "LOA_LISTENERS_MOST": str(most), "LOA_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "loa", "serve", "--data-dir", str(folder / "core"), "--http-port", "0"]
    with (
        (folder / "core.log").open("a") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | environment
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = re.findall(r"http://\S+", process.stdout.readline())[0]
            yield process.pid, url, (folder / "core" / "admin.token").read_text().strip()
        finally:
            process.terminate()
            process.wait(30)


async def _make_programme(folder: Path) -> list[bytes]:
    """Upload the sound; the packets that it becomes."""
    sound = folder / "sound.wav"
    sound.write_bytes(sounds.wav(sounds.siren(SOUND_S)))
    with _core(folder, 200, 0) as (_, url, token):
        async with ApiClient(url, token) as api:
            programme = await api.upload("Còi thử", sound)
            await api.create_area("Phường thử", "commune")
            return read_ogg_opus(await api.audio(programme["id"])).packets


async def _begin(url: str, token: str) -> str:
    async with ApiClient(url, token) as api:
        [area] = await api.items("/api/v1/areas")
        [programme] = await api.items("/api/v1/programmes")
        broadcast = await api.start(programme["id"], areas=[area["id"]])
        return f"{url}/listen/{broadcast['id']}.ogg"


def _loa(folder: Path, page_ms: int, count: int) -> Outcome:
    with _core(folder, page_ms, count) as (pid, url, token):
        broadcast = asyncio.run(_begin(url, token))
        with _asking(url) as took_ms:
            outcome = _crowd(pid, broadcast, count)
        return replace(outcome, request_ms=sorted(took_ms)[len(took_ms) * 99 // 100])


@contextmanager
def _asking(url: str) -> Iterator[list[float]]:
    """Ask for something small every ASK_S meanwhile: how long each answer took, in milliseconds."""
    took_ms: list[float] = []
    done = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=READY_S)
        while not done.wait(ASK_S):
            began = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            took_ms.append((time.perf_counter() - began) * 1e3)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield took_ms
    finally:
        done.set()
        asking.join()


# --- Icecast --------------------------------------------------------------------------------------------------


def _icecast(folder: Path, page_ms: int, count: int, packets: list[bytes]) -> Outcome:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        home.chmod(0o777)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        owner = _OWNER if os.geteuid() == 0 else ""
        config = home / "icecast.xml"
        config.write_text(_CONFIG.format(most=count + 100, password=_PASSWORD, port=port, folder=home, owner=owner))
        process = stack.enter_context(
            subprocess.Popen([ICECAST, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        stack.callback(process.terminate)
        source = stack.enter_context(_connected(port))
        done = threading.Event()
        feeding = threading.Thread(target=_feed, args=(source, packets, page_ms, done))
        feeding.start()
        stack.callback(feeding.join)
        stack.callback(done.set)
        time.sleep(2)
        return _crowd(process.pid, f"http://127.0.0.1:{port}/live.ogg", count)


def _connected(port: int) -> socket.socket:
    """A connection to it, once it listens."""
    end = time.monotonic() + READY_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=READY_S)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _feed(source: socket.socket, packets: list[bytes], page_ms: int, done: threading.Event) -> None:
    """Send the sound as a source does, in real time and again and again, until told to be done."""
    login = "c291cmNlOnNvdXJjZQ=="  # source:source
    source.sendall(
        f"PUT /live.ogg HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {login}\r\n"
        "Content-Type: application/ogg\r\nIce-Name: bench\r\n\r\n".encode()
    )
    source.recv(4096)
    writer = OggOpusWriter(1, page_ms=page_ms)
    source.sendall(writer.headers())
    frames = page_ms // 20
    began, sent = time.monotonic(), 0
    while not done.is_set():
        at = sent % len(packets)
        source.sendall(writer.pages((packets[at : at + frames] + packets)[:frames]))
        sent += frames
        done.wait(max(0.0, began + sent * FRAME_S - time.monotonic()))


# --- both -----------------------------------------------------------------------------------------------------


def _crowd(pid: int, url: str, count: int) -> Outcome:
    command = [sys.executable, "-m", "benchmarks.listener_crowd", url, str(count), str(JOINS_PER_S), str(SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            joined = json.loads(process.stdout.readline())
            process.stdout.readline()
            used, began = cpu_s(pid), time.monotonic()
            heard = json.loads(process.stdout.readline())
            used, took = cpu_s(pid) - used, time.monotonic() - began
        finally:
            process.kill()
    if heard["wrong"]:
        raise RuntimeError(f"what listeners got is wrong: {heard['wrong'][:3]}")
    listening = max(1, heard["listening"])
    return Outcome(
        joins=count,
        served=joined["served"],
        p99_ms=joined["p99_ms"],
        listening=listening,
        cores=used / took,
        kbit_a_listener=heard["bytes"] * 8 / 1000 / took / listening,
    )
