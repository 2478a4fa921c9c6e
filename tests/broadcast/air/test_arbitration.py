"""What the arbiter decides as sound: who is in whose audience, from which instant to which."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from loa.broadcast.air import media_port
from loa.broadcast.air.arbitration import Arbitration, Change
from loa.broadcast.air.door import Door
from loa.broadcast.air.media_port import Command
from loa.broadcast.air.running import Running
from loa.broadcast.air.session import Session
from loa.codecs.link_wire import Receipt
from loa.model import ReceiptState
from tests.broadcast.air.broadcasts import FRAME_NS, running
from tests.broadcast.air.sessions import session

MS = 1_000_000


def channels(*sessions: Session) -> set[bytes]:
    return {each.channel_id for each in sessions}


def audiences(commands: list[Command]) -> list[tuple[int, set[bytes], set[bytes]]]:
    """The broadcasts' numbers, with who joined and who left."""
    told = [command for command in commands if isinstance(command, media_port.Audience)]
    return [(int.from_bytes(each.broadcast_id, "big"), set(each.joined), set(each.left)) for each in told]


def test_ten_thousand_are_pre_empted_and_put_back_by_one_command_each() -> None:
    arbitration, everybody = Arbitration(), [session(number) for number in range(10_000)]
    bulletin, alert = running(1), running(2, 224, start_ns=1_030 * MS)
    arbitration.begin(bulletin, everybody, 0)
    change = arbitration.begin(alert, everybody, 1_000 * MS)
    assert audiences(change.commands) == [(2, channels(*everybody), set())]
    assert change.pre_empted == [(bulletin, 10_000)]
    assert arbitration.pre_empted == 10_000
    # One frame more: the resampler reaches into it.
    assert arbitration.next_due_ns() == 1_050 * MS
    assert audiences(arbitration.due(1_050 * MS).commands) == [(1, set(), channels(*everybody))]
    change = arbitration.end(alert, 3_000 * MS)
    assert audiences(change.commands) == [(1, channels(*everybody), set())]
    assert change.pre_empted == [(bulletin, 0)]
    assert arbitration.pre_empted == 0


def test_an_alert_that_is_stopped_before_it_began_costs_nobody_a_frame() -> None:
    arbitration, one = Arbitration(), session(1)
    bulletin, alert = running(1), running(2, 224, start_ns=1_030 * MS)
    arbitration.begin(bulletin, [one], 0)
    arbitration.begin(alert, [one], 1_000 * MS)
    assert audiences(arbitration.end(alert, 1_010 * MS).commands) == []
    # A second one has its own instant: the first one's is forgotten.
    arbitration.begin(running(3, 224, start_ns=1_060 * MS), [one], 1_020 * MS)
    assert arbitration.due(1_079 * MS) == Change()
    assert audiences(arbitration.due(1_080 * MS).commands) == [(1, set(), channels(one))]


def test_an_end_comes_once() -> None:
    arbitration, one = Arbitration(), session(1)
    alert = running(1, 224)
    arbitration.begin(alert, [one], 0)
    assert alert in arbitration
    arbitration.end(alert, 1)
    assert alert not in arbitration
    assert arbitration.end(alert, 2) == Change()
    assert arbitration.next_due_ns() is None


@pytest.mark.parametrize(
    ("door", "signed", "start_ms", "again_ms"),
    # 2,000 ms is heard first after the alert, and the resampler reaches back into the frame before it. By link with
    # blocks of 100 ms: the one that covers that frame.
    [
        (Door.UNICAST, False, 0, 1_970),
        (Door.UNICAST, True, 0, 1_970),
        (Door.UNICAST, True, 13, 1_963),
        (Door.LINK, False, 13, 1_963),
        (Door.LINK, True, 0, 1_890),
        (Door.LINK, True, 13, 1_903),
        (Door.LINK, True, 19, 1_909),
    ],
)
def test_a_known_end_gives_the_endpoints_back_before_and_takes_nothing_from_them(
    door: Door, signed: bool, start_ms: int, again_ms: int
) -> None:
    arbitration, one = Arbitration(), session(1)
    one.door = door
    bulletin = running(1, start_ns=start_ms * MS, signed=signed)
    alert = running(2, 224, start_ns=1_000 * MS, frames=50)
    arbitration.begin(bulletin, [one], 0)
    arbitration.begin(alert, [one], 1_000 * MS)
    arbitration.due(1_020 * MS)
    assert arbitration.next_due_ns() == (1_000 + 50 * 20 - 8 * 20) * MS
    assert arbitration.due(1_839 * MS) == Change()
    assert arbitration.due(1_840 * MS) == Change([], [(bulletin, 0)])
    assert arbitration.next_due_ns() == again_ms * MS
    change = arbitration.due(again_ms * MS)
    assert audiences(change.commands) == ([(1, channels(one), set())] if door is Door.UNICAST else [])
    assert one in bulletin.audience
    assert one in alert.audience
    assert alert not in arbitration
    # Its door is looked after until its last frame has been sent.
    one.door = Door.LINK if door is Door.UNICAST else Door.UNICAST
    assert len(audiences(arbitration.door_changed(one).commands)) == 2
    assert arbitration.end(alert, 1_980 * MS) == Change()
    assert len(audiences(arbitration.gone(one, 2_000 * MS).commands)) == 0


def test_who_goes_before_it_was_put_back_is_not_put_back() -> None:
    arbitration, one = Arbitration(), session(1)
    bulletin = running(1, frames=103)
    alert = running(2, 224, start_ns=1_000 * MS, frames=50)
    arbitration.begin(bulletin, [one], 0)
    arbitration.begin(alert, [one], 1_000 * MS)
    arbitration.due(1_900 * MS)
    # Both have given it back: its last frames of the bulletin are all that it still has to get.
    assert bulletin not in arbitration
    assert arbitration.next_due_ns() == 1_970 * MS
    arbitration.gone(one, 1_950 * MS)
    assert arbitration.due(1_970 * MS) == Change()
    assert len(bulletin.audience) == 0


def test_who_comes_in_the_middle_gets_only_what_it_plays() -> None:
    arbitration, one = Arbitration(), session(1)
    bulletin, alert = running(1), running(2, 224)
    for each in (bulletin, alert):
        arbitration.begin(each, [], 0)
    change = arbitration.place(one, [bulletin, alert], 9_000 * MS)
    assert audiences(change.commands) == [(2, channels(one), set())]
    assert change.pre_empted == [(bulletin, 1)]
    assert arbitration.meant(bulletin) == {one}
    change = arbitration.gone(one, 9_500 * MS)
    assert (audiences(change.commands), change.pre_empted) == ([], [(bulletin, 0)])


def test_a_door_of_who_is_pre_empted_is_the_one_it_is_put_back_by() -> None:
    arbitration, one = Arbitration(), session(1)
    bulletin, alert = running(1), running(2, 224)
    arbitration.begin(bulletin, [one], 0)
    arbitration.begin(alert, [one], 9_000 * MS)
    one.door = Door.LINK
    assert audiences(arbitration.door_changed(one).commands) == [(2, set(), channels(one))]
    assert audiences(arbitration.end(alert, 9_900 * MS).commands) == []
    assert one in bulletin.audience


def test_who_is_taken_again_before_it_was_put_back_is_not_put_back() -> None:
    arbitration, one = Arbitration(), session(1)
    bulletin, alert = running(1), running(2, 224, start_ns=1_000 * MS, frames=50)
    arbitration.begin(bulletin, [one], 0)
    arbitration.begin(alert, [one], 1_000 * MS)
    arbitration.due(1_900 * MS)
    second = running(3, 224, start_ns=1_930 * MS)
    arbitration.begin(second, [one], 1_900 * MS)
    assert audiences(arbitration.due(2_500 * MS).commands) == []
    assert audiences(arbitration.end(second, 2_600 * MS).commands) == [(1, channels(one), set())]


def answer(running: Running, state: ReceiptState) -> list[Receipt]:
    return [Receipt(running.order.order_id, state, 0)]


def test_who_refuses_an_alert_plays_what_it_played_and_is_sent_both_until_it_accepts() -> None:
    arbitration, one, two = Arbitration(), session(1), session(2)
    bulletin, alert = running(1, areas=(bytes(16),)), running(2, 224, areas=(bytes(16),))
    arbitration.begin(bulletin, [one, two], 0)
    arbitration.begin(alert, [one, two], 9_000 * MS)
    change = arbitration.answered(one, answer(alert, ReceiptState.REFUSED), 9_100 * MS)
    assert audiences(change.commands) == [(1, channels(one), set())]
    assert change.pre_empted == [(bulletin, 1)]
    assert one in alert.audience
    assert arbitration.answered(one, answer(alert, ReceiptState.REFUSED), 9_200 * MS) == Change()
    change = arbitration.answered(one, answer(alert, ReceiptState.ACCEPTED), 9_300 * MS)
    assert audiences(change.commands) == [(1, set(), channels(one))]
    assert change.pre_empted == [(bulletin, 2)]


def test_an_answer_lets_nobody_in_who_is_not_meant() -> None:
    arbitration, stranger = Arbitration(), session(1)
    alert = running(2, 224, areas=(b"another area....",))
    arbitration.begin(alert, [], 0)
    for state in ReceiptState:
        assert arbitration.answered(stranger, answer(alert, state), 100 * MS) == Change()
    assert arbitration.answered(stranger, [Receipt(bytes(16), ReceiptState.ACCEPTED, 0)], 100 * MS) == Change()


NUMBERS = st.integers(0, 5)
SOME = st.sets(NUMBERS)


class OnAir(RuleBasedStateMachine):
    """Broadcasts begin and end, sessions come and go; the media process keeps who is to get what."""

    on_air = Bundle("on_air")

    @initialize()
    def begin_with_nothing(self) -> None:
        self.arbitration = Arbitration()
        self.sessions = [session(number) for number in range(6)]
        self.broadcasts: dict[int, Running] = {}
        self.meant: dict[int, set[Session]] = {}
        self.getting: dict[int, set[bytes]] = {}
        self.pre_empted: dict[int, int] = {}
        self.now_ns = 0
        self.settled_ns = 0
        self.count = 0

    def obey(self, change: Change) -> None:
        for number, joined, left in audiences(change.commands):
            assert not self.getting[number] & joined
            assert self.getting[number] >= left
            self.getting[number] = self.getting[number] - left | joined
        for which, endpoints in change.pre_empted:
            number = int.from_bytes(which.broadcast.id, "big")
            assert self.pre_empted.get(number, 0) != endpoints
            self.pre_empted[number] = endpoints

    def playing(self, each: Session) -> int | None:
        """By looking at everything: the higher, then the earlier start, then the earlier made."""
        meant_by = [number for number, sessions in self.meant.items() if each in sessions]
        tunes = {number: self.broadcasts[number].tune for number in meant_by}
        return min(meant_by, key=lambda n: (-tunes[n].priority, tunes[n].start_ns, n), default=None)

    @rule(
        target=on_air,
        priority=st.sampled_from([64, 128, 224]),
        lead_ms=st.integers(0, 50),
        play_delay_ms=st.sampled_from([200, 400]),
        frames=st.sampled_from([3, 15, 30, 1_000]),
        numbers=SOME,
    )
    def begin(self, priority: int, lead_ms: int, play_delay_ms: int, frames: int, numbers: set[int]) -> int:
        self.count += 1
        number, some = self.count, [self.sessions[each] for each in numbers]
        start_ns = self.now_ns + lead_ms * MS
        known_end = frames < 1_000
        lasts_ms = frames * 20 if known_end else 0
        self.settled_ns = max(self.settled_ns, start_ns + (lasts_ms + 250) * MS)
        self.broadcasts[number] = running(
            number, priority, start_ns=start_ns, play_delay_ms=play_delay_ms, frames=frames, known_end=known_end
        )
        self.meant[number], self.getting[number] = set(some), set()
        self.obey(self.arbitration.begin(self.broadcasts[number], some, self.now_ns))
        return number

    @rule(number=consumes(on_air))
    def end(self, number: int) -> None:
        self.meant.pop(number, None)
        self.obey(self.arbitration.end(self.broadcasts.pop(number), self.now_ns))
        del self.getting[number]

    @rule(number=NUMBERS, chosen=st.sets(st.integers(1, 30)))
    def place(self, number: int, chosen: set[int]) -> None:
        each = self.sessions[number]
        for broadcast, sessions in self.meant.items():
            if broadcast in chosen:
                sessions.add(each)
            else:
                sessions.discard(each)
        meant_by = [self.broadcasts[broadcast] for broadcast in self.meant if broadcast in chosen]
        self.obey(self.arbitration.place(each, meant_by, self.now_ns))

    @rule(number=NUMBERS)
    def gone(self, number: int) -> None:
        each = self.sessions[number]
        for sessions in (*self.meant.values(),):
            sessions.discard(each)
        for getting in self.getting.values():
            getting.discard(each.channel_id)
        self.obey(self.arbitration.gone(each, self.now_ns))

    @rule(ms=st.integers(0, 1_000))
    def wait(self, ms: int) -> None:
        self.now_ns += ms * MS
        due_ns = self.arbitration.next_due_ns()
        for number, each in self.broadcasts.items():
            end_index = each.tune.end_index
            if end_index and each.tune.start_ns + max(0, end_index - 8) * FRAME_NS <= self.now_ns:
                self.meant.pop(number, None)
        self.obey(self.arbitration.due(self.now_ns))
        left_ns = self.arbitration.next_due_ns()
        assert left_ns is None or left_ns > self.now_ns
        if due_ns is None or due_ns > self.now_ns:
            assert left_ns == due_ns

    @invariant()
    def everybody_gets_what_it_plays_and_soon_nothing_else(self) -> None:
        for each in self.sessions:
            playing = self.playing(each)
            getting = {number for number in self.meant if each.channel_id in self.getting[number]}
            if self.now_ns > self.settled_ns:
                assert getting == ({playing} if playing is not None else set())

    @invariant()
    def it_is_told_how_many_are_pre_empted(self) -> None:
        for number, sessions in self.meant.items():
            elsewhere = [each for each in sessions if self.playing(each) != number]
            assert self.pre_empted.get(number, 0) == len(elsewhere)


TestOnAir = OnAir.TestCase
