"""The whole speaker without sockets and threads, under virtual time: link, channel, orders, sound, receipts."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loa.codecs import channel_wire, link_wire
from loa.codecs.group_wire import Hearing
from loa.codecs.link_wire import Receipt, ReceiptsAck, ReceiptsMessage, Status
from loa.codecs.order_wire import Stop, Tune
from loa.edge.speaker import identity
from loa.edge.speaker.broadcast_receiver import BroadcastReceiver
from loa.edge.speaker.engine import SpeakerEngine
from loa.edge.speaker.identity import Identity
from loa.edge.speaker.link_session import LinkSession, Welcomed
from loa.edge.speaker.report import report
from loa.errors import StoreError
from loa.model import ReceiptState
from loa.timing.clock import SkewedClock, VirtualClock
from tests.edge.origin import (
    BROADCAST,
    NS_PER_S,
    START_NS,
    Authorities,
    ServerChannel,
    ServerLink,
    Sound,
    ToneDecoder,
    key,
    tune,
)

MS = 1_000_000
SERVER = ("192.0.2.1", 5004)
DELAY_NS = 8 * MS
BLOCK_KEY = key("block")


class Street:
    """One speaker on a wrong clock, and the origin, whose time is the base. Starts 10 s before START_NS."""

    def __init__(self, folder: Path, *, seed: int = 1, loss: float = 0.0) -> None:
        self.base = VirtualClock(START_NS - 10 * NS_PER_S)
        self.clock = SkewedClock(self.base, 3600 * NS_PER_S, 80)
        self.rng = random.Random(seed)
        self.loss = loss
        self.by = Authorities()
        self.folder = folder
        self.engine = self._engine(self.by.enrolled(folder))
        self.on_the_way: list[tuple[int, int, bytes, bool]] = []  # (base ns, order, datagram, to the speaker)
        self.sent = 0
        self.receipts: list[Receipt] = []
        self.statuses: list[Status] = []
        self.hearings: list[Hearing] = []
        self.heard: list[NDArray[np.float32]] = []
        self.rendered_ns: int | None = None
        self.sounds: dict[int, Sound] = {}
        self.asked: set[int] = set()

    def _engine(self, of: Identity) -> SpeakerEngine:
        return SpeakerEngine(
            of, software="test", rng=self.rng, make_receiver=lambda tune: BroadcastReceiver(tune, ToneDecoder)
        )

    def restart(self) -> None:
        """The power fails and comes back: only what is on disk is left."""
        kept = identity.load(self.folder / "state")
        assert kept is not None
        self.engine = self._engine(kept)
        self.on_the_way.clear()

    @property
    def local_ns(self) -> int:
        return self.clock.monotonic_ns()

    def connect(self, **welcome: object) -> None:
        self.session: LinkSession = self.engine.new_session()
        self.link = ServerLink(self.by, self.session.hello())
        data = self.link.welcome(origin_ns=self.base.monotonic_ns(), **welcome)  # type: ignore[arg-type]
        for event in self.session.receive(data, self.local_ns):
            self.engine.on_link_event(event, self.local_ns)
            if isinstance(event, Welcomed):
                self.engine.open_channel(event, SERVER, self.local_ns)
                self.server = ServerChannel(event.channel_id, event.keys.channel_secret, event.beacon.epoch)
        (proof,) = self.session.take_outgoing()
        self.link.take_proof(proof)

    def say(self, message: bytes) -> None:
        for event in self.session.receive(message, self.local_ns):
            self.engine.on_link_event(event, self.local_ns)

    def send(self, data: bytes, *, extra_ns: int = 0, down: bool = True) -> None:
        self.sent += 1
        if self.rng.random() >= self.loss:
            at_ns = self.base.monotonic_ns() + DELAY_NS + extra_ns + self.rng.randrange(3 * MS)
            self.on_the_way.append((at_ns, self.sent, data, down))

    def run(self, ms: int) -> None:
        """Steps of 10 ms, with datagrams at their own instants."""
        for _ in range(ms // 10):
            end_ns = self.base.monotonic_ns() + 10 * MS
            self._sound()
            while self.on_the_way and min(self.on_the_way)[0] <= end_ns:
                item = min(self.on_the_way)
                self.on_the_way.remove(item)
                self.base.set(max(self.base.monotonic_ns(), item[0]))
                self._arrive(item[2], down=item[3])
            self.base.set(end_ns)
            self._turn()

    def _arrive(self, data: bytes, *, down: bool) -> None:
        if down:
            self.engine.on_datagram(data, SERVER, self.local_ns)
            self._up()
            return
        for answer in self.server.receive(data, self.base.monotonic_ns()):
            self.send(answer)
        while self.server.nacks:
            nack = self.server.nacks.pop()
            self.asked.update(nack.indices)
            for sound in self.sounds.values():
                for index in nack.indices:
                    if nack.ssrc == sound.tune.ssrc:
                        self.send(sound.frame(index - sound.tune.index0))
                    elif nack.ssrc == sound.tune.block_ssrc:
                        self.send(sound.block(index))

    def _up(self) -> None:
        for data in self.engine.datagrams_to_send(self.local_ns):
            self.send(data, down=False)

    def _turn(self) -> None:
        self.engine.tick(self.local_ns)
        self._up()
        self.engine.queue_link_messages(self.local_ns)
        for data in self.session.take_outgoing():
            message = link_wire.decode(data)
            if isinstance(message, ReceiptsMessage):
                self.receipts += message.receipts
                acked = tuple((each.order_id, int(each.state)) for each in message.receipts)
                self.say(link_wire.encode(ReceiptsAck(acked)))
            elif isinstance(message, Status):
                self.statuses.append(message)
            elif isinstance(message, Hearing):
                self.hearings.append(message)
        if self.rendered_ns is None:
            self.rendered_ns = self.local_ns
        while self.rendered_ns <= self.local_ns + 30 * MS:
            self.heard.append(self.engine.render(self.rendered_ns, 480, 48_000).samples)
            self.rendered_ns += 10 * MS

    def _sound(self) -> None:
        """Send the frames that fall due in the next 10 ms."""
        now_ns = self.base.monotonic_ns()
        for sound in self.sounds.values():
            of = sound.tune
            for number in range(100):
                if now_ns <= of.start_ns + number * 20 * MS < now_ns + 10 * MS:
                    self.send(sound.frame(number))
                    if of.block_key and number % of.block_frames == 0:
                        self.send(sound.block(number // of.block_frames))

    def air(self, of: Tune) -> None:
        self.sounds[of.ssrc] = Sound(of, BLOCK_KEY)
        self.send(channel_wire.encode_order(self.by.order(of)))

    def states(self) -> list[ReceiptState]:
        return [each.state for each in self.receipts]


CHAIN = (ReceiptState.RECEIVED, ReceiptState.ACCEPTED, ReceiptState.STARTED, ReceiptState.FINISHED)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_signed_broadcast_over_a_lossy_path_is_heard_whole_in_time_and_told_truly(
    tmp_path: Path, seed: int
) -> None:
    street = Street(tmp_path, seed=seed, loss=0.05)
    street.connect()
    street.say(street.link.secret())
    street.run(5000)
    street.loss = 0.0
    street.air(tune(block_key=BLOCK_KEY.public_key))
    street.run(200)
    street.loss = 0.05
    street.run(9000)
    assert street.states() == list(CHAIN), f"seed {seed}"
    result = street.receipts[3].result
    assert result is not None
    assert (result.played, result.concealed, result.unsigned, result.reason) == (100, 0, 0, "end")
    assert result.repaired > 0
    assert abs(street.receipts[2].presented_ns - START_NS - 500 * MS) < 2 * MS
    assert street.statuses[-1].clock_error_ns < 20 * MS


def test_nothing_is_asked_for_that_is_only_on_its_way(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())
    street.run(9000)
    street.air(tune(block_key=BLOCK_KEY.public_key))
    street.run(5000)
    assert street.states() == list(CHAIN)
    assert street.asked == set()


@pytest.mark.parametrize("block_key", [b"", BLOCK_KEY.public_key], ids=["plain", "signed"])
def test_sound_that_comes_before_its_order_is_heard_from_its_first_frame(tmp_path: Path, block_key: bytes) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())
    street.run(9000)
    of = tune(block_key=block_key)
    street.sounds[of.ssrc] = Sound(of, BLOCK_KEY)
    before = street.engine.dropped
    street.run(1200)
    assert street.engine.dropped > before, "nothing is tuned yet"
    street.send(channel_wire.encode_order(street.by.order(of)))
    street.run(4000)
    assert street.states() == list(CHAIN)
    result = street.receipts[3].result
    assert result is not None
    assert (result.played, result.repaired) == (100, 0)
    assert street.asked == set()
    assert street.engine.dropped == before


def test_a_speaker_that_lost_its_power_takes_its_broadcast_up_again(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())
    street.run(9000)
    order = street.by.order(tune())
    street.sounds[tune().ssrc] = Sound(tune(), BLOCK_KEY)
    street.send(channel_wire.encode_order(order))
    street.run(1000)
    street.restart()
    street.connect()
    street.say(street.link.secret())
    street.say(link_wire.encode(link_wire.OrderMessage(order)))
    street.say(link_wire.encode(link_wire.OrderMessage(order)))
    assert len(street.engine.playout) == 1
    street.run(3000)
    assert street.engine.gate.accepted == 0, "it is no new order"
    finished = street.receipts[-1]
    assert finished.result is not None
    assert (finished.state, finished.result.reason) == (ReceiptState.FINISHED, "end")
    assert 0 < finished.result.played < 100
    street.say(link_wire.encode(link_wire.OrderMessage(order)))
    assert not street.engine.busy, "what is over is not played again"


def test_a_broadcast_that_was_stopped_is_not_taken_up_after_a_restart(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    order = street.by.order(tune())
    street.say(link_wire.encode(link_wire.OrderMessage(order)))
    street.say(link_wire.encode(link_wire.OrderMessage(street.by.order(Stop(BROADCAST, 0), seq=2))))
    street.restart()
    street.connect()
    street.say(link_wire.encode(link_wire.OrderMessage(order)))
    assert not street.engine.busy


def test_an_emergency_is_not_stopped_by_an_order_that_calls_it_less(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    for action in (tune(priority=240), Stop(BROADCAST, 0, 100)):
        street.say(link_wire.encode(link_wire.OrderMessage(street.by.order(action))))
    assert street.engine.busy
    street.run(20)
    assert (street.receipts[-1].state, street.receipts[-1].reason) == (ReceiptState.REFUSED, "not_entitled")
    street.say(link_wire.encode(link_wire.OrderMessage(street.by.order(Stop(BROADCAST, 0, 240)))))
    assert not street.engine.busy


def test_an_order_that_cannot_be_written_down_plays_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())

    def full(name: str, data: bytes) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(street.engine.identity.folder, "write", full)
        street.air(tune())
        street.run(100)
        assert not street.engine.busy
        assert street.receipts == []
        assert street.engine.receipts.failures == 1
    street.say(link_wire.encode(link_wire.OrderMessage(street.by.order(tune(), seq=1))))
    assert street.engine.busy


def test_the_same_order_by_two_ways_and_again_is_obeyed_once(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    order = street.by.order(tune())
    for _ in range(3):
        street.send(channel_wire.encode_order(order))
    street.say(link_wire.encode(link_wire.OrderMessage(order)))
    street.run(100)
    assert len(street.engine.playout) == 1
    assert set(street.states()) == {ReceiptState.RECEIVED, ReceiptState.ACCEPTED}
    assert len({each.order_id for each in street.receipts}) == 1


def test_an_order_for_another_time_line_is_unsupported(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(link_wire.encode(link_wire.OrderMessage(street.by.order(tune(epoch=b"epoch  0")))))
    street.run(20)
    assert [(each.state, each.reason) for each in street.receipts] == [(ReceiptState.REFUSED, "unsupported")]


def test_the_key_may_come_after_the_order(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.run(8000)
    street.air(tune())
    street.run(1900)
    street.say(street.link.secret())
    street.run(4000)
    assert street.states()[-1] is ReceiptState.FINISHED
    result = street.receipts[-1].result
    assert result is not None
    assert result.played == 100


def test_a_stop_by_link_ends_the_sound_and_both_orders_are_finished(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())
    street.run(8000)
    street.air(tune())
    street.run(3500)
    street.say(link_wire.encode(link_wire.OrderMessage(street.by.order(Stop(BROADCAST, 50)))))
    street.run(500)
    finished = [each for each in street.receipts if each.state is ReceiptState.FINISHED]
    assert [each.result.reason if each.result else None for each in finished] == ["stopped", None]
    assert not np.concatenate(street.heard[-20:]).any()


def test_a_link_to_another_epoch_ends_what_plays_and_forgets_the_clock(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())
    street.run(8000)
    street.air(tune())
    street.run(3000)
    assert report(street.engine, street.local_ns)["state"] == "playing"
    street.connect(epoch=b"epoch  2")
    street.run(50)
    assert street.receipts[-1].result is not None
    assert street.receipts[-1].result.reason == "epoch"
    assert report(street.engine, street.local_ns)["clock_error_ns"] is None


def test_a_status_is_told_every_ten_seconds_and_soon_when_what_plays_is_another(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())
    street.run(8000)
    street.air(tune(end_index=67_000))
    street.run(4500)
    assert street.statuses[-1].broadcast_id == BROADCAST
    street.statuses.clear()
    street.run(20_000)
    assert [status.broadcast_id for status in street.statuses] == [BROADCAST] * 2


def test_a_status_is_told_soon_when_sound_is_missing(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())
    street.run(8000)
    street.air(tune(end_index=67_000))
    street.run(6000)
    street.statuses.clear()
    street.loss = 1.0
    street.run(3000)
    assert len(street.statuses) >= 2
    assert street.statuses[-1].concealed > 0


def test_receipts_that_were_not_acknowledged_come_again_on_the_next_link(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(link_wire.encode(link_wire.OrderMessage(street.by.order(tune()))))
    street.engine.queue_link_messages(street.local_ns)
    street.session.take_outgoing()  # lost with the connection
    street.connect()
    street.run(20)
    assert street.states() == [ReceiptState.RECEIVED, ReceiptState.ACCEPTED]


def test_shutdown_is_told_truly_and_outlives_the_process(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())
    street.run(8000)
    street.air(tune())
    street.run(3500)
    street.engine.shutdown(street.local_ns)
    again = SpeakerEngine(street.engine.identity, software="test", rng=random.Random(0))
    (left,) = again.outbox.take_unsent(0)
    assert left.state is ReceiptState.FINISHED
    assert left.result is not None
    assert left.result.reason == "shutdown"


@pytest.mark.parametrize("size", [0, 1, 11, 70_000])
def test_a_datagram_of_any_size_disturbs_nothing(tmp_path: Path, size: int) -> None:
    street = Street(tmp_path)
    street.connect()
    street.run(100)
    street.engine.on_datagram(bytes(size), SERVER, street.local_ns)
    assert street.engine.dropped == 1


def test_media_from_another_address_is_not_heard(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())
    street.air(tune())
    street.run(100)
    street.engine.on_datagram(Sound(tune()).frame(0), ("192.0.2.7", 5004), street.local_ns)
    assert street.engine.dropped == 1
    assert street.engine.playout.receivers[0].counters.dropped == 0


_street: list[Street] = []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), front=st.sampled_from([b"", b"\xc1\x10", b"\xc1\x04channel1", b"\x80\x6f"]))
def test_arbitrary_datagrams_never_raise(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, front: bytes
) -> None:
    if not _street:
        _street.append(Street(tmp_path_factory.mktemp("street")))
        _street[0].connect()
        _street[0].run(10)
    _street[0].engine.on_datagram(front + data, SERVER, _street[0].local_ns)
    assert not _street[0].engine.busy


def test_an_order_a_quarter_hour_after_the_beginning_joins_and_asks_for_nothing_old(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.connect()
    street.say(street.link.secret())
    street.run(3000)
    begun_ns = street.base.monotonic_ns() - 900 * NS_PER_S
    of = tune(start_ns=begun_ns, end_index=None)
    sound = street.sounds[of.ssrc] = Sound(of)
    street.send(channel_wire.encode_order(street.by.order(of)))
    asked: set[int] = set()
    for _ in range(100):
        number = (street.base.monotonic_ns() - begun_ns) // (20 * MS)
        street.send(sound.frame(number))
        street.run(20)
        asked |= {index for index in street.asked if index - of.index0 < number - 200}
    assert not asked
    playing = street.engine.playout.playing
    assert playing is not None
    assert playing.counters.played > 50
