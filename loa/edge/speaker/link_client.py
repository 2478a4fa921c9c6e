"""The link's socket: connects, keeps it alive, comes back (docs/protocol.md, *Link*)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import structlog

from loa.codecs import link_wire
from loa.edge.speaker.link_session import Closed, Event, LinkSession, Welcomed
from loa.errors import ConfigError
from loa.timing.clock import Clock

HANDSHAKE_S = 10.0
PING_S = 15.0
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
UNWANTED_WAIT_S = 600.0
STEADY_S = 5.0
_UNWANTED = frozenset({"revoked", "unknown_endpoint"})

_log = structlog.get_logger("speaker")


class BackOff:
    """How long to wait before the next attempt."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._wait_s = FIRST_WAIT_S

    def next_s(self, reason: str = "") -> float:
        """Seconds to wait now; `reason`: why the link ended."""
        if reason in _UNWANTED:
            return UNWANTED_WAIT_S
        wait_s, self._wait_s = self._wait_s, min(LONGEST_WAIT_S, self._wait_s * 2)
        return wait_s * self._rng.uniform(0.5, 1.5)

    def succeeded(self) -> None:
        """The link was good for a while: begin anew."""
        self._wait_s = FIRST_WAIT_S


def link_url(core_url: str) -> str:
    """The link's address for a core's. ConfigError when it is no http or https address."""
    parts = urlsplit(core_url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise ConfigError(f"--core: {core_url!r} is not like http://host:8080")
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/link", "", ""))


class LinkClient:
    """Keeps one link. `new_session` makes a session for each attempt; `on_event` takes what it says."""

    def __init__(
        self,
        core_url: str,
        *,
        new_session: Callable[[], LinkSession],
        on_event: Callable[[Event, int], Awaitable[None]],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._url = link_url(core_url)
        self._new_session = new_session
        self._on_event = on_event
        self._clock = clock
        self._back_off = BackOff(rng)
        self._wake = asyncio.Event()
        self._again = asyncio.Event()
        self.attempts = 0

    def wake(self) -> None:
        """The session has something to send."""
        self._wake.set()

    def reconnect(self) -> None:
        """End this link and make a new one."""
        self._again.set()

    async def run(self) -> None:
        """Connect again and again, until cancelled."""
        async with aiohttp.ClientSession() as http:
            while True:
                self.attempts += 1
                reason = await self._attempt(http)
                wait_s = self._back_off.next_s(reason)
                _log.info("link down", reason=reason, retry_s=round(wait_s, 1))
                await asyncio.sleep(wait_s)

    async def _attempt(self, http: aiohttp.ClientSession) -> str:
        """One link from its connection to its end; why it ended."""
        self._again.clear()
        session = self._new_session()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                socket = await http.ws_connect(
                    self._url,
                    protocols=(link_wire.SUBPROTOCOL,),
                    max_msg_size=link_wire.MAX_MESSAGE_BYTES,
                    heartbeat=PING_S,
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"cannot connect: {error}" if str(error) else "cannot connect"
        try:
            if socket.protocol != link_wire.SUBPROTOCOL:
                return "version"
            return await self._talk(socket, session)
        except (aiohttp.ClientError, ConnectionError) as error:
            return f"connection: {error}"
        finally:
            if session.up:
                session.close("shutdown")
            await socket.close()

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse, session: LinkSession) -> str:
        await socket.send_bytes(session.hello())
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        sender = asyncio.create_task(self._send(socket, session))
        try:
            while True:
                left_s = None if session.up else max(0.0, begun_s + HANDSHAKE_S - loop.time())
                try:
                    async with asyncio.timeout(left_s):
                        message = await socket.receive()
                except TimeoutError:
                    session.close("timeout", "no welcome")
                    await self._drain(socket, session)
                    return "timeout"
                if message.type is not aiohttp.WSMsgType.BINARY:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        session.close("malformed", "a text message")
                        await self._drain(socket, session)
                    return "the connection ended"
                for event in session.receive(message.data, self._clock.monotonic_ns()):
                    await self._on_event(event, self._clock.monotonic_ns())
                    if isinstance(event, Welcomed):
                        begun_s = loop.time()
                    if isinstance(event, Closed):
                        await self._drain(socket, session)
                        return event.reason
                if session.up and loop.time() - begun_s > STEADY_S:
                    self._back_off.succeeded()
                self._wake.set()
        finally:
            sender.cancel()

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, session: LinkSession) -> None:
        again = asyncio.create_task(self._again.wait())
        try:
            while not self._again.is_set():
                wake = asyncio.create_task(self._wake.wait())
                await asyncio.wait((wake, again), return_when=asyncio.FIRST_COMPLETED)
                wake.cancel()
                self._wake.clear()
                try:
                    await self._drain(socket, session)
                except (aiohttp.ClientError, ConnectionError):
                    return  # the receiving side sees the end too
            await socket.close()
        finally:
            again.cancel()

    @staticmethod
    async def _drain(socket: aiohttp.ClientWebSocketResponse, session: LinkSession) -> None:
        for message in session.take_outgoing():
            await socket.send_bytes(message)
