"""The media process's work for a frame, by multicast group and by unicast, from 10 to 10,000 endpoints.

The core of the media process with its sockets, in this process and without waiting for the clock: what is measured
is the processor's time from asking what is due until the kernel has taken the last packet, signed blocks included.
"""

from __future__ import annotations

import socket
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks import Figure, Measured, Plot, gstreamer
from benchmarks.media_run import signed_sound
from loa.app.load.sink_sockets import drop_all
from loa.broadcast.air.air_counters import new_values
from loa.broadcast.air.fanout import Fanout, Parcel
from loa.broadcast.air.group_sockets import GroupSockets
from loa.broadcast.air.media_core import MediaCore
from loa.broadcast.air.media_port import (
    AddChannel,
    Address,
    Audience,
    Frames,
    GroupRoute,
    Groups,
    UseGroups,
)
from loa.broadcast.air.media_socket import open_media_socket
from loa.codecs import channel_wire
from loa.codecs.channel_wire import Type, padded
from loa.edge.speaker.group_ear import Membership
from loa.edge.speaker.group_socket import join_group

RECEIVERS = (10, 100, 1_000, 10_000)
TURNS = 15
FRAMES = {"group": 1_000, "unicast": 50}
"""In a turn. Endpoints renew their bindings between two."""
FRAME_NS = 20_000_000
PAYLOAD = bytes(160)
PEER_RECEIVERS, PEER_S = 1_000, 5.0
FLAT = 1.05
GROUP = "239.77.7.7"
BROADCAST = b"broadcast number"
SECRET = bytes(32)


@dataclass(slots=True)
class Side:
    """A media core with its endpoints and sockets, and how far its broadcast has come."""

    core: MediaCore
    fanout: Fanout
    groups: GroupSockets
    homes: dict[bytes, Address]
    counter: int = 0
    now_ns: int = 0
    frame: int = 0

    def say(self, channel: bytes, type_: Type, payload: bytes) -> bytes:
        """Let an endpoint say something; the payload of the answer."""
        data = channel_wire.encode(type_, channel, self.counter, payload, SECRET)
        replies = self.core.receive(data, self.homes[channel], self.now_ns)
        return channel_wire.parse(replies[0][0]).payload if replies else b""

    def renew(self) -> None:
        """All endpoints keep their channels alive, and those that are not bound bind them."""
        self.counter += 1
        nonces = {channel: self.say(channel, Type.KEEPALIVE, padded(b"")) for channel in self.homes}
        self.counter += 1
        for channel, nonce in nonces.items():
            if len(nonce) == channel_wire.CHALLENGE_BYTES:
                self.say(channel, Type.ECHO, nonce)

    def turn(self, frames: int) -> float:
        """Send so many frames; the processor's time for one, µs."""
        self.renew()
        self.core.handle(Frames(BROADCAST, self.frame, (PAYLOAD,) * frames), self.now_ns)
        self.core.take_events()
        began_ns = time.process_time_ns()
        for _ in range(frames):
            batches = self.core.due(self.now_ns)
            for batch in batches:
                self.groups.send(batch.packet, batch.groups)
            self.fanout.send_all([Parcel(batch.packet, batch.table) for batch in batches])
            self.now_ns += FRAME_NS
        self.frame += frames
        return (time.process_time_ns() - began_ns) / 1e3 / frames


def measure() -> Measured:
    """Turns of all sides, one after the other, so that a busy moment meets all."""
    with ExitStack() as stack:
        sink = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        drop_all(sink)
        sink.bind(("0.0.0.0", 0))
        port = sink.getsockname()[1]
        member = stack.enter_context(join_group(Membership(GROUP, 0, "127.0.0.1")))
        drop_all(member)
        route = GroupRoute(GROUP, member.getsockname()[1], 1, "", True, "127.0.0.1")
        sides = {
            (door, receivers): _side(stack, port, receivers, route if door == "group" else None)
            for door in ("group", "unicast")
            for receivers in RECEIVERS
        }
        turns: dict[tuple[str, int], list[float]] = {each: [] for each in sides}
        for _ in range(TURNS):
            for each, side in sides.items():
                turns[each].append(side.turn(FRAMES[each[0]]))
    median = {each: statistics.median(times) for each, times in turns.items()}
    few, many = turns["group", RECEIVERS[0]], turns["group", RECEIVERS[-1]]
    growth = statistics.median(more / less for more, less in zip(many, few, strict=True))
    note = f"median of {TURNS} turns; 20 ms frames with signed blocks, the processor's time"
    most, least = f"{RECEIVERS[-1]:,}", f"{RECEIVERS[0]:,}"
    peer = gstreamer.run(PEER_RECEIVERS, PEER_S)
    beside = (
        []
        if peer is None
        else [
            Figure(
                f"peer: a frame by unicast, {PEER_RECEIVERS:,} endpoints",
                peer.cpu_us * PEER_RECEIVERS,
                "µs",
                "GStreamer multiudpsink, plain RTP, its encoder included",
            )
        ]
    )
    return [
        Figure(f"a frame to one group, {least} endpoints", median["group", RECEIVERS[0]], "µs", note),
        Figure(f"a frame to one group, {most} endpoints", median["group", RECEIVERS[-1]], "µs"),
        Figure(f"by group, {most} / {least} endpoints", growth, "×", "median of the turns' ratios", FLAT),
        Figure(f"a frame by unicast, {least} endpoints", median["unicast", RECEIVERS[0]], "µs", "same core"),
        Figure(f"a frame by unicast, {most} endpoints", median["unicast", RECEIVERS[-1]], "µs"),
        *beside,
        Plot(
            "The media process's work for a frame",
            "endpoints",
            "µs of processor",
            {
                door: [(receivers, median[door, receivers]) for receivers in RECEIVERS]
                for door in ("group", "unicast")
            },
            x_log=True,
        ),
    ]


def _side(stack: ExitStack, port: int, receivers: int, group: GroupRoute | None) -> Side:
    """A core with so many bound endpoints, who all get a broadcast that begins now, by the group or each alone."""
    sending = stack.enter_context(open_media_socket("::", 0, new_values()))
    core = MediaCore(epoch=bytes(8), address=("::", 0), clock=lambda: 0, nonce_key=bytes(32))
    homes = {
        number.to_bytes(8, "big"): (f"127.2.{number // 250}.{1 + number % 250}", port)
        for number in range(receivers)
    }
    for channel in homes:
        core.handle(AddChannel(channel, SECRET), 0)
    core.handle(signed_sound(BROADCAST, start_ns=0), 0)
    if group is None:
        core.handle(Audience(BROADCAST, tuple(homes)), 0)
    else:
        core.handle(UseGroups((group,)), 0)
        core.handle(Groups(BROADCAST, (group.address,)), 0)
    groups = GroupSockets(core.counters)
    stack.callback(groups.close)
    return Side(core, stack.enter_context(Fanout(sending)), groups, homes)
