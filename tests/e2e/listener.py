"""An endpoint written from docs/protocol.md alone, with only `loa.codecs`: it keeps the link, binds an address,
and records every packet. It plays nothing."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from loa.codecs import channel_wire, key_schedule, link_wire, signed
from loa.codecs.channel_wire import Nack, Type
from loa.codecs.key_schedule import Agreement, LinkKeys
from loa.codecs.link_wire import Hello, Message, OrderMessage, Proof, SecretMessage, WelcomeMessage
from loa.codecs.order_wire import Bundle, Order, Stop, Tune
from loa.codecs.rtp import nearest_index, parse_header
from loa.codecs.signed import Kind
from loa.codecs.srtp import SrtpContext
from loa.codecs.statement_wire import Welcome
from loa.edge.speaker import enrol, identity
from loa.edge.speaker.identity import Identity

Fate = dict[tuple[bytes, int, int], bytes]
"""(SRTP master key, SSRC, index) → SHA-256 of the packet."""


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._listener.datagram(data)


class Stream:
    """One SSRC of a tuned generation: where its index stands, and the key that opens it."""

    def __init__(self, key: key_schedule.MediaKey, ssrc: int, first_index: int) -> None:
        self.key = key
        self.ssrc = ssrc
        self.next_index = first_index
        self.context = SrtpContext(key.key, key.salt)
        self.indices: list[int] = []
        self.payloads: dict[int, bytes] = {}


class Listener:
    """`async with Listener(folder, fates) as listener: await listener.connect(url)`."""

    def __init__(self, folder: Path, fates: Fate) -> None:
        self.fates = fates
        self.reused: list[tuple[bytes, int, int]] = []
        self.streams: dict[int, Stream] = {}
        self.tunes: list[Tune] = []
        self.stops: list[Stop] = []
        self.raw: list[bytes] = []
        self.upward: list[bytes] = []
        self.unknown_ssrc = 0
        self.bound = asyncio.Event()
        self._news = asyncio.Event()
        self.media: tuple[str, int] = ("", 0)
        self.channel_id = b""
        self._folder = folder
        self._identity: Identity | None = None
        self._keys: LinkKeys | None = None
        self._secrets: dict[tuple[bytes, int], bytes] = {}
        self._pending: list[Tune] = []
        self._counter = 0
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.disconnect()
        assert self._session is not None
        await self._session.close()

    async def enrol(self, url: str, code: str) -> bytes:
        """Become an endpoint; its id."""
        return await enrol.claim(url, code, self._folder)

    async def connect(self, url: str) -> None:
        """Open the link and bind an address; returns once the server has confirmed it."""
        self._identity = identity.load(self._folder)
        assert self._identity is not None
        assert self._session is not None
        self._socket = await self._session.ws_connect(f"{url}/link", protocols=(link_wire.SUBPROTOCOL,))
        agreement, nonce = Agreement(), secrets.token_bytes(32)
        hello = link_wire.encode(Hello(self._identity.endpoint_id, nonce, agreement.public, 0, "listener"))
        await self._socket.send_bytes(hello)
        answer = link_wire.decode(await self._socket.receive_bytes())
        assert isinstance(answer, WelcomeMessage)
        welcome = Welcome.decode(signed.parse(answer.welcome, Kind.WELCOME).body)
        proof = self._identity.device_key.sign(key_schedule.proof_message(hello, answer.welcome))
        await self._socket.send_bytes(link_wire.encode(Proof(proof)))
        self._keys = agreement.keys(
            welcome.agreement_public,
            nonce_c=nonce,
            nonce_s=welcome.nonce_s,
            endpoint_id=self._identity.endpoint_id,
        )
        self.channel_id, self._counter = welcome.channel_id, 0
        self.media = (welcome.media_host or str(urlsplit(url).hostname), welcome.media_port)
        self._reader = asyncio.create_task(self._read())
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Socket(self), remote_addr=self.media
        )
        self.bound.clear()
        for _ in range(40):
            self.send(Type.KEEPALIVE, channel_wire.padded(b""))
            try:
                await asyncio.wait_for(self.bound.wait(), 0.5)
                return
            except TimeoutError:
                continue
        raise AssertionError("the server did not bind the address")

    @property
    def line(self) -> asyncio.Transport:
        """What is under the link."""
        assert self._socket is not None
        assert self._socket._conn is not None
        line = self._socket._conn.transport
        assert isinstance(line, asyncio.Transport)
        return line

    async def say(self, message: Message) -> None:
        """Say something by link; ConnectionError once it is over."""
        assert self._socket is not None
        await self._socket.send_bytes(link_wire.encode(message))

    async def until_refused(self) -> None:
        """Wait until the server has ended the link."""
        assert self._reader is not None
        await self._reader

    def vanish(self) -> None:
        """Be gone at once: the address refuses what comes, and nobody reads the link."""
        assert self._transport is not None
        self._transport.close()
        self.line.pause_reading()

    async def disconnect(self) -> None:
        """Drop everything, without a goodbye."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        if self._transport is not None:
            self._transport.close()

    def send(self, kind: Type, payload: bytes) -> None:
        """Send a channel datagram."""
        assert self._keys is not None
        assert self._transport is not None
        data = channel_wire.encode(kind, self.channel_id, self._counter, payload, self._keys.channel_secret)
        self._counter += 1
        self.upward.append(data)
        self._transport.sendto(data)

    def nack(self, ssrc: int, *indices: int) -> None:
        """Ask for packets again."""
        self.send(Type.NACK, Nack(ssrc, indices).encode())

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something that came made `true` true."""
        while not true():
            self._news.clear()
            await self._news.wait()

    async def _read(self) -> None:
        assert self._socket is not None
        async for message in self._socket:
            decoded = link_wire.decode(message.data)
            if isinstance(decoded, SecretMessage):
                assert self._keys is not None
                secret = key_schedule.open_secret(
                    self._keys, epoch=decoded.epoch, serial=decoded.serial, sealed=decoded.sealed
                )
                self._secrets[decoded.epoch, decoded.serial] = secret
            elif isinstance(decoded, OrderMessage):
                self._order(decoded.bundle)
            self._news.set()

    def _order(self, bundle: bytes) -> None:
        action = Order.decode(Bundle.decode(bundle).envelope.body).action
        if isinstance(action, Stop):
            self.stops.append(action)
            return
        if action.ssrc in self.streams:
            return
        key = key_schedule.media_key(
            self._secrets[action.epoch, action.secret_serial],
            action.epoch,
            action.broadcast_id,
            action.generation,
        )
        self.tunes.append(action)
        self.streams[action.ssrc] = Stream(key, action.ssrc, action.index0)
        self.streams[action.block_ssrc] = Stream(key, action.block_ssrc, 0)
        early, self.raw = self.raw, []
        for data in early:
            self.datagram(data)

    def datagram(self, data: bytes) -> None:
        """Take what came on the media socket."""
        self._news.set()
        if channel_wire.is_channel(data):
            if (bundle := channel_wire.parse_order(data)) is not None:
                if self._secrets:
                    self._order(bundle)
                return
            parsed = channel_wire.parse(data)
            assert self._keys is not None
            parsed.check(self._keys.channel_secret)
            if parsed.type is Type.CHALLENGE:
                self.send(Type.ECHO, parsed.payload)
            elif parsed.type is Type.BOUND:
                self.bound.set()
            return
        self.raw.append(data)
        header = parse_header(data)[0]
        stream = self.streams.get(header.ssrc)
        if stream is None:
            self.unknown_ssrc += 1
            return
        index = nearest_index(header.sequence, stream.next_index)
        _, stream.payloads[index] = stream.context.unprotect(data, index)
        stream.indices.append(index)
        stream.next_index = max(stream.next_index, index + 1)
        place = (stream.key.key, header.ssrc, index)
        digest = hashlib.sha256(data).digest()
        if self.fates.setdefault(place, digest) != digest:
            self.reused.append(place)
