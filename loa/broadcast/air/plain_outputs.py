"""All unprotected RTP outputs of the media process: what each carries, and their announcements. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from loa.broadcast.air.air_counters import Values
from loa.broadcast.air.air_run import AirRun, Outgoing
from loa.broadcast.air.group_book import GroupWays, check_route, ways_to
from loa.broadcast.air.media_port import PlainOutput
from loa.broadcast.air.plain_stream import PlainStream
from loa.codecs.multicast import SAP_PORT, sap_host

MAX_OUTPUTS = 256
ANNOUNCE_NS = 300_000_000_000
ANNOUNCE_BITS_A_SECOND = 4_000
"""RFC 2974 §3.1: every 300 s, or less often where all announcements together would be more than this."""


@dataclass(frozen=True, slots=True)
class PlainPacket:
    """A packet, where it goes, and when it was due."""

    packet: bytes
    ways: GroupWays
    due_ns: int


@dataclass(slots=True)
class _Output:
    """`carries`: the broadcast whose frames it sends; `then`: the one that it goes over to at its first frame."""

    output: PlainOutput
    stream: PlainStream
    ways: GroupWays
    announced_at: GroupWays
    announce_ns: int
    carries: bytes = b""
    then: bytes = b""


class PlainOutputs:
    """The outputs, by their ids."""

    def __init__(self, rng: random.Random, counters: Values) -> None:
        self._rng = rng
        self._counters = counters
        self._outputs: dict[bytes, _Output] = {}
        self._farewells: list[PlainPacket] = []

    def __len__(self) -> int:
        return len(self._outputs)

    def use(self, outputs: Collection[PlainOutput], now_ns: int) -> int:
        """These are all outputs from now on; how many of them were refused. One that is as it was goes on as it is.

        What is new is announced at once, what is gone is told to be gone.
        """
        before, self._outputs = self._outputs, {}
        for output in outputs:
            try:
                check_route(output.route)
            except ValueError:
                continue
            if len(self._outputs) >= MAX_OUTPUTS or output.output_id in self._outputs:
                continue
            kept = before.get(output.output_id)
            if kept is not None and kept.output == output:
                self._outputs[output.output_id] = before.pop(output.output_id)
                continue
            made = self._made(output, now_ns)
            if kept is not None:  # the sound goes on; who listens to the old address has to look for the new one
                made.carries, made.then = kept.carries, kept.then
            self._outputs[output.output_id] = made
        self._farewells += [self._farewell(each, now_ns) for each in before.values()]
        return len(outputs) - len(self._outputs)

    def carry(self, output_id: bytes, broadcast_id: bytes) -> bool:
        """Let an output carry another broadcast from that one's next frame on (empty: none, from now on); False for
        no output."""
        found = self._outputs.get(output_id)
        if found is None:
            return False
        found.then = broadcast_id
        if not broadcast_id:
            found.carries = b""
        return True

    def packets(self, broadcast_id: bytes, run: AirRun, outgoing: Iterable[Outgoing]) -> Sequence[PlainPacket]:
        """What goes out when these frames of a broadcast do."""
        carrying = [each for each in self._outputs.values() if broadcast_id in (each.carries, each.then)]
        if not carrying:
            return ()
        made = []
        for sent in outgoing:
            if sent.payload:
                made += [self._packet(each, broadcast_id, run, sent) for each in carrying]
        return [packet for packet in made if packet is not None]

    def _packet(self, to: _Output, broadcast_id: bytes, run: AirRun, sent: Outgoing) -> PlainPacket | None:
        if broadcast_id == to.then:
            to.carries = broadcast_id
        elif broadcast_id != to.carries:
            return None
        grid = run.grid
        packet = to.stream.packet(run, sent.index, grid.due_ns(sent.index), grid.frame_samples, sent.payload)
        self._counters["plain_packets"] += 1
        return PlainPacket(packet, to.ways, sent.due_ns)

    def next_due_ns(self) -> int | None:
        """When `due` has something next."""
        if self._farewells:
            return self._farewells[0].due_ns
        return min((each.announce_ns for each in self._outputs.values()), default=None)

    def due(self, now_ns: int) -> Sequence[PlainPacket]:
        """Announcements that are due."""
        made, self._farewells = self._farewells, []
        for each in self._outputs.values():
            if each.announce_ns <= now_ns:
                made.append(PlainPacket(each.output.announcement, each.announced_at, each.announce_ns))
                each.announce_ns = now_ns + self._interval_ns()
        return made

    def farewell(self, now_ns: int) -> Sequence[PlainPacket]:
        """The end: that no session is there any more."""
        return [self._farewell(each, now_ns) for each in self._outputs.values()]

    def _made(self, output: PlainOutput, now_ns: int) -> _Output:
        bits = self._rng.getrandbits
        return _Output(
            output,
            PlainStream(bits(32), bits(16), bits(32)),
            ways_to([output.route]),
            ways_to([output.route._replace(host=sap_host(output.route.host), port=SAP_PORT)]),
            announce_ns=now_ns,
        )

    def _interval_ns(self) -> int:
        """RFC 2974 §3.1, for the announcements that are our own."""
        bits = 8 * sum(len(each.output.announcement) for each in self._outputs.values())
        base_ns = max(ANNOUNCE_NS, bits * 1_000_000_000 // ANNOUNCE_BITS_A_SECOND)
        return base_ns + self._rng.randrange(base_ns * 2 // 3) - base_ns // 3

    @staticmethod
    def _farewell(gone: _Output, now_ns: int) -> PlainPacket:
        return PlainPacket(gone.output.deletion, gone.announced_at, now_ns)
