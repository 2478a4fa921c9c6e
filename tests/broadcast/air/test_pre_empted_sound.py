"""Who gets which packet when an alert takes part of a bulletin's endpoints: arbitration and media core together."""

from __future__ import annotations

import pytest

from loa.broadcast.air.arbitration import Arbitration, Change
from loa.broadcast.air.media_local import MediaLocal
from loa.broadcast.air.media_port import AddChannel, Address, AirEnded, StartAir, StopAir
from loa.broadcast.air.running import Running
from loa.broadcast.air.session import Session
from loa.codecs import channel_wire, rtp
from loa.codecs.channel_wire import Type, padded
from loa.timing.clock import VirtualClock
from tests.broadcast.air.broadcasts import FRAME_NS, running
from tests.broadcast.air.sessions import session

MS = 1_000_000
SECRET = bytes(32)


class Town:
    """Sessions with addresses, and all packets that came to each, by broadcast, in the order in which they came."""

    def __init__(self, count: int) -> None:
        self.clock = VirtualClock()
        self.media = MediaLocal(clock=self.clock, send_datagram=self._deliver, epoch=bytes(8), nonce_key=SECRET)
        self.arbitration = Arbitration()
        self.sessions = [session(number) for number in range(count)]
        self.running: dict[bytes, Running] = {}
        self.came: dict[Address, list[tuple[int, int]]] = {}
        self._nonces: dict[Address, bytes] = {}
        for each in self.sessions:
            self._bind(each)

    def _deliver(self, data: bytes, address: Address) -> None:
        if channel_wire.is_channel(data):
            parsed = channel_wire.parse(data)
            if parsed.type is Type.CHALLENGE:
                self._nonces[address] = parsed.payload
            return
        header = rtp.parse_header(data)[0]
        self.came.setdefault(address, []).append((header.ssrc // 2, header.sequence))

    @staticmethod
    def address(each: Session) -> Address:
        return f"192.0.2.{1 + each.channel_id[-1]}", 9

    def _bind(self, each: Session) -> None:
        address = self.address(each)
        self.media.send(AddChannel(each.channel_id, SECRET))
        for counter, (kind, payload) in enumerate([(Type.KEEPALIVE, padded(b"")), (Type.ECHO, b"")]):
            payload = payload or self._nonces[address]
            self.media.receive(channel_wire.encode(kind, each.channel_id, counter, payload, SECRET), address)

    def obey(self, change: Change) -> None:
        for command in change.commands:
            self.media.send(command)

    def begin(self, which: Running, *sessions: Session) -> None:
        tune = which.tune
        self.running[tune.broadcast_id] = which
        self.media.send(
            StartAir(
                broadcast_id=tune.broadcast_id,
                generation=1,
                ssrc=tune.ssrc,
                block_ssrc=tune.block_ssrc,
                index0=tune.index0,
                timestamp0=0,
                start_ns=tune.start_ns,
                frame_samples=960,
                master_key=tune.broadcast_id,
                master_salt=bytes(12),
                block_seed=b"",
                block_frames=5,
                end_index=tune.end_index,
            )
        )
        self.obey(self.arbitration.begin(which, sessions, self.clock.monotonic_ns()))
        for frames in which.next_frames(buffered=0):
            self.media.send(frames)

    def stop(self, which: Running) -> None:
        self.media.send(StopAir(which.broadcast.id))
        self.obey(self.arbitration.end(which, self.clock.monotonic_ns()))

    def run(self, until_ms: int) -> None:
        """Move time on, and do what the director does with what the media core says."""
        while True:
            due = [self.media.next_due_ns(), self.arbitration.next_due_ns()]
            due_ns = min(each for each in [*due, until_ms * MS] if each is not None)
            self.clock.set(max(due_ns, self.clock.monotonic_ns()))
            self.obey(self.arbitration.due(self.clock.monotonic_ns()))
            if due_ns >= until_ms * MS:
                return
            self.media.tick()
            for event in self.media.take_events():
                if isinstance(event, AirEnded):
                    self.obey(self.arbitration.end(self.running[event.broadcast_id], self.clock.monotonic_ns()))

    def frames(self, each: Session, number: int) -> list[int]:
        """The frames of a broadcast that came to a session, in the order in which they came."""
        return [frame for which, frame in self.came.get(self.address(each), []) if which == number]


def needed(bulletin: Running, heard: tuple[int, int]) -> set[int]:
    """The bulletin's frames that are heard, in whole or in part, before and after `heard` (ns)."""
    frames = set()
    for number in range(len(bulletin.packets)):
        at_ns = bulletin.tune.start_ns + number * FRAME_NS + bulletin.tune.play_delay_ms * MS
        if at_ns < heard[0] or at_ns + FRAME_NS > heard[1]:
            frames.add(number)
    return frames


@pytest.mark.parametrize("alert_delay_ms", [200, 400, 600])
def test_an_alert_to_a_part_takes_just_those_frames_that_it_drowns(alert_delay_ms: int) -> None:
    town = Town(5)
    bulletin = running(1, frames=200, play_delay_ms=400)
    alert = running(2, 224, start_ns=1_037 * MS, frames=50, play_delay_ms=alert_delay_ms)
    near, far, only = town.sessions[:2], town.sessions[2:4], town.sessions[4]
    town.begin(bulletin, *near, *far)
    town.run(1_007)
    town.begin(alert, *near, only)
    town.run(5_000)
    for each in far:
        assert town.came[town.address(each)] == [(1, frame) for frame in range(200)]
    assert town.came[town.address(only)] == [(2, frame) for frame in range(50)]
    heard_ns = (alert.tune.start_ns + alert_delay_ms * MS, alert.tune.start_ns + (1_000 + alert_delay_ms) * MS)
    for each in near:
        got = town.frames(each, 1)
        assert got == sorted(set(got))
        assert town.frames(each, 2) == list(range(50))
        missed = sorted(set(range(200)) - set(got))
        assert missed == list(range(missed[0], missed[-1] + 1))
        # From the second on that would be heard when the alert is, but for those that had gone when it was begun.
        from_ns = max(heard_ns[0] + FRAME_NS, (1_007 + 400) * MS)
        assert from_ns <= missed[0] * FRAME_NS + 400 * MS < from_ns + FRAME_NS
        if alert_delay_ms >= 400:
            assert set(got) >= needed(bulletin, heard_ns)
        # It gets the bulletin again from the frame before the first that is heard; not sooner than a while before
        # the alert's end, where the alert's play delay is the shorter one.
        again = (heard_ns[1] - 400 * MS) // FRAME_NS - 1
        soonest_ns = alert.tune.start_ns + (50 - 5 - 3) * FRAME_NS
        assert missed[-1] + 1 == max(again, -(-soonest_ns // FRAME_NS))


def test_a_stop_gives_the_endpoints_back_at_the_next_frame() -> None:
    town = Town(2)
    bulletin, alert = running(1, frames=200), running(2, 255, start_ns=1_030 * MS, frames=100)
    town.begin(bulletin, *town.sessions)
    town.run(1_000)
    town.begin(alert, town.sessions[0])
    town.run(1_990)
    town.stop(alert)
    town.run(5_000)
    assert town.frames(town.sessions[0], 1) == [*range(53), *range(100, 200)]
    assert town.frames(town.sessions[0], 2) == list(range(48))
    assert town.frames(town.sessions[1], 1) == list(range(200))


def test_three_priorities_each_give_way_and_come_back() -> None:
    town = Town(1)
    (one,) = town.sessions
    bulletin, notice = running(1, frames=250), running(2, 128, start_ns=1_000 * MS, frames=150)
    alert = running(3, 224, start_ns=2_000 * MS, frames=50)
    town.begin(bulletin, one)
    town.begin(notice, one)
    town.run(1_500)
    town.begin(alert, one)
    town.run(6_000)
    # Each is sent again from the frame before the first that is heard.
    assert town.frames(one, 1) == [*range(51), *range(199, 250)]
    assert town.frames(one, 2) == [*range(51), *range(99, 150)]
    assert town.frames(one, 3) == list(range(50))
