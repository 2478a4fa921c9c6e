"""A speaker and its area's group, under virtual time: over to the group and back, and no frame is lost by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loa.codecs import link_wire
from loa.codecs.group_wire import GroupMessage, Hearing, encode_beat
from loa.edge.speaker.group_ear import Membership
from loa.edge.speaker.report import report
from loa.model import ReceiptState
from tests.edge.origin import EPOCH, NS_PER_S, tune
from tests.edge.test_engine import BLOCK_KEY, CHAIN, MS, SERVER, Street

GROUP = GroupMessage(1, "232.1.0.1", 5004)


class GroupStreet(Street):
    """A street whose server sends by the group while the speaker says that it hears it."""

    reaches = True

    def begin(self) -> None:
        self.connect()
        self.say(self.link.secret())
        self.say(link_wire.encode(GROUP))

    @property
    def in_group(self) -> bool:
        return bool(self.hearings) and self.hearings[-1].hearing

    def by_group(self, data: bytes, host: str = SERVER[0]) -> None:
        if self.reaches:
            self.engine.on_group_datagram(data, host, self.local_ns)

    def _sound(self) -> None:
        now_ns = self.base.monotonic_ns()
        if now_ns % (2 * NS_PER_S) < 10 * MS:
            self.by_group(encode_beat(EPOCH))
        if not self.in_group:
            super()._sound()
            return
        for sound in self.sounds.values():
            of = sound.tune
            for number in range(100):
                if now_ns <= of.start_ns + number * 20 * MS < now_ns + 10 * MS:
                    self.by_group(sound.frame(number))
                    if of.block_key and number % of.block_frames == 0:
                        self.by_group(sound.block(number // of.block_frames))

    def finished(self) -> tuple[int, int]:
        """Frames played and concealed."""
        assert self.states() == list(CHAIN)
        result = self.receipts[-1].result
        assert result is not None
        return result.played, result.concealed


@pytest.fixture
def street(tmp_path: Path) -> GroupStreet:
    made = GroupStreet(tmp_path)
    made.begin()
    return made


def test_it_is_in_the_group_for_what_its_server_sends_there(street: GroupStreet) -> None:
    assert street.engine.membership == Membership("232.1.0.1", 5004, SERVER[0])
    street.run(2_100)
    assert street.hearings == [Hearing(1, True)]
    assert report(street.engine, street.local_ns)["group"] == "heard"


def test_a_broadcast_by_the_group_is_heard_whole(street: GroupStreet) -> None:
    street.run(9_000)
    street.air(tune(block_key=BLOCK_KEY.public_key))
    street.run(5_000)
    assert street.finished() == (100, 0)
    assert street.asked == set()
    assert street.hearings == [Hearing(1, True)]


def test_a_group_that_falls_silent_in_the_middle_costs_no_frame(street: GroupStreet) -> None:
    street.run(9_000)
    street.air(tune(block_key=BLOCK_KEY.public_key))
    street.run(1_700)
    street.reaches = False
    street.run(4_000)
    assert street.hearings == [Hearing(1, True), Hearing(1, False)]
    assert street.finished() == (100, 0)
    assert 0 < len(street.asked) < 30


def test_a_frame_that_the_group_loses_is_repaired_by_the_channel(street: GroupStreet) -> None:
    street.run(9_000)
    street.air(tune())
    street.run(1_500)
    street.reaches = False
    street.run(60)
    street.reaches = True
    street.run(4_000)
    assert street.finished() == (100, 0)
    assert len(street.asked) >= 2
    assert street.hearings == [Hearing(1, True)]


def test_beats_of_another_machine_or_another_epoch_are_no_sign(street: GroupStreet) -> None:
    street.reaches = False
    street.run(100)
    street.reaches = True
    street.by_group(encode_beat(EPOCH), "192.0.2.66")
    street.by_group(encode_beat(b"epoch  0"))
    street.run(100)
    assert street.hearings == []
    assert street.engine.dropped == 1


def test_forged_beats_of_a_dead_group_delay_the_way_back_and_cost_no_frame(street: GroupStreet) -> None:
    """An attacker who can send under the server's address keeps the speaker in a group that brings nothing."""
    street.run(9_000)
    street.air(tune())
    street.reaches = False
    for _ in range(500):
        street.engine.on_group_datagram(encode_beat(EPOCH), SERVER[0], street.local_ns)
        street.engine.on_group_datagram(b"\x80" * 60, SERVER[0], street.local_ns)
        street.run(10)
    assert street.hearings == [Hearing(1, True), Hearing(1, False)]
    assert street.finished() == (100, 0)


def test_sound_for_others_in_the_group_is_not_counted_as_dropped(street: GroupStreet) -> None:
    street.run(2_100)
    dropped = street.statuses[-1].dropped
    street.by_group(b"\x80\x6f" + bytes(100))
    street.run(5_000)
    assert street.statuses[-1].dropped == dropped


def test_a_new_link_begins_without_a_group(street: GroupStreet) -> None:
    street.run(2_100)
    street.connect()
    assert street.engine.membership is None
    street.run(2_100)
    assert report(street.engine, street.local_ns)["group"] == "none"
    street.say(link_wire.encode(GroupMessage(1)))
    assert street.engine.membership is None
    assert ReceiptState.REFUSED not in street.states()


def test_a_group_that_reaches_it_where_its_own_datagrams_do_not_is_left_for_the_link(street: GroupStreet) -> None:
    street.loss = 1.0
    street.run(9_000)
    assert report(street.engine, street.local_ns)["group"] == "none"
    street.loss = 0.0
    street.run(40_000)
    assert report(street.engine, street.local_ns)["group"] == "heard"
    assert street.hearings[-1] == Hearing(1, True)
