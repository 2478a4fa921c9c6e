"""An endpoint that hears everything: the reference speaker's engine, on a clock that is wrong, into a silent card.

Its card asks for 100 ms at a time, at a low rate, and late: what is heard is counted, not listened to.
"""

from __future__ import annotations

import random
import socket

from loa.app.load.arrivals import Arrivals
from loa.app.load.heard_stream import HeardStream
from loa.app.load.member import NS_PER_MS, NS_PER_S, Member, Standing, Timer, World
from loa.app.load.orders_seen import OrdersSeen
from loa.app.load.shared_work import SharedWork, Unheard
from loa.app.load.sink_sockets import arrival_ns, enlarge, stamp_arrivals
from loa.codecs import channel_wire
from loa.codecs.order_wire import Tune
from loa.codecs.rtp import HEADER_BYTES
from loa.edge.speaker.channel import Address
from loa.edge.speaker.engine import SpeakerEngine
from loa.edge.speaker.frame_counters import Counters
from loa.edge.speaker.identity import Identity
from loa.edge.speaker.link_session import Event, LinkSession, OrderArrived, ReceiptsAcked, Welcomed
from loa.errors import LinkError
from loa.timing.clock import SkewedClock
from loa.timing.line import samples_to_ns

BLOCK_NS = 100 * NS_PER_MS
CARD_RATE_HZ = 8_000
CARD_LEAD_NS = 100 * NS_PER_MS
"""So long before it is heard a card asks for its sound: what comes later is thrown away."""
LAG_NS = 300 * NS_PER_MS
"""So long after it would have been heard the sound is really rendered. What came in time is known by the kernel's
time stamps, so a process that is held up loses nothing that a speaker would have played."""
MOST_BEHIND_NS = 2 * NS_PER_S
MAX_SKEW_S = 3_600
MAX_SKEW_PPM = 80
MAX_STREAMS = 64
_READ_BYTES = 2_048
_READS_AT_ONCE = 256
_ANCILLARY_BYTES = 64
_HEARD = ("played", "repaired", "recovered", "concealed", "unsigned")


class Sampled(Member):
    """See above."""

    def __init__(
        self,
        world: World,
        number: int,
        identity: Identity,
        software: str,
        orders: OrdersSeen,
        shared: SharedWork,
        *,
        loss: float,
        skewed: bool,
        seed: int,
    ) -> None:
        """`loss`: share of packets that are thrown away as they come. `seed`: of its clock and its luck."""
        super().__init__(world, number, identity, software)
        self._rng = random.Random(f"{seed} {number}")
        offset_ns = self._rng.randint(-MAX_SKEW_S, MAX_SKEW_S) * NS_PER_S if skewed else 0
        rate_ppm = self._rng.randint(-MAX_SKEW_PPM, MAX_SKEW_PPM) if skewed else 0
        self.clock = SkewedClock(world.clock, offset_ns, rate_ppm)
        self.engine = SpeakerEngine(identity, software=software, rng=self._rng, make_receiver=shared.receiver)
        self.engine.playout.make_voice = Unheard
        self._seen = orders
        self._loss = loss
        self._media: socket.socket | None = None
        self._streams: dict[int, HeardStream] = {}
        self._missing = self._preempted = self._late = 0
        self._arrivals = Arrivals(self)
        self._card_ns: int | None = None
        self._heard = Counters()

    # --- link -------------------------------------------------------------------------------------------------

    def new_session(self) -> LinkSession:
        """See Member."""
        return self.engine.new_session()

    def local_ns(self) -> int:
        """See Member."""
        return self.clock.monotonic_ns()

    def on_event(self, event: Event, now_ns: int) -> None:
        """See Member."""
        if isinstance(event, OrderArrived):
            self._note_order(event.bundle, "link", self.world.clock.utc_ns())
        elif isinstance(event, ReceiptsAcked):
            self._arrivals.acked(event.receipts)
        self.engine.on_link_event(event, now_ns)

    def on_link_end(self) -> None:
        """See Member."""
        if self._media is not None:
            self._media.close()
            self._media = None

    def open_channel(self, media: socket.socket, welcomed: Welcomed, server: Address) -> None:
        """Bind an address through this socket of its own, which is connected to the server."""
        stamp_arrivals(media)
        enlarge(media)
        self._media = media
        self.engine.open_channel(welcomed, server, self.local_ns())
        self._send_due()

    def on_alarm(self, timer: Timer, about: bytes, now_ns: int) -> None:
        """See Member. It has no alarms: it is called again and again."""

    # --- again and again --------------------------------------------------------------------------------------

    def poll(self, utc_less_monotonic_ns: int) -> None:
        """Take what has come, and send what is due. To be called every few milliseconds."""
        media, channel = self._media, self.engine.channel
        if media is None or channel is None:
            return
        estimate = self.engine.clock.estimate(self.local_ns())
        origin_less_local_ns = None if estimate is None else estimate.origin_ns - self.local_ns()
        for _ in range(_READS_AT_ONCE):
            try:
                data, ancillary, _, _ = media.recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP answer to something sent before
            at_utc_ns = arrival_ns(ancillary, self.world.clock.utc_ns())
            local_ns = self.clock.local_from_base(at_utc_ns - utc_less_monotonic_ns)
            if channel_wire.is_channel(data):
                bundle = channel_wire.parse_order(data)
                if bundle is not None:
                    self._note_order(bundle, "datagram", at_utc_ns)
            else:
                origin_ns = None if origin_less_local_ns is None else local_ns + origin_less_local_ns
                if self._note_sound(data, at_utc_ns, origin_ns) or self._rng.random() < self._loss:
                    continue
            self.engine.on_datagram(data, channel.server, local_ns)
        self._send_due()
        if channel.bound and self.standing is Standing.LINKED:
            self.is_bound()

    def tick(self) -> None:
        """What is late, lost or to be told. To be called every few tens of milliseconds."""
        now_ns = self.local_ns()
        self.engine.tick(now_ns)
        self._send_due()
        if self.session is not None and self.session.up and self.engine.queue_link_messages(now_ns):
            try:
                self._send_waiting()
            except LinkError:
                self.world.tally.counts["link_queue_full"] += 1

    def render(self) -> None:
        """Let the card ask for what it will play next. To be called every 100 ms."""
        if not self.engine.busy:
            self._card_ns = None
            return
        upto_ns = self.local_ns() - LAG_NS
        if self._card_ns is None:
            self._card_ns = upto_ns
        if self._card_ns < upto_ns - MOST_BEHIND_NS:
            self.world.tally.counts["sample_underruns"] += 1
            self._card_ns = upto_ns
        while self._card_ns <= upto_ns:
            block = self.engine.render(self._card_ns, CARD_RATE_HZ // 10, CARD_RATE_HZ)
            self._card_ns += BLOCK_NS
            for summary in block.summaries:
                _add(self._heard, summary.counters)
                self._forget_stream(summary.tune.ssrc, ended=summary.reason == "end")

    def heard(self) -> dict[str, int]:
        """Since it was made: frames by what became of them, packets that never came (`missing`), came too late
        (`late`), or were not sent while something else was heard (`preempted`), and datagrams that were of no use.
        """
        total = Counters()
        _add(total, self._heard)
        for receiver in self.engine.playout.receivers:
            _add(total, receiver.counters)
        status = self.engine.status(self.local_ns())
        streams = self._streams.values()
        return {
            **{name: getattr(total, name) for name in _HEARD},
            "missing": self._missing + sum(stream.missing for stream in streams),
            "late": self._late + sum(stream.late for stream in streams),
            "preempted": self._preempted + sum(stream.preempted for stream in streams),
            "dropped": status.dropped,
        }

    def _forget_stream(self, ssrc: int, *, ended: bool) -> None:
        stream = self._streams.pop(ssrc, None)
        if stream is not None:
            self._missing += stream.ended() if ended else stream.missing
            self._preempted += stream.preempted
            self._late += stream.late

    def clock_error_ns(self) -> int | None:
        """The bound that its clock puts on its error; None before it knows the time."""
        estimate = self.engine.clock.estimate(self.local_ns())
        return None if estimate is None else estimate.error_bound_ns

    def _send_due(self) -> None:
        if self._media is None:
            return
        for datagram in self.engine.datagrams_to_send(self.local_ns()):
            try:
                self._media.send(datagram)
            except OSError:
                self.world.tally.counts["datagrams_unsent"] += 1

    def _note_sound(self, data: bytes, at_utc_ns: int, origin_ns: int | None) -> bool:
        """Take down when a packet of sound came; whether that was too late for a card to play it."""
        ssrc = int.from_bytes(data[8:12], "big")
        stream = self._streams.get(ssrc)
        if stream is None or len(data) < HEADER_BYTES:
            return False
        sequence = int.from_bytes(data[2:4], "big")
        silenced = len(self._streams) > 1 and any(
            other.priority > stream.priority and other.at_ns > stream.at_ns for other in self._streams.values()
        )
        took = stream.take(sequence, at_utc_ns, silenced=silenced)
        if took is not None:
            index, off_ns = took
            tally = self.world.tally
            tally.frames.add(ssrc, index, at_utc_ns)
            tally.counts["sample_packets"] += 1
            if off_ns is not None:
                tally.jitter_us.add(abs(off_ns) // 1000)
        return origin_ns is not None and stream.is_late(sequence, origin_ns)

    def _note_order(self, bundle: bytes, door: str, at_utc_ns: int) -> None:
        utc_ms = self.engine.trusted.utc_ms(self.local_ns())
        if utc_ms is None:
            return
        seen = self._seen.read(bundle, utc_ms=utc_ms, place=self.identity.placement.areas)
        if seen is None:
            return
        self._arrivals.note(seen, door, at_utc_ns)
        action = seen.order.action
        if isinstance(action, Tune) and action.ssrc not in self._streams:
            frame_ns = int(samples_to_ns(action.frame_samples))
            heard_ns = action.start_ns + action.play_delay_ms * NS_PER_MS
            self._streams[action.ssrc] = HeardStream(
                action.index0, frame_ns, action.end_index, action.priority, heard_ns, CARD_LEAD_NS
            )
            while len(self._streams) > MAX_STREAMS:
                self._forget_stream(next(iter(self._streams)), ended=False)


def _add(total: Counters, more: Counters) -> None:
    for name in _HEARD:
        setattr(total, name, getattr(total, name) + getattr(more, name))
