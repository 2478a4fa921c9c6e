"""Which sound is heard, and at which instant."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loa.codecs.link_wire import Result
from loa.codecs.order_wire import Tune
from loa.edge.speaker.broadcast_receiver import BroadcastReceiver
from loa.edge.speaker.playout import Finished, Playout, Started
from loa.timing.clock import SkewedClock, VirtualClock
from loa.timing.filter import ClockEstimate
from tests.edge.origin import BROADCAST, NS_PER_S, START_NS, Sound, ToneDecoder, tone, tune

MS = 1_000_000
BLOCK = 480
ORDER = b"order of 16 byte"


class Room:
    """A playout on a wrong clock, driven block by block. Origin time is the base of that clock."""

    def __init__(self, offset_ns: int = 0, rate_ppm: int = 0, *, start_ms: int = 0) -> None:
        self.clock = SkewedClock(VirtualClock(), offset_ns, rate_ppm)
        self.known = True
        self.error_ns = 0  # added to the estimate
        self.playout = Playout(self._estimate)
        self.local_ns = self.clock.local_from_base(START_NS + start_ms * MS)
        self.heard: list[NDArray[np.float32]] = []
        self.began_ns = self.local_ns
        self.events: list[Started | Finished] = []
        self.decoders: list[ToneDecoder] = []
        self.block = BLOCK
        self.rate_hz = 48_000

    def _estimate(self, local_ns: int) -> ClockEstimate | None:
        if not self.known:
            return None
        return ClockEstimate(self.clock.base_from_local(local_ns) + self.error_ns, 1234, 0, 99)

    def _decoder(self) -> ToneDecoder:
        self.decoders.append(ToneDecoder())
        return self.decoders[-1]

    def tune(self, of: Tune, *, order_id: bytes = ORDER, frames: range = range(100), late: bool = False) -> Sound:
        sound = Sound(of)
        receiver = self.playout.tune(
            order_id, of, now_ns=self.local_ns, late=late, make=lambda t: BroadcastReceiver(t, self._decoder)
        )
        assert receiver is not None
        receiver.set_key(sound.media_key)
        for number in frames:
            origin_ns = receiver.grid.due_ns(of.index0 + number)
            receiver.receive(sound.frame(number), origin_ns, self.clock.local_from_base(origin_ns))
        return sound

    def play(self, ms: int) -> NDArray[np.float32]:
        blocks = []
        for _ in range(ms * self.rate_hz // 1000 // self.block):
            blocks.append(self.playout.render(self.local_ns, self.block, self.rate_hz))
            self.local_ns += self.block * NS_PER_S // self.rate_hz
            now_ns = self.local_ns
            self.playout.tick(now_ns, self.clock.base_from_local(now_ns))
            self.events += self.playout.take_events()
        self.heard += blocks
        return np.concatenate(blocks)

    def positions(self) -> NDArray[np.float64]:
        """Position of every sample heard so far on the programme, by the true time."""
        count = sum(len(block) for block in self.heard)
        first = self.clock.base_from_local(self.began_ns)
        last = self.clock.base_from_local(self.began_ns + count * NS_PER_S // self.rate_hz)
        lead = np.arange(count, dtype=np.float64) * (last - first) / count
        return (first - START_NS - 500 * MS + lead) * 48e-6


@pytest.mark.parametrize(("offset_s", "ppm"), [(0, 0), (3600, 80), (-900, -80), (1, 400)])
def test_every_sample_is_heard_at_its_instant_on_a_skewed_clock(offset_s: int, ppm: int) -> None:
    room = Room(offset_s * NS_PER_S, ppm)
    room.tune(tune())
    room.play(2600)
    heard, at = np.concatenate(room.heard), room.positions()
    inside = (at > 20) & (at < 96_000 - 20)
    # 50 µs of error would be a difference of up to 0.157.
    assert np.abs(heard - tone(at))[inside].max() < 0.002
    assert not heard[(at < -20) | (at > 96_000 + 20)].any()


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_a_card_of_another_rate_plays_the_same(rate_hz: int) -> None:
    room = Room(0, 50)
    room.rate_hz, room.block = rate_hz, rate_hz // 100
    room.tune(tune())
    room.play(1500)
    heard, at = np.concatenate(room.heard), room.positions()
    inside = (at > 100) & (at < 40_000)
    assert np.abs(heard - tone(at))[inside].max() < 0.01


def test_started_is_told_once_with_the_instant_of_the_first_sample() -> None:
    room = Room(7 * NS_PER_S, 80)
    room.tune(tune())
    room.play(3000)
    started = [event for event in room.events if isinstance(event, Started)]
    assert len(started) == 1
    assert abs(started[0].presented_ns - START_NS - 500 * MS) < 25_000
    assert (started[0].index, started[0].error_ns, started[0].order_ids) == (65_500, 1234, (ORDER,))


def test_finished_is_told_once_with_what_was_heard() -> None:
    room = Room()
    room.tune(tune(), frames=range(3, 100))
    room.play(3000)
    finished = [event for event in room.events if isinstance(event, Finished)]
    assert finished == [Finished((ORDER,), "end", Result(97, 0, 0, 3, 0, "end"))]
    started = next(event for event in room.events if isinstance(event, Started))
    assert started.index == 65_503
    (summary,) = room.playout.take_summaries()
    assert summary.concealed_frames == (0, 1, 2)
    assert len(room.playout) == 0


def test_the_trim_moves_the_sound() -> None:
    room = Room()
    room.playout.time.trim_ns = 3 * MS
    room.tune(tune())
    room.play(1500)
    heard, at = np.concatenate(room.heard), room.positions() - 144
    inside = (at > 20) & (at < 40_000)
    assert np.abs(heard - tone(at))[inside].max() < 0.002
    started = next(event for event in room.events if isinstance(event, Started))
    assert abs(started.presented_ns - START_NS - 503 * MS) < 25_000


def test_before_the_clock_is_known_there_is_silence() -> None:
    room = Room(start_ms=600)
    room.known = False
    room.tune(tune())
    assert not room.play(200).any()
    assert room.events == []
    room.known = True
    assert room.play(200).any()


def test_a_small_correction_is_spread_and_a_large_one_is_a_counted_step() -> None:
    room = Room()
    room.tune(tune(end_index=None), frames=range(500))
    room.play(1000)
    room.error_ns = 2 * MS
    before = room.play(100)
    assert np.abs(np.diff(before)).max() < 0.08  # no jump: the tone's own steepest step is 0.065
    assert room.playout.time.hard_steps == 0
    room.play(4400)  # 2 ms at 500 ppm
    heard, at = room.play(100), room.positions()[-4800:] + 96
    assert np.abs(heard - tone(at)).max() < 0.002
    room.error_ns = 30 * MS
    heard, at = room.play(100), room.positions()[-4800:] + 30 * 48
    assert room.playout.time.hard_steps == 1
    assert np.abs(heard - tone(at)).max() < 0.002


def test_a_late_order_joins_in_the_middle_without_counting_what_was_before() -> None:
    room = Room(start_ms=1500)
    room.tune(tune(), frames=range(40, 100), late=True)
    room.play(1500)
    finished = next(event for event in room.events if isinstance(event, Finished))
    assert finished.result is not None
    assert finished.result.concealed == 0
    assert finished.result.played == 50
    started = next(event for event in room.events if isinstance(event, Started))
    assert started.index == 65_550


def test_a_broadcast_that_stays_silent_for_five_seconds_is_lost() -> None:
    room = Room()
    room.tune(tune(end_index=None), frames=range(10))
    room.play(5000)
    assert not [event for event in room.events if isinstance(event, Finished)]
    room.play(500)
    finished = next(event for event in room.events if isinstance(event, Finished))
    assert finished.reason == "lost"
    assert finished.result is not None
    assert finished.result.played == 10


def test_a_broadcast_that_never_came_is_finished_without_a_result() -> None:
    room = Room()
    room.tune(tune(end_index=None), frames=range(0))
    room.play(5500)
    assert room.events == [Finished((ORDER,), "lost", None)]


def other(**changes: object) -> Tune:
    return tune(**{"broadcast_id": b"other broadcast.", "ssrc": 0x3333, "block_ssrc": 0x4444, **changes})


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ({"priority": 100}, {"priority": 101}, "second"),
        ({"priority": 101}, {"priority": 100}, "first"),
        ({"priority": 100}, {"priority": 100}, "first"),
        ({"priority": 100, "start_ns": START_NS + 1}, {"priority": 100}, "second"),
        ({"priority": 255}, {"priority": 255, "start_ns": START_NS + 20 * MS}, "second"),
        ({"priority": 255, "start_ns": START_NS + 20 * MS}, {"priority": 255}, "first"),
    ],
)
def test_the_higher_priority_wins_equals_by_start(
    first: dict[str, object], second: dict[str, object], winner: str
) -> None:
    room = Room(start_ms=700)
    one, two = tune(**first), other(**second)
    room.tune(one)
    room.tune(two, order_id=b"another order id")
    room.play(10)
    assert room.playout.audible[0][0] == (one if winner == "first" else two).broadcast_id


def test_what_was_pre_empted_comes_back() -> None:
    room = Room(start_ms=500)
    room.tune(tune())
    room.play(200)
    room.tune(other(priority=230, start_ns=START_NS + 200 * MS, end_index=65_520), order_id=b"another order id")
    room.play(300)
    assert room.playout.audible == ((b"other broadcast.", 1),)
    room.play(1500)
    by_order = {event.order_ids[0]: event for event in room.events if isinstance(event, Finished)}
    assert by_order[b"another order id"].reason == "end"
    assert by_order[ORDER].reason == "end"
    result = by_order[ORDER].result
    assert result is not None
    assert 75 <= result.played <= 85
    assert result.concealed == 0


class Line:
    """A room, and an origin that sends it frames when they are due. What it asks for goes unanswered."""

    def __init__(self) -> None:
        self.room = Room()
        self.asked: dict[int, set[int]] = {}
        self._sounds: list[tuple[Sound, BroadcastReceiver, set[int]]] = []

    def tune(self, of: Tune, order_id: bytes, *, lost: Collection[int] = ()) -> None:
        """Take it up. `lost`: frames that do not come."""
        sound = self.room.tune(of, order_id=order_id, frames=range(0))
        end = of.end_index - of.index0 if of.end_index is not None else 100_000
        self._sounds.append((sound, self.room.playout.receivers[-1], set(range(end)).difference(lost)))

    def unsent(self, number: int, frames: range) -> None:
        """The origin does not send these of the broadcast that was tuned as that one."""
        self._sounds[number][2].difference_update(frames)

    def run(self, ms: int) -> None:
        for _ in range(ms // 10):
            origin_ns = self.room.clock.base_from_local(self.room.local_ns)
            for sound, receiver, coming in self._sounds:
                number = receiver.grid.index_at(origin_ns) - sound.tune.index0
                if number in coming:
                    coming.remove(number)
                    receiver.receive(sound.frame(number), origin_ns, self.room.local_ns)
            self.room.play(10)
            for receiver in self.room.playout.awaited:
                for nack in receiver.nacks(origin_ns + 10 * MS, self.room.local_ns, 20 * MS):
                    asked = self.asked.setdefault(nack.ssrc, set())
                    asked.update(index - receiver.tune.index0 for index in nack.indices)

    def finished(self, order_id: bytes) -> Finished | None:
        """How an order ended."""
        ends = (event for event in self.room.events if isinstance(event, Finished))
        return next((event for event in ends if order_id in event.order_ids), None)


BULLETIN, ALERT = b"bulletin's order", b"the alert's order"


def bulletin_and_alert(line: Line, *, alert_frames: int | None, bulletin_frames: int = 1_000) -> None:
    """One second of a bulletin of which frame 5 is lost, then a tune to an alert that begins with frame 51."""
    line.tune(tune(end_index=65_500 + bulletin_frames), BULLETIN, lost={5})
    line.run(1_000)
    end = None if alert_frames is None else 65_500 + alert_frames
    line.tune(other(priority=224, start_ns=START_NS + 1_020 * MS, end_index=end), ALERT)


def test_what_is_pre_empted_is_neither_asked_for_nor_lost_and_plays_on() -> None:
    line = Line()
    bulletin_and_alert(line, alert_frames=400)
    line.unsent(0, range(52, 446))
    line.run(11_000)
    assert line.finished(BULLETIN) is None
    assert line.asked == {0x1111: {5}}
    assert line.finished(ALERT) == Finished((ALERT,), "end", Result(400, 0, 0, 0, 0, "end"))
    assert line.room.playout.audible == ((BROADCAST, 1),)
    line.run(10_000)
    # All but frame 5 and the 400 that the alert took, into the first of which the resampler reaches.
    assert line.finished(BULLETIN) == Finished((BULLETIN,), "end", Result(600, 0, 0, 1, 0, "end"))
    assert line.asked == {0x1111: {5}}
    # Frame 451 is heard again, the resampler reaches back into the one before it, and four lead the decoder in.
    assert line.room.decoders[0].decoded == [*range(5), *range(6, 52), *range(446, 1_000)]


def test_after_a_stop_it_rejoins_with_what_is_sent_from_then_on() -> None:
    line = Line()
    bulletin_and_alert(line, alert_frames=None)
    line.unsent(0, range(52, 350))
    line.run(6_000)
    line.room.playout.stop(b"stop order, 16 b", b"other broadcast.", 0)
    assert line.finished(BULLETIN) is None
    line.run(400)
    assert line.room.playout.audible == ((BROADCAST, 1),)
    line.run(4_000)
    assert line.asked == {0x1111: {5}}
    assert line.finished(BULLETIN) is None
    line.run(20_000)
    ended = line.finished(BULLETIN)
    assert ended is not None
    assert ended.result is not None
    # Up to frame 51 before the alert, from frame 350 on after its stop; frame 5 was lost.
    assert (ended.result.played, ended.result.concealed) == (52 - 1 + 650, 1)


def test_what_a_rejoined_endpoint_misses_it_asks_for_again() -> None:
    line = Line()
    bulletin_and_alert(line, alert_frames=100)
    line.unsent(0, range(52, 146))
    line.unsent(0, range(160, 162))
    line.run(3_000)
    assert line.asked == {0x1111: {5, 160, 161}}


def test_what_does_not_come_back_after_an_alert_is_lost_five_seconds_later() -> None:
    line = Line()
    bulletin_and_alert(line, alert_frames=400)
    line.unsent(0, range(52, 1_000))
    line.run(8_000 + 4_900)
    assert line.finished(BULLETIN) is None
    line.run(300)
    ended = line.finished(BULLETIN)
    assert ended is not None
    assert ended.reason == "lost"


def test_what_ends_while_it_is_pre_empted_tells_what_was_heard_of_it() -> None:
    line = Line()
    bulletin_and_alert(line, alert_frames=400, bulletin_frames=200)
    line.unsent(0, range(52, 200))
    line.run(6_000)
    ended = line.finished(BULLETIN)
    assert ended is not None
    assert (ended.reason, ended.result and ended.result.played) == ("pre_empted", 51)


def test_what_never_was_heard_has_no_result() -> None:
    line = Line()
    line.tune(other(priority=224, end_index=65_700), ALERT)
    line.tune(tune(end_index=65_600), BULLETIN)
    line.unsent(1, range(100))
    line.run(5_500)
    assert line.finished(BULLETIN) == Finished((BULLETIN,), "pre_empted", None)
    assert line.asked == {}


def test_a_later_order_may_change_which_goes_first() -> None:
    room = Room(start_ms=700)
    room.tune(tune())
    room.tune(other(), order_id=b"another order id")
    room.play(10)
    assert room.playout.audible == ((BROADCAST, 1),)
    louder = other(priority=200)
    assert room.playout.tune(b"a third order id", louder, now_ns=0, late=True, make=BroadcastReceiver) is None
    room.play(10)
    assert room.playout.audible == ((b"other broadcast.", 1),)


def test_stop_fades_and_answers_both_orders() -> None:
    room = Room(start_ms=500)
    room.tune(tune())
    room.play(300)
    room.playout.stop(b"stop order, 16 b", BROADCAST, 100)
    loud = [float(np.abs(room.play(10)).max()) for _ in range(12)]
    assert loud[0] > 0.4
    assert 0.2 < loud[5] < 0.25
    assert loud[11] == 0
    finished = [event for event in room.events if isinstance(event, Finished)]
    assert [(event.order_ids[0], event.reason) for event in finished] == [
        (ORDER, "stopped"),
        (b"stop order, 16 b", "stopped"),
    ]
    assert finished[1].result is None


def test_a_stop_of_what_does_not_play_is_finished_at_once() -> None:
    room = Room()
    room.playout.stop(b"stop order, 16 b", BROADCAST, 100)
    assert room.playout.take_events() == [Finished((b"stop order, 16 b",), "stopped", None)]


def test_a_new_generation_replaces_the_old_when_its_time_has_come() -> None:
    room = Room(start_ms=500)
    room.tune(tune())
    room.play(100)
    new = tune(generation=2, ssrc=0x5555, block_ssrc=0x6666, start_ns=START_NS + 300 * MS)
    room.tune(new, order_id=b"another order id")
    room.play(100)
    assert room.playout.audible == ((BROADCAST, 1),)
    room.play(300)
    assert room.playout.audible == ((BROADCAST, 2),)
    finished = [event for event in room.events if isinstance(event, Finished)]
    assert [(event.order_ids, event.reason) for event in finished] == [((ORDER,), "pre_empted")]


def test_an_earlier_generation_is_not_taken_up() -> None:
    room = Room()
    room.tune(tune(generation=2))
    made = room.playout.tune(b"another order id", tune(), now_ns=0, late=False, make=BroadcastReceiver)
    assert made is None
    assert room.playout.take_events() == [Finished((b"another order id",), "pre_empted", None)]


def test_a_second_order_for_a_generation_tells_its_end_and_shares_its_fate() -> None:
    room = Room(start_ms=500)
    room.tune(tune(end_index=None))
    room.play(100)
    room.playout.tune(b"another order id", tune(), now_ns=0, late=True, make=BroadcastReceiver)
    room.play(2500)
    assert [event.order_ids for event in room.events if isinstance(event, Started)] == [
        (ORDER,),
        (b"another order id",),
    ]
    (finished,) = [event for event in room.events if isinstance(event, Finished)]
    assert finished.order_ids == (ORDER, b"another order id")
    assert finished.reason == "end"


def test_another_epoch_ends_what_plays() -> None:
    room = Room(start_ms=500)
    room.tune(tune())
    room.play(100)
    room.playout.end_all("epoch", except_epoch=b"epoch  2")
    (finished,) = [event for event in room.playout.take_events() if isinstance(event, Finished)]
    assert finished.reason == "epoch"


def test_volume_is_squared_and_a_fade_in_is_linear() -> None:
    room = Room(start_ms=600)
    room.playout.volume = 50
    room.tune(tune(volume=80, fade_ms=100))
    loud = [float(np.abs(room.play(10)).max()) for _ in range(15)]
    full = 0.5 * 0.64 * 0.25
    assert abs(loud[14] - full) < 0.01 * full
    assert abs(loud[4] - full / 2) < 0.07 * full


def test_missed_blocks_do_not_move_what_follows() -> None:
    room = Room()
    room.tune(tune())
    room.play(900)
    room.local_ns += 70 * MS
    room.heard, room.began_ns = [], room.local_ns
    room.play(500)
    assert np.abs(np.concatenate(room.heard) - tone(room.positions())).max() < 0.002
    assert room.playout.time.hard_steps == 0


def test_a_long_stall_leaves_frames_out_and_says_so() -> None:
    room = Room()
    room.tune(tune())
    room.play(900)
    room.local_ns += 1000 * MS
    room.play(1000)
    finished = next(event for event in room.events if isinstance(event, Finished))
    assert finished.result is not None
    assert finished.result.concealed >= 40
    assert finished.result.played + finished.result.concealed == 100


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["play", "tune", "stop", "jump", "unknown", "known"]), st.integers(0, 300)),
        max_size=25,
    )
)
def test_each_order_is_finished_at_most_once_and_nothing_raises(steps: list[tuple[str, int]]) -> None:
    room = Room(start_ms=300)
    for number, (what, value) in enumerate(steps):
        order_id = number.to_bytes(16, "big")
        if what == "play":
            assert np.isfinite(room.play(10 + value // 10 * 10)).all()
        elif what == "tune":
            of = tune(
                generation=1 + number, ssrc=100 + number, priority=value % 256, fade_ms=value, end_index=65_540
            )
            if room.playout.tune(
                order_id,
                of,
                now_ns=room.local_ns,
                late=bool(value % 2),
                make=lambda t: BroadcastReceiver(t, ToneDecoder),
            ):
                receiver = room.playout.receivers[-1]
                receiver.set_key(Sound(of).media_key)
                for n in range(0, 40, 1 + value % 3):
                    receiver.receive(Sound(of).frame(n), START_NS, room.local_ns)
        elif what == "stop":
            room.playout.stop(order_id, BROADCAST, value)
        elif what == "jump":
            room.error_ns = (value - 150) * MS
        else:
            room.known = what == "known"
    room.known = True
    room.play(4000)
    ended = [order_id for event in room.events if isinstance(event, Finished) for order_id in event.order_ids]
    assert len(ended) == len(set(ended))
    assert len(room.playout) == 0
