"""The speaker as a process: its sockets, timers and output around `loa.edge.speaker.engine`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from loa import __version__
from loa.app.sd_notify import ServiceManager, telling
from loa.codecs import libopus
from loa.edge.speaker import enrol, identity, interpolate
from loa.edge.speaker.channel import Address
from loa.edge.speaker.engine import SpeakerEngine
from loa.edge.speaker.group_ear import Membership
from loa.edge.speaker.group_socket import join_group
from loa.edge.speaker.link_client import LinkClient, link_url
from loa.edge.speaker.link_session import Event, PlacementChanged, SecretReceived, Welcomed
from loa.edge.speaker.output import LEAD_NS, CardOutput, NullOutput, Output
from loa.edge.speaker.report import report
from loa.edge.speaker.wav_output import WavOutput
from loa.errors import ConfigError, LoaError
from loa.timing.clock import Clock, SkewedClock, SystemClock, parse_skew

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
BUSY_TICK_NS = 10 * NS_PER_MS
IDLE_TICK_NS = 200 * NS_PER_MS
GOODBYE_S = 1.5
GROUP_RETRY_NS = 30 * NS_PER_S
READ_BYTES = 2048  # more than any packet: a longer datagram arrives cut off, and is dropped for its length
READS_AT_ONCE = 64
SOCKET_BUFFER_BYTES = 1 << 20

_log = structlog.get_logger("speaker")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a speaker is told when it starts."""

    core_url: str
    state: Path
    code: str | None = None
    output: str = "card"
    media: Address | None = None
    clock_skew: str | None = None
    volume: int = 100
    report: Path | None = None
    lead_ms: int = LEAD_NS // NS_PER_MS


def make_clock(skew: str | None) -> Clock:
    """The system's clock, or one that runs wrong as `skew` says. ConfigError for text that says nothing."""
    clock: Clock = SystemClock()
    if skew is None:
        return clock
    parsed = parse_skew(skew)
    return SkewedClock(clock, parsed.offset_ns, parsed.rate_ppm)


def make_output(text: str, clock: Clock, lead_ms: int = LEAD_NS // NS_PER_MS) -> Output:
    """The output that `card`, `card:DEVICE`, `wav:FOLDER` or `null` names. ConfigError for anything else.

    `lead_ms`: how far ahead of its being heard a virtual card (wav, null) asks for the sound.
    """
    if not 20 <= lead_ms <= 2_000:
        raise ConfigError(f"--lead-ms: {lead_ms} is not in 20 to 2,000")
    kind, _, rest = text.partition(":")
    if kind == "null" and not rest:
        return NullOutput(clock, lead_ns=lead_ms * NS_PER_MS)
    if kind == "wav" and rest:
        return WavOutput(clock, Path(rest), lead_ns=lead_ms * NS_PER_MS)
    if kind == "card":
        return CardOutput(clock, rest or None)
    raise ConfigError(f"--output: {text!r} is none of card, card:DEVICE, wav:FOLDER, null")


class Speaker:
    """One running speaker."""

    def __init__(self, settings: Settings) -> None:
        """ConfigError for settings that cannot be used."""
        if not 0 <= settings.volume <= 100:
            raise ConfigError(f"--volume: {settings.volume} is not in 0 to 100")
        link_url(settings.core_url)
        self._settings = settings
        self._clock = make_clock(settings.clock_skew)
        self._output = make_output(settings.output, self._clock, settings.lead_ms)
        self._rng = random.Random()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._socket: socket.socket | None = None
        self._group_socket: socket.socket | None = None
        self._membership: Membership | None = None
        self._join_due_ns = 0
        self._report_due_ns = 0
        self._welcomed: Welcomed | None = None

    async def run(self) -> None:
        """Run until SIGTERM, SIGINT or `stop`. LoaError when it cannot start or its output fails."""
        settings = self._settings
        libopus.load()  # a box without it says so now, not when the first sound comes
        interpolate.table_for_step(1.0)
        me = identity.load(settings.state)
        if me is None:
            if settings.code is None:
                raise ConfigError("chưa đăng ký: cần --code · not enrolled: --code is needed")
            await enrol.claim(settings.core_url, settings.code, settings.state)
            me = identity.load(settings.state)
            assert me is not None
            _log.info("enrolled", endpoint=me.endpoint_id.hex())
        self._engine = SpeakerEngine(me, software=f"loa {__version__}", rng=self._rng, volume=settings.volume)
        self._engine.underruns = lambda: self._output.underruns
        self._link = LinkClient(
            settings.core_url,
            new_session=self._engine.new_session,
            on_event=self._on_link_event,
            clock=self._clock,
            rng=self._rng,
        )
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self.stop)
        self._output.start(self._engine.render)
        link = asyncio.create_task(self._link.run())
        try:
            with ServiceManager.take(os.environ) as manager:
                manager.ready()
                async with telling(manager, self._status, alive=lambda: True):
                    await self._timers(link)
                manager.stopping()
            await self._say_goodbye()
        finally:
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(signum)
            link.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await link
            self._output.close()
            self._write_report(last=True)
            if self._socket is not None:
                loop.remove_reader(self._socket)
                self._socket.close()
            self._leave_group()

    def stop(self) -> None:
        """End cleanly."""
        self._stopping.set()
        self._wake.set()

    async def _timers(self, link: asyncio.Task[None]) -> None:
        while not self._stopping.is_set():
            now_ns = self._clock.monotonic_ns()
            self._engine.tick(now_ns)
            self._follow_group(now_ns)
            self._send_due()
            if self._engine.queue_link_messages(now_ns):
                self._link.wake()
            if self._engine.other_time_line:
                self._link.reconnect()
            self._write_report()
            if link.done():
                await link
            failure = getattr(self._output, "failure", None)
            if failure is not None:
                raise ConfigError(f"the output failed: {failure}")
            now_ns = self._clock.monotonic_ns()
            due_ns = now_ns + (BUSY_TICK_NS if self._engine.busy else IDLE_TICK_NS)
            channel_ns = self._engine.next_due_ns(now_ns)
            due_ns = due_ns if channel_ns is None else min(due_ns, channel_ns)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.001, (due_ns - now_ns) / NS_PER_S)):
                    await self._wake.wait()
            self._wake.clear()

    async def _say_goodbye(self) -> None:
        """The last receipts, as far as the link takes them within a moment."""
        self._engine.shutdown(self._clock.monotonic_ns())
        loop = asyncio.get_running_loop()
        until_s = loop.time() + GOODBYE_S
        session = self._engine.session
        while session is not None and session.up and loop.time() < until_s and len(self._engine.outbox):
            self._engine.queue_link_messages(self._clock.monotonic_ns())
            self._link.wake()
            await asyncio.sleep(0.02)
        if session is not None and session.up:
            session.close("shutdown")
            self._link.wake()
            await asyncio.sleep(0.05)

    async def _on_link_event(self, event: Event, now_ns: int) -> None:
        self._engine.on_link_event(event, now_ns)
        if isinstance(event, Welcomed):
            self._welcomed = event
        elif self._welcomed is not None and isinstance(event, PlacementChanged | SecretReceived):
            # The first word after the proof: from now on the server knows the channel.
            welcomed, self._welcomed = self._welcomed, None
            host = welcomed.media_host or urlsplit(self._settings.core_url).hostname or ""
            server = await self._open_socket(self._settings.media or (host, welcomed.media_port))
            if server is not None:
                self._engine.open_channel(welcomed, server, self._clock.monotonic_ns())
        self._wake.set()

    async def _open_socket(self, wanted: Address) -> Address | None:
        """Resolve the media address, and have a socket of its family; its numeric form."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(*wanted, type=socket.SOCK_DGRAM)
            family, _, _, _, resolved = found[0]
            if self._socket is not None and self._socket.family != family:
                loop.remove_reader(self._socket)
                self._socket.close()
                self._socket = None
            if self._socket is None:
                made = socket.socket(family, socket.SOCK_DGRAM)
                made.setblocking(False)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
                made.bind(("", 0))
                self._socket = made
                loop.add_reader(made, self._on_readable, made)
        except OSError as error:
            _log.error("media address", host=wanted[0], port=wanted[1], error=str(error))
            return None
        return str(resolved[0]), int(resolved[1])

    def _on_readable(self, sock: socket.socket) -> None:
        for data, address in _read(sock):
            self._engine.on_datagram(data, (address[0], address[1]), self._clock.monotonic_ns())
        now_ns = self._clock.monotonic_ns()
        due_ns = self._engine.next_due_ns(now_ns)
        if due_ns is not None and due_ns <= now_ns:
            self._send_due()

    def _follow_group(self, now_ns: int) -> None:
        """Be in the group that the engine wants to be in, and in no other."""
        wanted = self._engine.membership
        if wanted != self._membership:
            self._leave_group()
            self._membership, self._join_due_ns = wanted, now_ns
        if wanted is None or self._group_socket is not None or now_ns < self._join_due_ns:
            return
        try:
            self._group_socket = join_group(wanted)
        except OSError as error:
            self._join_due_ns = now_ns + GROUP_RETRY_NS
            _log.warning("group not joined", group=wanted.host, source=wanted.source, error=str(error))
            return
        asyncio.get_running_loop().add_reader(self._group_socket, self._on_group_readable, self._group_socket)
        _log.info("group joined", group=wanted.host, port=wanted.port, source=wanted.source)

    def _leave_group(self) -> None:
        if self._group_socket is not None:
            asyncio.get_running_loop().remove_reader(self._group_socket)
            self._group_socket.close()
            self._group_socket = None

    def _on_group_readable(self, sock: socket.socket) -> None:
        heard_before = self._engine.ear.hearing
        for data, address in _read(sock):
            self._engine.on_group_datagram(data, address[0], self._clock.monotonic_ns())
        if self._engine.ear.hearing != heard_before:
            self._wake.set()

    def _send_due(self) -> None:
        channel = self._engine.channel
        if channel is None or self._socket is None:
            return
        for datagram in self._engine.datagrams_to_send(self._clock.monotonic_ns()):
            with contextlib.suppress(OSError):  # as good as lost on the way: it is sent again when it matters
                self._socket.sendto(datagram, channel.server)

    def _status(self) -> str:
        said = report(self._engine, self._clock.monotonic_ns())
        return f"{said['state']}; link {said['link']}; media {said['media']}"

    def _write_report(self, *, last: bool = False) -> None:
        path, now_ns = self._settings.report, self._clock.monotonic_ns()
        if path is None or (now_ns < self._report_due_ns and not last):
            return
        self._report_due_ns = now_ns + NS_PER_S
        shown = report(self._engine, now_ns)
        if last:
            shown |= {"state": "stopped", "link": "down"}
        temporary = path.with_name(path.name + ".new")
        try:
            temporary.write_text(json.dumps(shown) + "\n", encoding="utf-8")
            os.replace(temporary, path)
        except OSError as error:
            _log.warning("report not written", path=str(path), error=error.strerror)


def _read(sock: socket.socket) -> Iterator[tuple[bytes, tuple[Any, ...]]]:
    """The datagrams that wait, and where each came from; of many only the first."""
    for _ in range(READS_AT_ONCE):
        try:
            yield sock.recvfrom(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            continue  # an ICMP answer to something sent before; the socket goes on


def run(settings: Settings, *, fail: Callable[[LoaError], None]) -> None:
    """Run a speaker to its end; `fail` is told of an error that ends it."""
    try:
        asyncio.run(_run(settings))
    except LoaError as error:
        fail(error)


async def _run(settings: Settings) -> None:
    await Speaker(settings).run()
