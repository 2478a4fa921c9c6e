"""The media process without its sockets, threads and clock: commands and datagrams in, datagrams and events out.

Pure but for the clock that stamps the answers to probes. The shell calls it from two threads under one lock:
`handle` and `receive_all` by the one that reads, `due` and `refused` by the one that sends. Only `due` changes
address tables, so the sender may use the tables of its batches, without the lock, until it calls `due` again.
"""

from __future__ import annotations

import hashlib
import random
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from loa.broadcast.air.address_book import AddressBook
from loa.broadcast.air.address_table import AddressTable
from loa.broadcast.air.air_counters import Values, new_values
from loa.broadcast.air.air_run import AirRun
from loa.broadcast.air.channels import MAX_CHANNELS, Channels, Reply
from loa.broadcast.air.datagram_reader import Arrival
from loa.broadcast.air.group_book import GroupBook, GroupWays
from loa.broadcast.air.listeners import Listeners
from loa.broadcast.air.media_port import (
    AddChannel,
    Address,
    AirEnded,
    AirProgress,
    AskCounters,
    Audience,
    Carry,
    ChannelBound,
    ChannelLoud,
    ChannelUnbound,
    Command,
    Counters,
    DropChannel,
    Event,
    Frames,
    GroupRoute,
    Groups,
    PlainOutput,
    Ready,
    SendOrder,
    SettleOrder,
    Shutdown,
    StartAir,
    StopAir,
    Tap,
    Tapped,
    UseGroups,
    UsePlain,
)
from loa.broadcast.air.order_repeats import OrderRepeats
from loa.broadcast.air.plain_outputs import PlainOutputs, PlainPacket
from loa.broadcast.air.repair_ring import SPAN_NS, RepairRing
from loa.broadcast.air.sockaddr import pack_address, unpack_address
from loa.codecs.channel_wire import CHANNEL_ID_BYTES
from loa.codecs.order_wire import MAX_DATAGRAM_BYTES

PROGRESS_NS = 500_000_000
MAX_AIRS = 256
MAX_GENERATIONS = 200_000
"""How many (key, SSRC) pairs are remembered so that none is used again."""


class Batch(NamedTuple):
    """One packet to all of a table, and to multicast groups. `due_ns`: the instant it should leave at."""

    packet: bytes
    table: AddressTable
    due_ns: int
    groups: GroupWays = ()


@dataclass(slots=True)
class _Air:
    """A generation, its audience, and, when it has ended, until when it is still repaired."""

    run: AirRun
    broadcast_id: bytes
    generation: int
    listeners: Listeners
    progress_ns: int
    tapped: bool = False
    forget_ns: int | None = None
    groups: tuple[Address, ...] = ()
    ways: GroupWays = ()
    newcomers: set[bytes] = field(default_factory=set)
    """Channels that have joined since the last frame: the block that covers the next one may have gone before."""


class MediaCore:
    """Everything that the media process decides."""

    def __init__(
        self,
        *,
        epoch: bytes,
        address: Address,
        clock: Callable[[], int],
        nonce_key: bytes,
        family: socket.AddressFamily = socket.AF_INET6,
    ) -> None:
        """`epoch`: 8 random bytes, new for each process. `address`: where the socket is bound, for Ready.
        `clock`: monotonic ns. `nonce_key`: 32 random bytes. `family`: of the sending socket."""
        self.counters: Values = new_values()
        self.closing = False
        """Shutdown was commanded."""
        self._family = family
        self._book = AddressBook(MAX_CHANNELS, family)
        self._channels = Channels(
            epoch=epoch,
            nonce_key=nonce_key,
            clock=clock,
            find_ring=self._find_ring,
            book=self._book,
            counters=self.counters,
        )
        self._orders = OrderRepeats(self._book)
        self._groups = GroupBook(epoch)
        self._plain = PlainOutputs(random.Random(nonce_key), self.counters)
        self._nobody = AddressTable(family)
        self._on_air: dict[bytes, _Air] = {}
        self._by_ssrc: dict[int, _Air] = {}
        self._used: dict[bytes, None] = {}
        self._events: list[Event] = [Ready(epoch, address, clock())]

    @property
    def has_events(self) -> bool:
        """Whether `take_events` would give any."""
        return bool(self._events)

    def take_events(self) -> list[Event]:
        """The events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def handle(self, command: Command, now_ns: int) -> None:
        """Obey a command. One that cannot be obeyed is counted in `commands_refused` and changes nothing."""
        match command:
            case AddChannel(channel_id, secret):
                if len(channel_id) == CHANNEL_ID_BYTES:
                    self._channels.add(channel_id, secret)
                else:
                    self._refuse()
            case DropChannel(channel_id):
                self._channels.drop(channel_id)
            case StartAir():
                self._start(command, now_ns)
            case Audience(broadcast_id, joined, left):
                air = self._on_air.get(broadcast_id)
                if air is not None:
                    air.listeners.leave(left)
                    self._refuse(air.listeners.join(joined))
                    air.newcomers.difference_update(left)
                    air.newcomers.update(joined)
            case UseGroups(routes):
                self._refuse(self._groups.use([GroupRoute(*route) for route in routes], now_ns))
                self.counters["groups"] = len(self._groups)
                for air in self._by_ssrc.values():
                    air.ways = self._groups.ways(air.groups)
            case Groups(broadcast_id, groups):
                air = self._on_air.get(broadcast_id)
                if air is not None:
                    air.groups = tuple(groups)
                    air.ways = self._groups.ways(air.groups)
            case UsePlain(outputs):
                wanted = [PlainOutput(each, GroupRoute(*route), *packets) for each, route, *packets in outputs]
                self._refuse(self._plain.use(wanted, now_ns))
                self.counters["plain_outputs"] = len(self._plain)
            case Carry(output_id, broadcast_id):
                self._refuse(not self._plain.carry(output_id, broadcast_id))
            case Frames(broadcast_id):
                air = self._on_air.get(broadcast_id)
                if air is None:
                    self.counters["frames_refused"] += len(command.packets)
                else:
                    air.run.supply(command, now_ns)
            case StopAir(broadcast_id):
                air = self._on_air.pop(broadcast_id, None)
                if air is not None:
                    air.run.stop()
            case Tap(broadcast_id, on):
                if broadcast_id in self._on_air:
                    self._on_air[broadcast_id].tapped = on
            case SendOrder(_, datagram):
                if not 0 < len(datagram) <= MAX_DATAGRAM_BYTES or not self._orders.add(command, now_ns):
                    self._refuse()
            case SettleOrder(order_id, channels):
                self._orders.settle(order_id, channels)
            case AskCounters():
                self._events.append(Counters(dict(self.counters)))
            case Shutdown():
                self.closing = True

    def receive(self, data: bytes, address: Address, now_ns: int) -> list[tuple[bytes, Address]]:
        """Take a datagram that came from `address` at `now_ns`; the answers, to be sent at once."""
        replies = self.receive_all([Arrival(data, pack_address(self._family, address), now_ns)])
        return [(packet, unpack_address(packed)) for packet, packed in replies]

    def receive_all(self, arrivals: Iterable[Arrival]) -> list[Reply]:
        """Take datagrams in the order they came in; the answers, to be sent at once."""
        replies: list[Reply] = []
        for data, name, at_ns in arrivals:
            replies += self._channels.receive(data, name, at_ns)
        for channel_id, packed in self._channels.newly_bound:
            self._events.append(ChannelBound(channel_id, unpack_address(packed)))
        self._channels.newly_bound.clear()
        self._events += map(ChannelLoud, self._channels.newly_loud)
        self._channels.newly_loud.clear()
        return replies

    def due(self, now_ns: int) -> list[Batch]:
        """What is to be sent now, in order. Tables are good until the next call."""
        self._events += [ChannelUnbound(channel_id) for channel_id in self._channels.expire(now_ns)]
        changed = self._book.take_changed(now_ns)
        batches: list[Batch] = []
        for datagram, table, due_ns in self._orders.due(now_ns):
            self.counters["orders_sent"] += len(table)
            batches.append(Batch(datagram, table, due_ns))
        if (beat := self._groups.due(now_ns)) is not None:
            datagram, ways, due_ns = beat
            batches.append(Batch(datagram, self._nobody, due_ns, ways))
        batches += map(self._to_groups, self._plain.due(now_ns))
        for ssrc, air in list(self._by_ssrc.items()):
            if ssrc != air.run.ssrc:
                continue  # each of them has two
            if len(changed):
                air.listeners.touch(changed)
            if air.forget_ns is None:
                block = air.run.block_ahead
                outgoing = air.run.due(now_ns)
                if air.newcomers and outgoing:
                    if block is not None:
                        table = Listeners(air.newcomers, self._book).settle(now_ns)
                        batches.append(Batch(block, table, outgoing[0].due_ns))
                    air.newcomers.clear()
                if air.tapped and outgoing:
                    self._events.append(Tapped(air.broadcast_id, tuple(each.packet for each in outgoing)))
                table = air.listeners.settle(now_ns)
                batches.extend(Batch(each.packet, table, each.due_ns, air.ways) for each in outgoing)
                batches += map(self._to_groups, self._plain.packets(air.broadcast_id, air.run, outgoing))
                self._report(air, now_ns)
            elif air.forget_ns <= now_ns:
                self._forget(air)
        return [batch for batch in batches if len(batch.table) or batch.groups]

    def farewell(self, now_ns: int) -> list[Batch]:
        """What is to be sent at the end of all, after what was due."""
        return [self._to_groups(each) for each in self._plain.farewell(now_ns)]

    def _to_groups(self, sent: PlainPacket) -> Batch:
        return Batch(sent.packet, self._nobody, sent.due_ns, sent.ways)

    def refused(self, table: AddressTable, positions: Sequence[int], now_ns: int) -> None:
        """The kernel has refused these receivers of a table that `due` gave: no sound for them for a while."""
        slots = table.slots[[position for position in positions if position < len(table.slots)]]
        if len(slots):
            self._book.rest(slots, now_ns)
            self.counters["addresses_rested"] += len(slots)

    def next_due_ns(self) -> int | None:
        """When `due` is next to be called; may be past. None: not before the next command or datagram."""
        instants = [self._channels.next_expiry_ns(), self._orders.next_due_ns(), self._groups.next_due_ns()]
        instants.append(self._plain.next_due_ns())
        for air in self._by_ssrc.values():
            if air.forget_ns is None:
                instants += [air.progress_ns, air.run.next_due_ns()]
            else:
                instants.append(air.forget_ns)
        return min((at_ns for at_ns in instants if at_ns is not None), default=None)

    def _start(self, start: StartAir, now_ns: int) -> None:
        """Take a generation on air in place of the broadcast's earlier one."""
        ssrcs = (start.ssrc, start.block_ssrc)
        uses = [
            hashlib.sha256(start.master_key + start.master_salt + ssrc.to_bytes(8, "big")).digest()[:16]
            for ssrc in ssrcs
        ]
        run = None
        if (
            self._has_room()
            and not any(ssrc in self._by_ssrc for ssrc in ssrcs)
            and not any(use in self._used for use in uses)
        ):
            try:
                run = AirRun(start, self.counters)
            except ValueError:
                run = None
        if run is None:
            self._refuse()
            self._events.append(AirEnded(start.broadcast_id, start.generation, start.index0, "refused", 0))
            return
        for use in uses:
            self._used[use] = None
        while len(self._used) > MAX_GENERATIONS:
            del self._used[next(iter(self._used))]
        before = self._on_air.get(start.broadcast_id)
        if before is not None:
            before.run.stop()
        air = _Air(run, start.broadcast_id, start.generation, Listeners((), self._book), now_ns)
        air.tapped = before is not None and before.tapped
        self._on_air[start.broadcast_id] = air
        for ssrc in ssrcs:
            self._by_ssrc[ssrc] = air
        self._report(air, now_ns)

    def _has_room(self) -> bool:
        """Whether there are fewer than MAX_AIRS. What has ended makes room: a voice comes before repairs."""
        airs = {id(air): air for air in self._by_ssrc.values()}
        if len(airs) < MAX_AIRS:
            return True
        ended = [(air.forget_ns, number) for number, air in airs.items() if air.forget_ns is not None]
        if ended:
            self._forget(airs[min(ended)[1]])
        return bool(ended)

    def _forget(self, air: _Air) -> None:
        self._by_ssrc = {ssrc: each for ssrc, each in self._by_ssrc.items() if each is not air}

    def _report(self, air: _Air, now_ns: int) -> None:
        """Progress when it is time for it, and the end once."""
        if air.forget_ns is not None:
            return
        run = air.run
        if run.ended is not None:
            air.forget_ns = now_ns + SPAN_NS
            air.listeners.empty_table()
            if self._on_air.get(air.broadcast_id) is air:
                del self._on_air[air.broadcast_id]
            self._events.append(AirEnded(air.broadcast_id, air.generation, run.next_index, run.ended, run.sent))
        elif now_ns >= air.progress_ns:
            air.progress_ns += PROGRESS_NS * ((now_ns - air.progress_ns) // PROGRESS_NS + 1)
            self._events.append(
                AirProgress(air.broadcast_id, air.generation, run.next_index, run.buffered, run.sent)
            )

    def _find_ring(self, ssrc: int, channel_id: bytes) -> RepairRing | None:
        air = self._by_ssrc.get(ssrc)
        if air is None or not (channel_id in air.listeners or air.ways):
            return None  # of a group nobody knows who hears it: whoever is bound may ask, within the limits
        return air.run.rings[ssrc]

    def _refuse(self, count: int = 1) -> None:
        self.counters["commands_refused"] += count
