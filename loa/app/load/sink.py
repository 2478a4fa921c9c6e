"""An endpoint that counts only by the work it makes: linked, bound, obedient, and deaf.

It takes part in everything but the sound, which the kernel drops: handshake, keep-alives, clock probes, statuses,
orders by both doors, receipts in their time, and requests for a share of the packets. It verifies signatures once
for all endpoints of its process. What it says it has played, it has not heard: only the sample's word counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from loa.app.load.addressed import Addressed
from loa.app.load.arrivals import Arrivals
from loa.app.load.member import NS_PER_MS, NS_PER_S, Timer, World
from loa.app.load.orders_seen import OrdersSeen, SeenOrder
from loa.app.load.sink_sockets import SinkSocket
from loa.codecs import link_wire
from loa.codecs.channel_wire import Nack, Probe, Type
from loa.codecs.link_wire import Receipt, Result, Status
from loa.codecs.order_wire import Stop, Tune
from loa.edge.speaker.engine import STATUS_NS
from loa.edge.speaker.identity import Identity
from loa.edge.speaker.link_session import Event, ReceiptsAcked, Welcomed
from loa.edge.speaker.receipts_outbox import ACK_WAIT_NS
from loa.model import ReceiptState
from loa.timing.line import FrameGrid, samples_to_ns
from loa.timing.probes import CALM_LAST_INTERVAL_NS

MAX_ORDERS = 64
CLOCK_ERROR_NS = NS_PER_MS
"""What it says of its clock, which it does not have."""
NACK_BEHIND_FRAMES = 3
RECEIPT_STEP_MS = 50
MOST_AT_ONCE = 16
"""Orders of which one message tells: four receipts for each at the most."""
MAX_MESSAGES = 256


@dataclass(slots=True)
class _Order:
    """One order of this endpoint: how far it is, how far it has told, and how far the core knows.

    `answered`: something of it has been told on this link.
    """

    seen: SeenOrder
    state: ReceiptState = ReceiptState.ACCEPTED
    told: int = 0
    acked: int = 0
    answered: bool = False
    result: Result | None = None


class Sink(Addressed):
    """See above."""

    def __init__(
        self, world: World, number: int, identity: Identity, software: str, orders: OrdersSeen, address: str
    ) -> None:
        """`address`: see Addressed."""
        super().__init__(world, number, identity, software, address)
        self._seen = orders
        self._origin_less_local_ns = 0
        self._utc_less_local_ns = 0
        self._orders: dict[bytes, _Order] = {}
        self._unsaid: dict[bytes, _Order] = {}
        self._asked: set[tuple[bytes, int]] = set()
        self._asked_ns = 0
        self._arrivals = Arrivals(self)
        self.statuses = self.probes = True
        self.nack_share = 0.0

    # --- link -------------------------------------------------------------------------------------------------

    def on_event(self, event: Event, now_ns: int) -> None:
        """See Member."""
        super().on_event(event, now_ns)
        if isinstance(event, Welcomed):
            self._origin_less_local_ns = event.beacon.origin_ns - now_ns
            self._utc_less_local_ns = event.beacon.utc_ns - now_ns
        elif isinstance(event, ReceiptsAcked):
            self._acked(event.receipts, now_ns)

    def open_channel(self, media: SinkSocket) -> None:
        """See Addressed."""
        super().open_channel(media)
        now_ns = self.local_ns()
        rng = self.world.rng
        if self.statuses:
            self.alarm(now_ns + rng.randrange(NS_PER_S), Timer.STATUS)
        if self.probes:
            self.alarm(now_ns + rng.randrange(CALM_LAST_INTERVAL_NS), Timer.PROBE)
        if self.nack_share > 0:
            self.alarm(now_ns + rng.randrange(NS_PER_S), Timer.NACK)
        self._asked.clear()
        self._unsaid.clear()
        for held in self._orders.values():  # what the core has not confirmed, it is told again
            held.told, held.answered = held.acked, False
            if held.acked < held.state:
                self._tell(held, now_ns)
            self._plan(held, now_ns)

    # --- again and again ------------------------------------------------------------------------------------------

    def on_alarm(self, timer: Timer, about: bytes, now_ns: int) -> None:
        """See Member."""
        super().on_alarm(timer, about, now_ns)
        if timer is Timer.PROBE:
            if self.send_datagram(Type.PROBE, Probe(now_ns).encode()):
                self.world.tally.counts["probes"] += 1
            self.alarm(now_ns + CALM_LAST_INTERVAL_NS + self.world.rng.randrange(NS_PER_S // 2), Timer.PROBE)
        elif timer is Timer.STATUS:
            playing = self._playing(now_ns)
            self.send(self._status(playing, now_ns))
            self.world.tally.counts["statuses"] += 1
            self._say(now_ns)
            self.alarm(now_ns + STATUS_NS, Timer.STATUS)
        elif timer is Timer.NACK:
            self._nack(now_ns)
        elif timer in (Timer.STARTED, Timer.FINISHED):
            self._advance(about, timer, now_ns)

    def _nack(self, now_ns: int) -> None:
        playing = self._playing(now_ns)
        interval_ns = NS_PER_S
        if playing is not None:
            interval_ns = int(samples_to_ns(playing.frame_samples) / self.nack_share)
            grid = FrameGrid(playing.start_ns, playing.index0, playing.timestamp0, playing.frame_samples)
            index = grid.index_at(now_ns + self._origin_less_local_ns) - NACK_BEHIND_FRAMES
            if index >= playing.index0 and self.send_datagram(Type.NACK, Nack(playing.ssrc, (index,)).encode()):
                self.world.tally.counts["nacks"] += 1
        self.alarm(now_ns + int(interval_ns * self.world.rng.uniform(0.5, 1.5)), Timer.NACK)

    # --- orders -----------------------------------------------------------------------------------------------

    def on_order(self, bundle: bytes, door: str, at_utc_ns: int, now_ns: int) -> None:
        """See Addressed."""
        utc_ms = (now_ns + self._utc_less_local_ns) // NS_PER_MS
        place = self.identity.placement.areas
        seen = self._seen.read(bundle, utc_ms=utc_ms, place=place)
        if seen is None or not seen.order.targets(self.identity.endpoint_id, place):
            self.world.tally.counts["orders_not_obeyed"] += 1
            return
        held = self._orders.get(seen.order_id)
        new = held is None
        if held is None:
            held = self._orders[seen.order_id] = _Order(seen)
            while len(self._orders) > MAX_ORDERS:
                del self._orders[next(iter(self._orders))]
        self._arrivals.note(seen, door, at_utc_ns)
        if not held.answered:
            self._tell(held, now_ns)
        if new:
            self._obey(held, now_ns)

    def _obey(self, held: _Order, now_ns: int) -> None:
        action = held.seen.order.action
        if isinstance(action, Stop):
            for other in list(self._orders.values()):
                if other.seen.order.action.broadcast_id == action.broadcast_id:
                    self._finish(other, "stopped", now_ns)
        else:
            self._plan(held, now_ns)

    def _plan(self, held: _Order, now_ns: int) -> None:
        """Set the alarms for what is to be told of a broadcast."""
        action = held.seen.order.action
        if isinstance(action, Stop) or held.state is ReceiptState.FINISHED:
            return
        local_ns = -self._origin_less_local_ns
        heard_ns = action.start_ns + action.play_delay_ms * NS_PER_MS + local_ns
        jitter_ns = self.world.rng.randrange(100 * NS_PER_MS)
        self.alarm(max(heard_ns, now_ns) + jitter_ns, Timer.STARTED, held.seen.order_id)
        if action.end_index is not None:
            length_ns = (action.end_index - action.index0) * samples_to_ns(action.frame_samples)
            self.alarm(heard_ns + length_ns + jitter_ns, Timer.FINISHED, held.seen.order_id)

    def _advance(self, order_id: bytes, timer: Timer, now_ns: int) -> None:
        held = self._orders.get(order_id)
        if held is None:
            return
        if timer is Timer.FINISHED:
            self._finish(held, "end", now_ns)
        elif held.state < ReceiptState.STARTED:
            held.state = ReceiptState.STARTED
            self._tell(held, now_ns)

    def _finish(self, held: _Order, reason: str, now_ns: int) -> None:
        if held.state is ReceiptState.FINISHED:
            return
        action = held.seen.order.action
        if isinstance(action, Tune) and held.state is ReceiptState.STARTED:
            upto_ns = now_ns + self._origin_less_local_ns - action.play_delay_ms * NS_PER_MS
            played = max(0, (upto_ns - action.start_ns) // samples_to_ns(action.frame_samples))
            if action.end_index is not None:
                played = min(played, action.end_index - action.index0)
            held.result = Result(played, 0, 0, 0, 0, reason)
        held.state = ReceiptState.FINISHED
        self._tell(held, now_ns)

    def _tell(self, held: _Order, now_ns: int) -> None:
        """Send what has become of the order, when the last receipts are acknowledged."""
        self._unsaid[held.seen.order_id] = held
        self._say(now_ns)

    def _say(self, now_ns: int) -> None:
        """Send the receipts that wait, if any and if they may go, as loa.edge.speaker.receipts_outbox does."""
        if not self._unsaid or (self._asked and now_ns < self._asked_ns + ACK_WAIT_NS):
            return
        some = [self._unsaid.pop(order_id) for order_id in list(self._unsaid)[:MOST_AT_ONCE]]
        # Rounded, so that what many say at once is put into bytes once.
        at_ms = (now_ns + self._utc_less_local_ns) // NS_PER_MS // RECEIPT_STEP_MS * RECEIPT_STEP_MS
        key = (at_ms, *((held.seen.order_id, held.told, held.state, held.result) for held in some))
        known = self._seen.messages.get(key)
        if known is None:
            said = [receipt for held in some for receipt in _receipts(held, at_ms)]
            known = link_wire.encode(link_wire.ReceiptsMessage(tuple(said))), len(said)
            self._seen.messages[key] = known
            while len(self._seen.messages) > MAX_MESSAGES:
                del self._seen.messages[next(iter(self._seen.messages))]
        message, count = known
        self.send(message)
        self._asked, self._asked_ns = {(held.seen.order_id, held.state) for held in some}, now_ns
        for held in some:
            held.told, held.answered = held.state, True
        self.world.tally.counts["receipts_sent"] += count

    def _acked(self, receipts: tuple[tuple[bytes, int], ...], now_ns: int) -> None:
        self._arrivals.acked(receipts)
        for order_id, state in receipts:
            held = self._orders.get(order_id)
            if held is not None:
                held.acked = max(held.acked, state)
        self._asked.difference_update(receipts)
        self._say(now_ns)

    def _playing(self, now_ns: int) -> Tune | None:
        """What it would be heard to play."""
        origin_ns = now_ns + self._origin_less_local_ns
        best: Tune | None = None
        for held in self._orders.values():
            action = held.seen.order.action
            if (
                isinstance(action, Tune)
                and held.state is not ReceiptState.FINISHED
                and action.start_ns <= origin_ns
                and (best is None or action.priority > best.priority)
            ):
                best = action
        return best

    def _status(self, playing: Tune | None, now_ns: int) -> bytes:
        if playing is None:
            return _IDLE_STATUS
        played = (now_ns + self._origin_less_local_ns - playing.start_ns) // samples_to_ns(playing.frame_samples)
        return link_wire.encode(
            Status(CLOCK_ERROR_NS, 0, playing.broadcast_id, max(0, played), depth_ms=playing.play_delay_ms)
        )


def _receipts(held: _Order, at_ms: int) -> list[Receipt]:
    """What an order has come to since it was told of last; else the highest, once more."""
    order_id, action = held.seen.order_id, held.seen.order.action
    said = []
    if held.told < ReceiptState.ACCEPTED:
        said = [Receipt(order_id, state, at_ms) for state in (ReceiptState.RECEIVED, ReceiptState.ACCEPTED)]
    started = held.state is ReceiptState.STARTED or held.result is not None
    if started and held.told < ReceiptState.STARTED and isinstance(action, Tune):
        presented_ns = action.start_ns + action.play_delay_ms * NS_PER_MS
        said.append(
            Receipt(
                order_id,
                ReceiptState.STARTED,
                at_ms,
                presented_ns=presented_ns,
                index=action.index0,
                error_ns=CLOCK_ERROR_NS,
            )
        )
    if held.state is ReceiptState.FINISHED or not said:
        said.append(Receipt(order_id, held.state, at_ms, result=held.result))
    return said


_IDLE_STATUS = link_wire.encode(Status(CLOCK_ERROR_NS, 0))
