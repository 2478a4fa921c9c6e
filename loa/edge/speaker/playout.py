"""Which of the tuned broadcasts is heard, where, how loud: the sound as the output asks for it.

Pull-driven and pure: `render` is told when its block will be heard. `docs/protocol.md`, *Media* and *Receipts*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from loa.arbiter import Arbiter, Precedence, precedence_of
from loa.codecs.link_wire import Result
from loa.codecs.order_wire import Tune
from loa.edge.speaker.broadcast_receiver import BroadcastReceiver
from loa.edge.speaker.frame_counters import Counters
from loa.edge.speaker.time_follower import LineSpan, TimeFollower
from loa.edge.speaker.voice import Voice
from loa.model import EMERGENCY_PRIORITY
from loa.timing.filter import ClockEstimate
from loa.timing.line import samples_to_ns

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
LOST_NS = 5 * NS_PER_S
OVERDUE_NS = 2 * NS_PER_S
MAX_TUNES = 16
MAX_ORDERS = 8
_HERE = "here"
"""This endpoint, to the arbiter."""

Float32 = NDArray[np.float32]
BroadcastKey = tuple[bytes, int]
"""Broadcast id and generation."""


@dataclass(frozen=True, slots=True)
class Started:
    """The output has consumed the first sample that was really received. Once a generation."""

    order_ids: tuple[bytes, ...]
    presented_ns: int
    index: int
    error_ns: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A generation is over for this endpoint (once), or a STOP has been carried out. `result`: if it started."""

    order_ids: tuple[bytes, ...]
    reason: str
    result: Result | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What an output may want to write beside the sound of one generation."""

    tune: Tune
    end_index: int | None
    counters: Counters
    concealed_frames: tuple[int, ...]
    started: Started | None
    reason: str


@dataclass(slots=True)
class _Tuned:
    voice: Voice
    order_ids: list[bytes]
    tuned_ns: int
    priority: int
    volume: int
    awaited: bool = True  # whether the origin sends it here, as far as is known
    not_sent_ns: int = 0  # local time at which it last did not
    gain: float = 0.0  # of the fade, 0 to 1
    fade_ms: int = 0  # of the fade that is going on
    stop_ids: list[bytes] = field(default_factory=list)
    stopping: bool = False
    started: Started | None = None

    @property
    def key(self) -> BroadcastKey:
        return self.voice.tune.broadcast_id, self.voice.tune.generation

    @property
    def precedence(self) -> Precedence:
        """Of several the one with the smallest is heard."""
        return precedence_of(self.priority, self.voice.tune.start_ns, self.voice.tune.broadcast_id)

    def sounds_at(self, at_ns: int) -> bool:
        """Whether this, if it is heard, is heard at an instant of the origin's line (trim taken off)."""
        tune, end = self.voice.tune, self.voice.end
        since_ns = at_ns - tune.start_ns - tune.play_delay_ms * NS_PER_MS
        return not self.stopping and since_ns >= 0 and (end is None or since_ns < samples_to_ns(end))


class Playout:
    """The tuned broadcasts of one endpoint. Not thread-safe: the caller holds a lock."""

    def __init__(self, origin_at: Callable[[int], ClockEstimate | None]) -> None:
        """`origin_at`: origin time at a local instant; None while it is not known well enough to play by."""
        self.time = TimeFollower(origin_at)
        self.volume = 100
        self.make_voice: Callable[..., Voice] = Voice
        self.audible: tuple[BroadcastKey, ...] = ()
        """What the last rendered block holds, the one that fades in or stays first."""
        self._tuned: list[_Tuned] = []
        self._arbiter = Arbiter[str, BroadcastKey]()
        self._events: list[Started | Finished] = []
        self._summaries: list[Summary] = []
        self._dropped = 0  # of broadcasts that have ended
        self.last: Counters = Counters()
        """Counters of what plays, or of what played last."""

    def __len__(self) -> int:
        return len(self._tuned)

    @property
    def receivers(self) -> list[BroadcastReceiver]:
        """One for each tuned generation."""
        return [each.voice.receiver for each in self._tuned]

    @property
    def awaited(self) -> list[BroadcastReceiver]:
        """Those whose packets should come: not those that were pre-empted when `tick` looked."""
        return [each.voice.receiver for each in self._tuned if each.awaited]

    @property
    def playing(self) -> BroadcastReceiver | None:
        """What is heard now."""
        for each in self._tuned:
            if self.audible and each.key == self.audible[0]:
                return each.voice.receiver
        return None

    @property
    def playing_volume(self) -> int:
        """Volume of what is heard now, of the endpoint alone while nothing is, 0 to 100."""
        for each in self._tuned:
            if self.audible and each.key == self.audible[0]:
                return each.volume * self.volume // 100
        return self.volume

    @property
    def dropped(self) -> int:
        """Media datagrams that were of no use, of all broadcasts so far."""
        return self._dropped + sum(receiver.counters.dropped for receiver in self.receivers)

    def take_events(self) -> list[Started | Finished]:
        """What has happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def take_summaries(self) -> list[Summary]:
        """The generations that ended since the last call."""
        summaries, self._summaries = self._summaries, []
        return summaries

    def tune(
        self, order_id: bytes, tune: Tune, *, now_ns: int, late: bool, make: Callable[[Tune], BroadcastReceiver]
    ) -> BroadcastReceiver | None:
        """Take a broadcast up. `late`: its sound has begun already. The new receiver, if one was made.

        An order for a generation that plays already changes its end, priority and volume. One for an earlier
        generation than the one that is tuned is finished at once.
        """
        same = [each for each in self._tuned if each.key[0] == tune.broadcast_id]
        for each in same:
            if each.key[1] == tune.generation and each.voice.tune.ssrc == tune.ssrc:
                each.voice.receiver.set_end(tune.end_index)
                each.priority, each.volume = tune.priority, tune.volume
                self._arbiter.rank(each.key, each.precedence)
                each.order_ids = [*each.order_ids, order_id][-MAX_ORDERS:]
                if each.started is not None:
                    started = each.started
                    self._events.append(Started((order_id,), started.presented_ns, started.index, started.error_ns))
                return None
        if any(each.key[1] >= tune.generation for each in same):
            self._events.append(Finished((order_id,), "pre_empted", None))
            return None
        receiver = make(tune)
        voice = self.make_voice(receiver, late=late)
        tuned = _Tuned(voice, [order_id], now_ns, tune.priority, tune.volume)
        self._tuned.append(tuned)
        self._arbiter.begin(tuned.key, tuned.precedence)
        return receiver

    def emergency(self, broadcast_id: bytes) -> bool:
        """Whether this broadcast is tuned, as an emergency."""
        return any(each.key[0] == broadcast_id and each.priority >= EMERGENCY_PRIORITY for each in self._tuned)

    def stop(self, order_id: bytes, broadcast_id: bytes, fade_ms: int) -> None:
        """End a broadcast, whatever its generation, fading what is heard of it."""
        waiting = False
        for each in [each for each in self._tuned if each.key[0] == broadcast_id]:
            if each.gain > 0 and fade_ms > 0:
                if not each.stopping:
                    each.stopping, each.fade_ms = True, fade_ms
                if not waiting:
                    each.stop_ids = [*each.stop_ids, order_id][-MAX_ORDERS:]
                waiting = True
            else:
                self._finish(each, "stopped")
        if not waiting:
            self._events.append(Finished((order_id,), "stopped", None))

    def end_all(self, reason: str, *, except_epoch: bytes | None = None) -> None:
        """End every broadcast, or only those of other epochs than one."""
        for each in list(self._tuned):
            if except_epoch is None or each.voice.tune.epoch != except_epoch:
                self._finish(each, reason)

    def tick(self, now_ns: int, origin_ns: int) -> None:
        """Wait for nothing that is not sent here, and end what is lost. `origin_ns`: origin time now, to within a
        second."""
        for each in list(self._tuned):
            tune, receiver = each.voice.tune, each.voice.receiver
            each.awaited = not self._gives_way(each, origin_ns + tune.play_delay_ms * NS_PER_MS)
            if not each.awaited:
                each.not_sent_ns = now_ns
                receiver.forgo(origin_ns)
            heard_ns = _heard_ns(each, now_ns, origin_ns)
            end = receiver.end_index
            end_due_ns = None if end is None else receiver.grid.due_ns(end)
            if end_due_ns is None or origin_ns < end_due_ns:
                if origin_ns > tune.start_ns and now_ns - heard_ns > LOST_NS:
                    self._finish(each, "stopped" if each.stopping else "lost")
            elif origin_ns > end_due_ns + tune.play_delay_ms * NS_PER_MS + OVERDUE_NS:
                # Its time is over and no output has said so: there is no clock, or no output.
                self._finish(each, "end" if each.started else "lost")

    def silent_ns(self, now_ns: int, origin_ns: int) -> int:
        """For how long nothing has come of something that should have come; 0 when nothing should."""
        sent = (each for each in self._tuned if each.awaited and not _is_over(each.voice.receiver, origin_ns))
        return max((now_ns - _heard_ns(each, now_ns, origin_ns) for each in sent), default=0)

    def _gives_way(self, each: _Tuned, at_ns: int) -> bool:
        """Whether another one is heard at an instant of the origin's line, where this one would be heard else."""
        order = list(self._arbiter)
        before = order[: order.index(each.key)]
        others = [other for other in self._tuned if other.key in before and other.key[0] != each.key[0]]
        return any(other.sounds_at(at_ns) for other in others)

    def render(self, local_ns: int, n: int, sample_rate_hz: int) -> Float32:
        """The block of `n` (> 0) samples whose first is heard when the local clock shows `local_ns`.

        float32 of shape (n,), nominally within ±1. Blocks are asked for in order; a gap between two is sound that
        was missed. Silence before the clock is known and while nothing plays.
        """
        out: Float32 = np.zeros(n, dtype=np.float32)
        self.audible = ()
        span = self.time.span(local_ns, n * NS_PER_S // sample_rate_hz)
        if span is None:
            return out
        due = [each for each in self._tuned if each.voice.position(span.end_ns) > 0]
        for each in due:
            if any(other.key[0] == each.key[0] and other.key[1] > each.key[1] for other in due):
                self._finish(each, "stopped" if each.stopping else "pre_empted")
        due = [each for each in due if each in self._tuned]
        self._arbiter.place(_HERE, [each.key for each in due if not each.stopping and each.voice.receiver.keyed])
        played = self._arbiter.played_by(_HERE)
        best = next((each for each in due if each.key == played), None)
        audible: list[BroadcastKey] = []
        for each in due:
            if self._mix(each, best, span, out, sample_rate_hz):
                audible.insert(0 if each is best else len(audible), each.key)
        self.audible = tuple(audible)
        return out

    def _mix(self, each: _Tuned, best: _Tuned | None, span: LineSpan, out: Float32, sample_rate_hz: int) -> bool:
        """Add one voice's part of the block; whether it has any."""
        voice = each.voice
        start, end = voice.position(span.start_ns), voice.position(span.end_ns)
        if each is best and each.gain < 1:
            each.fade_ms = voice.tune.fade_ms
        elif each is not best and best is not None and not each.stopping:
            each.fade_ms = best.voice.tune.fade_ms
        n = len(out)
        target = 1.0 if each is best else 0.0
        ramp = self._ramp(each, target, n, sample_rate_hz)
        heard = ramp is not None
        if ramp is not None:
            loudness = (each.volume / 100) ** 2 * (self.volume / 100) ** 2
            out += voice.samples(start, end, n) * (ramp * np.float32(loudness))
            self.last = voice.receiver.counters
            self._note_start(each, start, end, n, span)
        else:
            voice.skip_to(start)
        if voice.end is not None and end >= voice.end:
            self._finish(each, "stopped" if each.stopping else "end" if heard else "pre_empted")
        elif each.stopping and each.gain <= 0:
            self._finish(each, "stopped")
        return heard

    @staticmethod
    def _ramp(each: _Tuned, target: float, n: int, sample_rate_hz: int) -> Float32 | None:
        """The fade over a block, linear from the gain so far; None for silence. Leaves the gain at its end."""
        if each.gain == target:
            return None if target == 0 else np.ones(n, dtype=np.float32)
        if each.fade_ms <= 0:
            each.gain = target
            return None if target == 0 else np.ones(n, dtype=np.float32)
        a_sample = 1000 / (each.fade_ms * sample_rate_hz)
        steps = np.arange(n, dtype=np.float32) * np.float32(a_sample if target > each.gain else -a_sample)
        ramp: Float32 = np.clip(np.float32(each.gain) + steps, 0, 1)
        moved = n * a_sample
        each.gain = min(target, each.gain + moved) if target > each.gain else max(target, each.gain - moved)
        return ramp

    def _note_start(self, each: _Tuned, start: Fraction, end: Fraction, n: int, span: LineSpan) -> None:
        voice = each.voice
        if each.started is not None or voice.first_frame is None:
            return
        first = Fraction(voice.first_frame * voice.tune.frame_samples)
        offset = max(0, math.ceil((first - start) * n / (end - start)) if end > start else 0)
        if offset >= n:
            return
        presented_ns = span.origin_ns + (span.origin_end_ns - span.origin_ns) * offset // n
        position = max(0, math.floor(start + (end - start) * offset / n))
        each.started = Started(
            tuple(each.order_ids),
            presented_ns,
            voice.tune.index0 + position // voice.tune.frame_samples,
            span.error_bound_ns,
        )
        self._events.append(each.started)

    def _finish(self, each: _Tuned, reason: str) -> None:
        if each not in self._tuned:
            return
        self._tuned.remove(each)
        self._arbiter.end(each.key)
        receiver = each.voice.receiver
        c = receiver.counters
        self._dropped += c.dropped
        result = None
        if each.started is not None:
            result = Result(c.played, c.repaired, c.recovered, c.concealed, c.unsigned, reason)
        self._events.append(Finished(tuple(each.order_ids), reason, result))
        if each.stop_ids:
            self._events.append(Finished(tuple(each.stop_ids), "stopped", None))
        concealed = tuple(receiver.concealed_frames)
        self._summaries.append(Summary(receiver.tune, receiver.end_index, c, concealed, each.started, reason))


def is_late(tune: Tune, origin_ns: int) -> bool:
    """Whether a broadcast's first sample should have been heard already."""
    return tune.start_ns + tune.play_delay_ms * NS_PER_MS < origin_ns


def _heard_ns(each: _Tuned, now_ns: int, origin_ns: int) -> int:
    """When something came of it, or, later than that, when it was tuned, began, or last gave way to another."""
    began_ns = now_ns - max(0, origin_ns - each.voice.tune.start_ns)
    return max(each.tuned_ns, began_ns, each.not_sent_ns, each.voice.receiver.last_heard_ns or 0)


def _is_over(receiver: BroadcastReceiver, origin_ns: int) -> bool:
    """Whether all of it has been sent."""
    end = receiver.end_index
    return end is not None and origin_ns >= receiver.grid.due_ns(end)
