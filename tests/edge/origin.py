"""A small honest origin for the speaker's tests: authority, link, channel, sound. Built from `loa.codecs` only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loa.codecs import block_wire, canonical, channel_wire, key_schedule, link_wire, rtp, signed
from loa.codecs.authority import ALL_RIGHTS, Certificate, KeyEntry, KeyList, Right
from loa.codecs.channel_wire import Nack, Probe, ProbeReply, Type
from loa.codecs.key_schedule import Agreement, LinkKeys
from loa.codecs.link_wire import Hello, Proof, SecretMessage, WelcomeMessage
from loa.codecs.order_wire import Bundle, Order, Stop, Tune, seal_order
from loa.codecs.rtp import RtpHeader
from loa.codecs.signed import Kind, SigningKey
from loa.codecs.srtp import SrtpContext
from loa.codecs.statement_wire import Beacon, Placement, Welcome
from loa.edge.speaker import identity
from loa.edge.speaker.identity import Identity
from loa.edge.speaker.state_folder import StateFolder

NS_PER_S = 1_000_000_000
UTC_S = 1_800_000_000
UTC_MS = UTC_S * 1000
CITY, DISTRICT, COMMUNE, ELSEWHERE = (bytes((n,)) * 16 for n in (1, 2, 3, 9))
ENDPOINT = bytes(range(16))
BROADCAST = b"broadcast number"
EPOCH = b"epoch  1"
SECRET = b"s" * 32
START_NS = 1_000 * NS_PER_S
TONE_HZ = 997.0


def key(name: str) -> SigningKey:
    """The same key for the same name."""
    return SigningKey(hashlib.sha256(name.encode()).digest())


class Authorities:
    """A root, an order key with every right, and a device that has been enrolled."""

    def __init__(self) -> None:
        self.root = key("root")
        self.order_key = key("order")
        self.device = key("device")
        self.seq = 0

    def key_list(
        self,
        version: int = 1,
        *,
        expires_s: int = UTC_S + 86_400,
        rights: Right = ALL_RIGHTS,
        not_after_s: int = UTC_S + 86_400,
        revoked: Iterable[bytes] = (),
        root: SigningKey | None = None,
    ) -> bytes:
        """A key list's envelope."""
        entry = KeyEntry(self.order_key.public_key, rights, not_after_s)
        return KeyList(version, UTC_S - 60, expires_s, (entry,), tuple(revoked)).seal(root or self.root)

    def placement(self, serial: int = 1, *, trim_us: int = 0, signer: SigningKey | None = None) -> bytes:
        """The endpoint's placement."""
        where = Placement(ENDPOINT, serial, (CITY, DISTRICT, COMMUNE), trim_us)
        return where.seal(signer or self.order_key)

    def enrolled(self, folder: Path, key_list: bytes | None = None) -> Identity:
        """The device's identity, as enrolment leaves it."""
        state = StateFolder(folder / "state")
        state.write(identity.DEVICE_KEY, self.device.seed)
        identity.enrolled(
            state,
            endpoint_id=ENDPOINT,
            root_key=self.root.public_key,
            key_list=key_list or self.key_list(),
            placement=self.placement(),
        )
        made = identity.load(state.path)
        assert made is not None
        return made

    def order(
        self,
        action: Tune | Stop,
        *,
        seq: int | None = None,
        issued_ms: int = UTC_MS,
        expires_ms: int = UTC_MS + 60_000,
        areas: tuple[bytes, ...] = (COMMUNE,),
        endpoints: tuple[bytes, ...] = (),
        signer: SigningKey | None = None,
        chain: tuple[bytes, ...] = (),
    ) -> bytes:
        """An order's bundle."""
        self.seq += 1
        order = Order(self.seq if seq is None else seq, issued_ms, expires_ms, areas, endpoints, action)
        return bundle(seal_order(order, signer or self.order_key), chain)

    def certificate(self, subject: SigningKey, *areas: bytes, rights: Right = Right.ORDER) -> bytes:
        """A delegation by the order key."""
        made = Certificate(subject.public_key, rights, areas, UTC_S - 60, UTC_S + 3600, 1)
        return made.seal(self.order_key)


def bundle(envelope: bytes, chain: tuple[bytes, ...] = ()) -> bytes:
    """The bundle of an order's envelope."""
    return Bundle(signed.parse(envelope, Kind.ORDER), chain).encode()


def raw_order(body: dict[int, canonical.Value], signer: SigningKey) -> bytes:
    """The bundle of a body that may be anything."""
    return bundle(signed.seal(Kind.ORDER, signer, canonical.encode(body)))


def tune(**changes: object) -> Tune:
    """A tune of 100 unsigned frames of 20 ms, half a second of play delay."""
    made = Tune(
        broadcast_id=BROADCAST,
        generation=1,
        ssrc=0x1111,
        block_ssrc=0x2222,
        index0=65_500,
        timestamp0=0xFFFF_F000,
        epoch=EPOCH,
        start_ns=START_NS,
        play_delay_ms=500,
        frame_samples=960,
        priority=100,
        volume=100,
        fade_ms=0,
        secret_serial=1,
        block_key=b"",
        block_frames=8,
        end_index=65_600,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


class Sound:
    """The packets of one generation. A frame's payload is an Opus packet in form only: `ToneDecoder` plays it."""

    def __init__(self, of: Tune, block_key: SigningKey | None = None, *, fec: bool = False) -> None:
        self.tune = of
        self.fec = fec
        self.block_key = block_key
        media = key_schedule.media_key(SECRET, of.epoch, of.broadcast_id, of.generation)
        self.media_key = media
        self._srtp = SrtpContext(media.key, media.salt)

    def payload(self, number: int, mark: int = 0) -> bytes:
        """Frame `number` (from 0). `mark` makes another frame of it."""
        toc = bytes((0x08, 0x40)) if self.fec else bytes((0xF8, 0))
        return toc + number.to_bytes(4, "big") + bytes((mark,))

    def header(self, number: int) -> RtpHeader:
        """Its header."""
        index = self.tune.index0 + number
        timestamp = (self.tune.timestamp0 + number * self.tune.frame_samples) % (1 << 32)
        return RtpHeader(rtp.PT_OPUS, index & 0xFFFF, timestamp, self.tune.ssrc, number == 0)

    def frame(self, number: int, *, mark: int = 0, ssrc: int | None = None) -> bytes:
        """Its SRTP packet."""
        header = self.header(number)
        if ssrc is not None:
            header = replace(header, ssrc=ssrc)
        return self._srtp.protect(header.pack(), self.payload(number, mark), self.tune.index0 + number)

    def block(self, number: int, *, signer: SigningKey | None = None, mark: int = 0, shift: int = 0) -> bytes:
        """The packet of signed block `number`, of full length."""
        size = self.tune.block_frames
        first = number * size
        count = size
        if self.tune.end_index is not None:
            count = min(size, self.tune.end_index - self.tune.index0 - first)
        hashes = [
            block_wire.frame_hash(self.header(n).pack(), self.payload(n, mark)) for n in range(first, first + count)
        ]
        by = signer or self.block_key
        assert by is not None
        payload = block_wire.seal_block(by, self.tune.ssrc, self.tune.index0 + first + shift, hashes)
        timestamp = self.header(first).timestamp
        header = RtpHeader(rtp.PT_BLOCK, number & 0xFFFF, timestamp, self.tune.block_ssrc)
        return self._srtp.protect(header.pack(), payload, number)


def tone(positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """The programme at sample positions."""
    wave: NDArray[np.float32] = (0.5 * np.sin(2 * math.pi * TONE_HZ / 48_000 * positions)).astype(np.float32)
    return wave


class ToneDecoder:
    """Decodes `Sound`'s payloads to the tone; a concealed frame is silence, a recovered one the true tone."""

    def __init__(self) -> None:
        self.decoded: list[int] = []

    def decode(self, packet: bytes) -> NDArray[np.float32]:
        number = int.from_bytes(packet[2:6], "big")
        self.decoded.append(number)
        return tone(np.arange(number * 960, (number + 1) * 960, dtype=np.float64))

    def decode_fec(self, next_packet: bytes, samples: int) -> NDArray[np.float32]:
        number = int.from_bytes(next_packet[2:6], "big") - 1
        return tone(np.arange(number * 960, number * 960 + samples, dtype=np.float64))

    def conceal(self, samples: int) -> NDArray[np.float32]:
        return np.zeros(samples, dtype=np.float32)

    def reset(self) -> None:
        pass


class ServerLink:
    """The server's half of one link."""

    def __init__(self, by: Authorities, hello: bytes) -> None:
        message = link_wire.decode(hello)
        assert isinstance(message, Hello)
        self.hello = message
        self.keys: LinkKeys | None = None
        self._by = by
        self._hello_bytes = hello
        self._agreement = Agreement()
        self._welcome = b""

    def welcome(
        self,
        *,
        signer: SigningKey | None = None,
        key_list: bytes = b"",
        chain: tuple[bytes, ...] = (),
        epoch: bytes = EPOCH,
        origin_ns: int = START_NS - 10 * NS_PER_S,
        media_host: str = "",
        media_port: int = 5004,
        **changes: object,
    ) -> bytes:
        """The welcome message; `changes` of the welcome make it a wrong one."""
        made = Welcome(
            hello_hash=hashlib.sha256(self._hello_bytes).digest(),
            nonce_s=b"n" * 32,
            agreement_public=self._agreement.public,
            endpoint_id=ENDPOINT,
            channel_id=b"channel1",
            beacon=Beacon(epoch, origin_ns, UTC_S * NS_PER_S),
            media_host=media_host,
            media_port=media_port,
        )
        made = replace(made, **changes)  # type: ignore[arg-type]
        self._welcome = made.seal(signer or self._by.order_key)
        return link_wire.encode(WelcomeMessage(self._welcome, key_list, chain))

    def take_proof(self, data: bytes) -> LinkKeys:
        """The link's keys, when the device has proved itself."""
        message = link_wire.decode(data)
        assert isinstance(message, Proof)
        signed.check_signature(
            self._by.device.public_key,
            message.signature,
            key_schedule.proof_message(self._hello_bytes, self._welcome),
        )
        self.keys = self._agreement.keys(
            self.hello.agreement_public, nonce_c=self.hello.nonce_c, nonce_s=b"n" * 32, endpoint_id=ENDPOINT
        )
        return self.keys

    def secret(self, serial: int = 1, *, epoch: bytes = EPOCH, secret: bytes = SECRET) -> bytes:
        """The message with an epoch secret."""
        assert self.keys is not None
        sealed = key_schedule.seal_secret(self.keys, epoch=epoch, serial=serial, epoch_secret=secret)
        return link_wire.encode(SecretMessage(epoch, serial, sealed))


class ServerChannel:
    """The server's half of one channel, at one address of the endpoint."""

    def __init__(self, channel_id: bytes, secret: bytes, epoch: bytes = EPOCH) -> None:
        self.id = channel_id
        self.secret = secret
        self.epoch = epoch
        self.bound = False
        self.nacks: list[Nack] = []
        self.kinds: list[Type] = []
        self._counter = 0
        self._nonce = b"nonce of 16 byte"

    def datagram(self, type_: Type, payload: bytes, counter: int | None = None) -> bytes:
        """A datagram of the server."""
        if counter is None:
            counter, self._counter = self._counter, self._counter + 1
        return channel_wire.encode(type_, self.id, counter, payload, self.secret)

    def receive(self, data: bytes, origin_ns: int) -> list[bytes]:
        """The answers to one datagram of the endpoint."""
        datagram = channel_wire.parse(data)
        datagram.check(self.secret)
        assert datagram.channel_id == self.id
        self.kinds.append(datagram.type)
        if datagram.type is Type.KEEPALIVE:
            if self.bound:
                return [self.datagram(Type.BOUND, (45).to_bytes(2, "big"))]
            return [self.datagram(Type.CHALLENGE, self._nonce)]
        if datagram.type is Type.ECHO:
            self.bound = self.bound or datagram.payload == self._nonce
        elif datagram.type is Type.PROBE and self.bound:
            reply = ProbeReply(self.epoch, Probe.decode(datagram.payload).t1_ns, origin_ns, origin_ns + 10_000)
            return [self.datagram(Type.PROBE_REPLY, reply.encode())]
        elif datagram.type is Type.NACK and self.bound:
            self.nacks.append(Nack.decode(datagram.payload))
        return []
