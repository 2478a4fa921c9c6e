"""Somebody who owns the path to one speaker, and who is a member of the group, with its true key.

Everything genuine is forwarded, in order and at once but for some blocks, which come after their frames; what is
added follows the frames that pass and a seed.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from loa.codecs import channel_wire, rtp, signed
from loa.codecs.block_wire import frame_hash, open_block, seal_block
from loa.codecs.channel_wire import Type
from loa.codecs.key_schedule import MediaKey
from loa.codecs.order_wire import Bundle, Order, Stop, Tune, seal_order
from loa.codecs.rtp import PT_BLOCK, PT_OPUS, RtpHeader, nearest_index
from loa.codecs.signed import SigningKey
from loa.codecs.srtp import SrtpContext
from loa.timing.line import FrameGrid
from tests.e2e.listener import Listener

LARGEST_BYTES = 65_507
FAR_AHEAD = 400
"""Frames: within the 20 s that a speaker takes, and not sent yet."""

Address = tuple[str, int]
Take = Callable[[bytes, Address], None]


class Port:
    """A UDP socket of 127.0.0.1 on the running loop. (asyncio's own transports send no empty datagrams.)"""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", 0))
        self.sent_bytes = 0
        self.unsent = 0
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    @property
    def address(self) -> Address:
        """Where it receives."""
        name = self._socket.getsockname()
        return str(name[0]), int(name[1])

    def send(self, data: bytes, to: Address) -> None:
        """Send, or count what the kernel does not take now."""
        try:
            self._socket.sendto(data, to)
            self.sent_bytes += len(data)
        except OSError:
            self.unsent += 1

    def close(self) -> None:
        """Leave the loop."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        for _ in range(64):
            try:
                data, address = self._socket.recvfrom(LARGEST_BYTES)
            except OSError:
                return
            self._take(data, address)


class Forger:
    """What a member of the group can make for one generation: packets that decrypt, and are not the origin's."""

    def __init__(self, tune: Tune, key: MediaKey, sounds: Sequence[bytes], rng: random.Random) -> None:
        """`sounds`: Opus packets of the generation's frame length, to be put in place of the true ones."""
        self.tune = tune
        self._grid = FrameGrid(tune.start_ns, tune.index0, tune.timestamp0, tune.frame_samples)
        self._context = SrtpContext(key.key, key.salt)
        self._key = SigningKey(rng.randbytes(32))
        self._sounds = sounds
        self._rng = rng

    def header(self, index: int) -> bytes:
        """The RTP header of a frame, as the origin makes it."""
        marker = index == self.tune.index0
        return RtpHeader(PT_OPUS, index & 0xFFFF, self._grid.timestamp(index), self.tune.ssrc, marker=marker).pack()

    def frame(self, index: int, header: bytes | None = None) -> bytes:
        """Other sound under a frame's index (and header), encrypted with the true key."""
        return self._context.protect(header or self.header(index), self._rng.choice(self._sounds), index)

    def block(self, number: int) -> bytes:
        """A block that covers forged frames, signed by the forger, encrypted with the true key."""
        first = self.tune.index0 + number * self.tune.block_frames
        hashes = [
            frame_hash(self.header(index), self._rng.choice(self._sounds))
            for index in range(first, first + self.tune.block_frames)
        ]
        return self._packed(number, seal_block(self._key, self.tune.ssrc, first, hashes))

    def moved_block(self, packet: bytes, number: int) -> bytes:
        """A genuine block, signature and all, under the number of the next."""
        payload = self._context.unprotect(packet, number)[1]
        assert open_block(self.tune.block_key, self.tune.ssrc, payload).hashes
        return self._packed(number + 1, payload)

    def _packed(self, number: int, payload: bytes) -> bytes:
        first = self.tune.index0 + number * self.tune.block_frames
        header = RtpHeader(PT_BLOCK, number & 0xFFFF, self._grid.timestamp(first), self.tune.block_ssrc)
        return self._context.protect(header.pack(), payload, number)


def flipped(data: bytes, bit: int) -> bytes:
    """`data` with one bit changed; bits count from the front, and from the back when negative."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def forged_orders(genuine: bytes, rng: random.Random) -> list[bytes]:
    """ORDER datagrams made from a genuine TUNE's: changed, cut off, and stops that nobody entitled has signed."""
    bundle = Bundle.decode(genuine[2:])
    order = Order.decode(bundle.envelope.body)
    assert isinstance(order.action, Tune)
    stranger = SigningKey(rng.randbytes(32))
    stop = replace(order, seq=order.seq + 1, action=Stop(order.action.broadcast_id, 0))
    stopped = seal_order(stop, stranger)
    in_its_name = stopped[:2] + bundle.envelope.signer + stopped[10:]
    envelope_at = len(genuine) - len(bundle.envelope.encode())
    return [
        flipped(genuine, 8 * (envelope_at + 20)),  # in the signature
        flipped(genuine, 8 * (len(genuine) - 1)),  # at the end of the body
        flipped(genuine, 8 * (envelope_at + 4)),  # in the signer
        genuine[: len(genuine) - 7],
        channel_wire.encode_order(Bundle(signed.parse(stopped, signed.Kind.ORDER)).encode()),
        channel_wire.encode_order(Bundle(signed.parse(in_its_name, signed.Kind.ORDER)).encode()),
    ]


class Attacker:
    """`async with Attacker(core, sounds, seed) as attacker:`; a speaker's media address is then `address`.

    From the start, keep-alives (until one was answered) and the first echo reach the core from another address
    before they reach it from the speaker's. After `attack` everything else begins, with the next broadcast that
    `member` hears of. `sent` counts what was done, by its kind.
    """

    def __init__(self, core: Address, sounds: Sequence[bytes], seed: int) -> None:
        self.core = core
        self.sent: Counter[str] = Counter()
        self.moved: list[bytes] = []
        """What came to `thief`, from where captured datagrams were sent again."""
        self.challenged: list[bytes] = []
        """What came to `racer`, from where a keep-alive was sent that the core had not seen yet."""
        self.foreign: list[bytes] = []
        """Bundles of genuine orders that do not mean the speaker."""
        self._rng = random.Random(seed)
        self._sounds = sounds
        self._member: Listener | None = None
        self._speaker: Address | None = None
        self._forgers: dict[int, Forger] = {}
        self._newest: dict[int, int] = {}
        self._up: deque[bytes] = deque(maxlen=40)
        self._down: deque[bytes] = deque(maxlen=10)
        self._replies: dict[int, bytes] = {}
        self._orders: list[bytes] = []
        self._order_turn = 0
        self._echo_raced = False
        self._held_back: list[bytes] = []

    async def __aenter__(self) -> Self:
        self.front = Port(self._from_speaker)
        self.back = Port(self._from_core)
        self.racer = Port(lambda data, _: self.challenged.append(data))
        self.thief = Port(lambda data, _: self.moved.append(data))
        return self

    async def __aexit__(self, *_error: object) -> None:
        for port in (self.front, self.back, self.racer, self.thief):
            port.close()

    @property
    def address(self) -> str:
        """host:port for the speaker's `--media`."""
        return f"{self.front.address[0]}:{self.front.address[1]}"

    def attack(self, member: Listener) -> None:
        """Begin, with what `member` knows."""
        self._member = member

    # --- the path ---------------------------------------------------------------------------------------------

    def _from_speaker(self, data: bytes, address: Address) -> None:
        self._speaker = address
        if channel_wire.is_channel(data):
            if data[1] == Type.KEEPALIVE and not self.challenged:
                self.racer.send(data, self.core)
            elif data[1] == Type.ECHO and not self._echo_raced:
                self._echo_raced = True
                self.racer.send(data, self.core)
        self._up.append(data)
        self.back.send(data, self.core)

    def _from_core(self, data: bytes, address: Address) -> None:
        if address != self.core or self._speaker is None:
            return
        if channel_wire.is_channel(data) and data[1] in channel_wire.DOWNWARD:
            self._replies[data[1]] = data
        before, after = self._around(data) if self._member is not None else ([], [])
        for each in before:
            self._inject(*each)
        if not self._hold_back(data):
            self.front.send(data, self._speaker)
        for each in after:
            self._inject(*each)

    def _inject(self, kind: str, data: bytes) -> None:
        assert self._speaker is not None
        self.sent[kind] += 1
        self.front.send(data, self._speaker)

    def _hold_back(self, data: bytes) -> bool:
        """Keep every fifth block until the next one: it comes after its frames, as those of live sound do."""
        assert self._speaker is not None
        forger = self._forgers.get(int.from_bytes(data[8:12], "big"))
        if forger is None or channel_wire.is_channel(data):
            return False
        if data[8:12] != forger.tune.block_ssrc.to_bytes(4, "big"):
            return False
        for each in self._held_back:
            self.front.send(each, self._speaker)
        self._held_back.clear()
        number = int.from_bytes(data[2:4], "big")  # a block's number is its index, and these are few
        assert forger.tune.end_index is not None
        blocks = (forger.tune.end_index - forger.tune.index0) // forger.tune.block_frames
        if number % 5 != 4 or number + 1 >= blocks:
            return False
        self._held_back.append(data)
        self.sent["block held back"] += 1
        return True

    # --- towards the speaker ----------------------------------------------------------------------------------

    def _around(self, data: bytes) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
        """What goes to the speaker before and after a genuine datagram."""
        if channel_wire.is_channel(data):
            return self._around_channel(data)
        self._down.append(data)
        header = rtp.parse_header(data).header
        forger = self._forger(header.ssrc)
        if forger is None:
            return [], []
        first = forger.tune.index0 if header.ssrc == forger.tune.ssrc else 0
        newest = self._newest.get(header.ssrc, first)
        index = nearest_index(header.sequence, newest)
        if index < newest:
            return [], []  # a repair
        self._newest[header.ssrc] = index
        if header.ssrc == forger.tune.block_ssrc:
            before = [("block signed by the forger", forger.block(index))]
            return before, [("block under another number", forger.moved_block(data, index))]
        self._towards_core(forger, index)
        return self._around_frame(data, forger, index)

    def _around_frame(
        self, data: bytes, forger: Forger, index: int
    ) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
        before: list[tuple[str, bytes]] = []
        after = [("replay", self._down[0])]
        if index % 7 == 0:
            before.append(("forged before its frame", forger.frame(index, data[: rtp.HEADER_BYTES])))
        if index % 5 == 0:
            before.append(("flipped bit", flipped(data, self._rng.randrange(8 * 12, 8 * len(data)))))
            wrong = data[:8] + self._rng.randbytes(4) + data[12:]
            after.append(("wrong SSRC", wrong))
            after.append(("garbage", self._rng.randbytes(self._rng.randrange(1, 1400))))
        if index % 25 == 0:
            ahead = [*range(1, 2 * forger.tune.block_frames), FAR_AHEAD + self._rng.randrange(FAR_AHEAD)]
            before += [("forged for the future", forger.frame(index + each)) for each in ahead]
        if index % 50 == 0:
            after.append(("empty", b""))
            after.append(("too large", self._rng.choice((b"\x80", b"\xc1\x10")) + bytes(LARGEST_BYTES - 2)))
        if index % 10 == 0 and self._orders:
            orders = [*self._orders, *(channel_wire.encode_order(bundle) for bundle in self.foreign)]
            after.append(("order", orders[self._order_turn % len(orders)]))
            self._order_turn += 1
        if index % 10 == 5:
            for type_, reply in self._replies.items():
                after.append((f"replayed {Type(type_).name}", reply))
                # Its counter would push the window beyond all that will come.
                pushed = reply[:10] + (1 << 63).to_bytes(8, "big") + reply[18:]
                after.append((f"{Type(type_).name} with a wrong MAC", pushed))
        return before, after

    def _around_channel(self, data: bytes) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
        bundle = channel_wire.parse_order(data)
        if bundle is None:
            return [], []
        if self._orders or not isinstance(Order.decode(Bundle.decode(bundle).envelope.body).action, Tune):
            return [], [("order", data)]
        forged = forged_orders(data, self._rng)
        self._orders = [*forged, data]
        return [("order", each) for each in forged], [("order", data)]

    def _forger(self, ssrc: int) -> Forger | None:
        assert self._member is not None
        for tune in self._member.tunes:
            if tune.ssrc not in self._forgers:
                key = self._member.streams[tune.ssrc].key
                made = Forger(tune, key, self._sounds, self._rng)
                self._forgers[tune.ssrc] = self._forgers[tune.block_ssrc] = made
        return self._forgers.get(ssrc)

    # --- towards the core -------------------------------------------------------------------------------------

    def _towards_core(self, forger: Forger, index: int) -> None:
        """Try to move the stream, and to keep the core busy."""
        assert self._member is not None
        if index % 10 == 0:
            for data in self._up:
                self._send_up(self.thief, "captured, from elsewhere", data)
                self._send_up(self.back, "captured, from the speaker's address", data)
                counter = self._rng.randrange(1 << 32, 1 << 63)
                changed = data[:10] + counter.to_bytes(8, "big") + data[18:]
                self._send_up(self.thief, "wrong MAC, from elsewhere", changed)
                self._send_up(self.back, "wrong MAC, from the speaker's address", changed)
            for _ in range(20):
                garbage = self._rng.randbytes(self._rng.randrange(1, 1400))
                self._send_up(self.thief, "garbage to the core", garbage)
                self._send_up(self.thief, "garbage to the core", b"\xc1" + garbage)
            self._send_up(self.thief, "empty to the core", b"")
            self._send_up(self.thief, "too large for the core", b"\xc1\x01" + bytes(LARGEST_BYTES - 2))
        if index % 10 == 5:
            never = range(index + FAR_AHEAD, index + FAR_AHEAD + 600, 3)
            self._member.nack(forger.tune.ssrc, *never)
            self._member.nack(self._rng.getrandbits(32), *never)
            self.sent["NACK for what was never sent"] += 2

    def _send_up(self, port: Port, kind: str, data: bytes) -> None:
        self.sent[kind] += 1
        port.send(data, self.core)
