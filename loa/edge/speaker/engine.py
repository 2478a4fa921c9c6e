"""The speaker without its sockets, threads and timers: link events and datagrams in, sound and messages out.

Two threads use it: the event loop (all methods but one) and the output's (`render`). What they share is behind
`_lock`, held for one packet or one block.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import structlog

from loa.codecs import channel_wire, group_wire, rtp
from loa.codecs.link_wire import Status
from loa.codecs.order_wire import Stop, Tune
from loa.edge.speaker.broadcast_receiver import MAX_TRANSIT_NS, BroadcastReceiver
from loa.edge.speaker.channel import DOUBT_NS, Address, Channel
from loa.edge.speaker.door_keeper import DoorKeeper
from loa.edge.speaker.early_sound import Early, EarlySound
from loa.edge.speaker.group_ear import GroupEar, Membership
from loa.edge.speaker.identity import Identity
from loa.edge.speaker.link_session import (
    BeaconReceived,
    Closed,
    Event,
    GroupTold,
    KeyListChanged,
    LinkSession,
    MediaArrived,
    OrderArrived,
    PlacementChanged,
    ReceiptsAcked,
    SecretReceived,
    TimeTold,
    Welcomed,
)
from loa.edge.speaker.media_keys import MediaKeys
from loa.edge.speaker.order_gate import Accepted, OrderGate, Refusal, Repeated
from loa.edge.speaker.output import Block
from loa.edge.speaker.playout import MAX_TUNES, Playout, is_late
from loa.edge.speaker.receipt_writer import ReceiptWriter
from loa.edge.speaker.receipts_outbox import ReceiptsOutbox
from loa.edge.speaker.report import UNKNOWN_ERROR_NS
from loa.edge.speaker.trusted_time import TrustedTime
from loa.errors import LinkError, Refused, StoreError
from loa.model import EMERGENCY_PRIORITY, ReceiptState, id_text
from loa.timing.filter import ClockEstimate, ClockFilter
from loa.timing.line import FrameGrid
from loa.timing.token_bucket import TokenBucket

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
STATUS_NS = 10 * NS_PER_S
STATUS_LOOK_NS = NS_PER_S
"""How soon a status is told that has something to tell: thousands that only play on would fill the core's time."""
MAX_DRIFT_PPB = 1_000_000
MAX_OBEYED = 1024
REPEATS_A_SECOND = 20
ORDERS_FILE = "orders"
RECEIPTS_FILE = "receipts"

_log = structlog.get_logger("speaker")


class SpeakerEngine:
    """One enrolled speaker."""

    def __init__(
        self,
        identity: Identity,
        *,
        software: str,
        rng: random.Random,
        volume: int = 100,
        make_receiver: Callable[[Tune], BroadcastReceiver] = BroadcastReceiver,
    ) -> None:
        """ConfigError when a state file is damaged. `volume`: this endpoint's own, 0 to 100."""
        folder = identity.folder
        self.identity = identity
        self.clock = ClockFilter()
        self.trusted = TrustedTime()
        self.gate = OrderGate(
            identity.authority,
            identity.endpoint_id,
            lambda data: folder.write(ORDERS_FILE, data),
            folder.read(ORDERS_FILE),
        )
        self.outbox = ReceiptsOutbox(lambda data: folder.write(RECEIPTS_FILE, data), folder.read(RECEIPTS_FILE))
        self.receipts = ReceiptWriter(self.outbox, self.trusted)
        self.playout = Playout(self._playable_time)
        self.playout.volume = volume
        self.playout.time.trim_ns = identity.placement.trim_us * NS_PER_US
        self.channel: Channel | None = None
        self.door = DoorKeeper()
        self.session: LinkSession | None = None
        self.ear = GroupEar()
        self.underruns: Callable[[], int] = lambda: 0
        self.dropped = 0
        self._lock = threading.Lock()
        self._rng = rng
        self._software = software
        self._make_receiver = make_receiver
        self._keys = MediaKeys()
        self._early = EarlySound()
        self._repeats = TokenBucket(REPEATS_A_SECOND, REPEATS_A_SECOND)
        self._obeyed: dict[bytes, None] = {}  # by this run; a set that keeps its order
        self._clock_known = False
        self._told: Status | None = None
        self._told_ns = self._status_look_ns = 0

    # --- link -------------------------------------------------------------------------------------------------

    def new_session(self) -> LinkSession:
        """A link begins; it replaces the one before."""
        self.session = LinkSession(self.identity, self._software)
        return self.session

    def on_link_event(self, event: Event, now_ns: int) -> None:
        """Take an event of the link's session. The caller answers `Welcomed` with `open_channel`."""
        match event:
            case Welcomed():
                self._welcomed(event, now_ns)
            case KeyListChanged():
                self.receipts.keep(self.identity.keep_key_list)
                _log.info("key list", version=self.identity.authority.key_list.version)
            case SecretReceived():
                self._take_secret(event)
            case OrderArrived():
                self.on_order(event.bundle, now_ns)
            case PlacementChanged():
                self.receipts.keep(lambda: self.identity.take_placement(event.envelope))
                with self._lock:
                    self.playout.time.trim_ns = self.identity.placement.trim_us * NS_PER_US
            case BeaconReceived():
                self.trusted.beacon(event.beacon)
            case GroupTold():
                self.ear.told(event.message)
            case MediaArrived():
                for packet in event.packets:
                    self._on_media(packet, now_ns)
            case TimeTold() if self.channel is not None:
                with self._lock:
                    self.channel.take_reply(event.reply, now_ns)
                    self._see_clock(now_ns)
            case ReceiptsAcked():
                self.receipts.keep(lambda: self.outbox.acked(event.receipts))
            case Closed():
                _log.info("link closed", reason=event.reason, detail=event.detail, by_server=event.by_server)

    def open_channel(self, welcomed: Welcomed, server: Address, now_ns: int) -> None:
        """Send and hear media at this address from now on."""
        with self._lock:
            self.dropped += self.channel.drops if self.channel is not None else 0
            self.channel = Channel(
                channel_id=welcomed.channel_id,
                channel_secret=welcomed.keys.channel_secret,
                epoch=welcomed.beacon.epoch,
                server=server,
                clock=self.clock,
                rng=self._rng,
            )
            self.door.new_channel(self.channel, now_ns)

    def queue_link_messages(self, now_ns: int) -> bool:
        """Hand what is to be said, and is due, to the link's session; whether it has anything to send."""
        session = self.session
        if session is None or not session.up:
            return False
        try:
            unsent = self.outbox.take_unsent(now_ns)
            if unsent:
                session.send_receipts(unsent)
            hearing = self.ear.take_news()
            if hearing is not None:
                session.send_hearing(hearing)
            asked = self._ask_by_link(session, now_ns)
            status = self._due_status(now_ns)
            if status is not None:
                session.send_status(status)
            return bool(unsent) or hearing is not None or asked or status is not None
        except LinkError as error:
            self.outbox.new_link()
            _log.warning("link queue", error=str(error))
            return False

    def _due_status(self, now_ns: int) -> Status | None:
        """The status, when it is to be told."""
        if now_ns < self._status_look_ns:
            return None
        status, told = self.status(now_ns), self._told
        self._status_look_ns = now_ns + STATUS_LOOK_NS
        if told is not None and now_ns < self._told_ns + STATUS_NS and _of_note(status) == _of_note(told):
            return None
        self._told, self._told_ns = status, now_ns
        return status

    def _tell_status(self, now_ns: int) -> None:
        """Have the status told at once."""
        self._told, self._status_look_ns = None, now_ns

    def _ask_by_link(self, session: LinkSession, now_ns: int) -> bool:
        """Ask for another door, and for the time where datagrams do not bring it; whether it did."""
        channel = self.channel
        if channel is None:
            return False
        with self._lock:
            by_link, probe_ns = self.door.take_news(channel, now_ns), channel.link_probe(now_ns)
        self.ear.by_link(self.door.by_link)
        if by_link is not None:
            session.send_door(by_link)
            _log.info("sound by link" if by_link else "sound by datagrams")
        if probe_ns is not None:
            session.send_probe(probe_ns)
        return by_link is not None or probe_ns is not None

    # --- media ------------------------------------------------------------------------------------------------

    def on_datagram(self, data: bytes, address: Address, now_ns: int) -> None:
        """Take a datagram of the media socket. Never raises; what does not belong is counted."""
        channel = self.channel
        if channel is None or address != channel.server:
            self.dropped += 1
            return
        if channel_wire.is_channel(data):
            bundle = channel_wire.parse_order(data)
            if bundle is not None:
                self.on_order(bundle, now_ns)
                return
            with self._lock:
                channel.receive(data, address, now_ns)
                self._see_clock(now_ns)
            return
        self._on_media(data, now_ns)

    def _see_clock(self, now_ns: int) -> None:
        if not self._clock_known and self.clock.converged:
            self._clock_known = True
            self._tell_status(now_ns)

    def _on_media(self, data: bytes, now_ns: int) -> None:
        if self._on_sound(data, now_ns, for_us=True) is None:
            self.dropped += 1

    @property
    def membership(self) -> Membership | None:
        """The multicast group to be in, if there is one."""
        return None if self.channel is None else self.ear.membership(self.channel.server[0])

    def on_group_datagram(self, data: bytes, host: str, now_ns: int) -> None:
        """Take a datagram that `host` has sent to the group. Never raises; what does not belong is counted, but for
        sound that is not tuned here: it is for others."""
        membership = self.membership
        if membership is None or host != membership.source:
            self.dropped += 1
        elif (epoch := group_wire.parse_beat(data)) is not None:
            if epoch == self.trusted.epoch:
                self.ear.heard(now_ns)
        elif self._on_sound(data, now_ns):
            self.ear.heard(now_ns, sound=True)

    def _on_sound(self, data: bytes, now_ns: int, *, for_us: bool = False) -> bool | None:
        """Whether a packet of sound was of use; None for what is not tuned, which may be early, or no packet of
        sound. `for_us`: it came to nobody else."""
        origin_ns = self._coarse_origin_ns(now_ns)
        if len(data) < rtp.HEADER_BYTES or origin_ns is None:
            return None
        ssrc = int.from_bytes(data[8:12], "big")
        with self._lock:
            for receiver in self.playout.receivers:
                if ssrc in (receiver.tune.ssrc, receiver.tune.block_ssrc):
                    dropped = receiver.counters.dropped
                    receiver.receive(data, origin_ns, now_ns)
                    return receiver.counters.dropped == dropped
            self._early.put(Early(ssrc, data, origin_ns, now_ns, for_us))
        return None

    def datagrams_to_send(self, now_ns: int) -> list[bytes]:
        """What goes to `channel.server` at once."""
        with self._lock:
            return [] if self.channel is None else self.channel.datagrams_to_send(now_ns)

    def next_due_ns(self, now_ns: int) -> int | None:
        """When `datagrams_to_send` has something next; None without a channel."""
        return None if self.channel is None else self.channel.next_due_ns(now_ns)

    @property
    def busy(self) -> bool:
        """Whether anything is tuned: then `tick` is wanted every 10 ms."""
        return len(self.playout) > 0

    @property
    def other_time_line(self) -> bool:
        """Whether the origin answers with another epoch than the link's: the link is to be made anew."""
        return self.channel is not None and self.channel.other_epoch > 0

    def tick(self, now_ns: int) -> None:
        """Ask for what is missing, end what is lost, and write receipts of what the output has done."""
        origin_ns = self._coarse_origin_ns(now_ns)
        with self._lock:
            if origin_ns is not None:
                self.playout.tick(now_ns, origin_ns)
                if self.channel is not None:
                    if self.playout.silent_ns(now_ns, origin_ns) > DOUBT_NS:
                        self.channel.doubt(now_ns)
                    for receiver in self.playout.awaited:
                        self.channel.nack(receiver.nacks(origin_ns, now_ns, self.channel.round_trip_ns))
            events = self.playout.take_events()
            sound_due = origin_ns is not None and any(
                receiver.due_by(origin_ns - MAX_TRANSIT_NS) and receiver.due_by(origin_ns)
                for receiver in self.playout.awaited
            )
        self.ear.tick(now_ns, sound_due=sound_due)
        for event in events:
            self.receipts.put_event(event, now_ns)

    def render(self, local_ns: int, n: int, sample_rate_hz: int) -> Block:
        """A block for the output; called on its thread."""
        with self._lock:
            samples = self.playout.render(local_ns, n, sample_rate_hz)
            audible, summaries = self.playout.audible, tuple(self.playout.take_summaries())
            estimate = self._playable_time(local_ns) if audible else None
        return Block(samples, audible, summaries, estimate.error_bound_ns if estimate else None)

    def shutdown(self, now_ns: int) -> None:
        """End what plays, truthfully; the receipts then wait in the outbox."""
        with self._lock:
            self.playout.end_all("shutdown")
        self.tick(now_ns)

    # --- orders -----------------------------------------------------------------------------------------------

    def on_order(self, bundle: bytes, now_ns: int) -> None:
        """Judge an order bundle, and obey it when it holds."""
        try:
            verdict = self.gate.judge(
                bundle,
                now_ns=now_ns,
                utc_ms=self.trusted.utc_ms(now_ns),
                place=self.identity.placement.areas,
                playable=self._playable,
            )
        except StoreError as error:
            # Not written down, so not done. The server sends it again.
            self.receipts.failures += 1
            _log.error("order not written down", error=str(error))
            return
        match verdict:
            case Accepted():
                self.receipts.put(verdict.order_id, ReceiptState.RECEIVED, now_ns, more=True)
                self.receipts.put(verdict.order_id, ReceiptState.ACCEPTED, now_ns)
                self._obey(verdict.order_id, verdict.order.action, verdict.superseded, now_ns)
            case Repeated() if not self._repeats.take(now_ns):
                self.dropped += 1
            case Repeated():
                if not self.outbox.again(verdict.order_id):
                    self.receipts.put(verdict.order_id, ReceiptState.ACCEPTED, now_ns)
                if verdict.resume is not None and self._resumable(verdict.order_id, verdict.resume, now_ns):
                    self._obey(verdict.order_id, verdict.resume, False, now_ns)
            case Refusal():
                # No id: a bundle too broken to have one, or one refusal too many in this second.
                if verdict.order_id is not None:
                    _log.warning("order refused", reason=verdict.reason, detail=verdict.detail)
                    self.receipts.put(verdict.order_id, ReceiptState.REFUSED, now_ns, reason=verdict.reason)

    def _resumable(self, order_id: bytes, tune: Tune, now_ns: int) -> bool:
        """Whether a TUNE was obeyed by an earlier run of this speaker only, and its broadcast is not over."""
        if order_id in self._obeyed or not self._playable(tune):
            return False
        origin_ns = self._coarse_origin_ns(now_ns)
        if origin_ns is None or tune.end_index is None:
            return origin_ns is not None
        grid = FrameGrid(tune.start_ns, tune.index0, tune.timestamp0, tune.frame_samples)
        return origin_ns < grid.due_ns(tune.end_index) + tune.play_delay_ms * NS_PER_MS

    def _obey(self, order_id: bytes, action: Tune | Stop, superseded: bool, now_ns: int) -> None:
        self._obeyed[order_id] = None
        while len(self._obeyed) > MAX_OBEYED:
            del self._obeyed[next(iter(self._obeyed))]
        shown = id_text(action.broadcast_id)
        if superseded:
            _log.info("order superseded by a stop", broadcast=shown)
            self.receipts.put(order_id, ReceiptState.FINISHED, now_ns)
            return
        origin_ns = self._coarse_origin_ns(now_ns) or 0
        with self._lock:
            if isinstance(action, Stop):
                self.playout.stop(order_id, action.broadcast_id, action.fade_ms)
            else:
                late = is_late(action, origin_ns)
                receiver = self.playout.tune(order_id, action, now_ns=now_ns, late=late, make=self._make_receiver)
                if receiver is not None:
                    if late:
                        # What should have been heard by now is neither waited nor asked for.
                        heard = receiver.grid.index_at(origin_ns - action.play_delay_ms * NS_PER_MS)
                        receiver.skip_to(heard, counted=False)
                    self._keys.give(receiver)
                    self._hear_early(receiver, now_ns)
        _log.info("stop" if isinstance(action, Stop) else "tune", broadcast=shown, order=order_id.hex())

    def _hear_early(self, receiver: BroadcastReceiver, now_ns: int) -> None:
        """What came of a broadcast before its order."""
        for early in self._early.take((receiver.tune.ssrc, receiver.tune.block_ssrc), now_ns):
            receiver.receive(early.packet, early.origin_ns, early.now_ns)
            self.dropped -= early.dropped

    def _playable(self, action: Tune | Stop) -> bool:
        if isinstance(action, Stop):
            if action.priority < EMERGENCY_PRIORITY and self.playout.emergency(action.broadcast_id):
                raise Refused("not_entitled", "it calls an emergency something less")
            return True
        return action.epoch == self.trusted.epoch and len(self.playout) < MAX_TUNES

    # --- inside -----------------------------------------------------------------------------------------------

    def _welcomed(self, event: Welcomed, now_ns: int) -> None:
        changed = event.beacon.epoch != self.trusted.epoch
        self.trusted.welcome(event.beacon, now_ns)
        self.outbox.new_link()
        self.ear.new_link()
        self._tell_status(now_ns)
        if changed:
            self._keys.clear()
            with self._lock:
                self.dropped += self.channel.drops if self.channel is not None else 0
                self.channel = None
                self.clock.reset()
                self._clock_known = False
                self.playout.end_all("epoch", except_epoch=event.beacon.epoch)
        _log.info("link up", epoch=event.beacon.epoch.hex(), new_time_line=changed)

    def _take_secret(self, event: SecretReceived) -> None:
        self._keys.take(event.serial, event.secret)
        with self._lock:
            for receiver in self.playout.receivers:
                if not receiver.keyed:
                    self._keys.give(receiver)

    def _playable_time(self, local_ns: int) -> ClockEstimate | None:
        return self.clock.estimate(local_ns) if self._clock_known else None

    def _coarse_origin_ns(self, now_ns: int) -> int | None:
        estimate = self._playable_time(now_ns)
        return estimate.origin_ns if estimate is not None else self.trusted.coarse_origin_ns(now_ns)

    # --- telling ----------------------------------------------------------------------------------------------

    def status(self, now_ns: int) -> Status:
        """The status message."""
        with self._lock:
            estimate = self._playable_time(now_ns)
            playing = self.playout.playing
            counters = playing.counters if playing is not None else self.playout.last
            return Status(
                clock_error_ns=min(estimate.error_bound_ns, UNKNOWN_ERROR_NS) if estimate else UNKNOWN_ERROR_NS,
                drift_ppb=max(-MAX_DRIFT_PPB, min(MAX_DRIFT_PPB, estimate.drift_ppb)) if estimate else 0,
                broadcast_id=playing.tune.broadcast_id if playing is not None else b"",
                played=counters.played,
                repaired=counters.repaired,
                recovered=counters.recovered,
                concealed=counters.concealed,
                unsigned=counters.unsigned,
                depth_ms=playing.depth_ms if playing is not None else 0,
                dropped=self.dropped
                + (self.channel.drops if self.channel is not None else 0)
                + self.playout.dropped,
                underruns=self.underruns(),
                hard_steps=self.playout.time.hard_steps + self.clock.steps,
                volume=self.playout.playing_volume,
            )


def _of_note(status: Status) -> tuple[object, ...]:
    """What somebody wants to know soon: another broadcast, or sound that was not what it should be."""
    return (
        status.broadcast_id,
        status.concealed,
        status.unsigned,
        status.underruns,
        status.hard_steps,
        status.volume,
    )
