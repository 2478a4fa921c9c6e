"""A generation on air, under virtual time."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.broadcast.air.air_counters import Values, new_values
from loa.broadcast.air.air_run import (
    CATCH_UP_FRAMES,
    MAX_AHEAD,
    MAX_LATE_NS,
    MAX_OPUS_BYTES,
    AirRun,
    IndexReused,
    Sealer,
)
from loa.broadcast.air.media_port import Frames, StartAir
from loa.codecs.block_wire import frame_hash, open_block
from loa.codecs.rtp import PT_BLOCK, PT_OPUS, RtpHeader, parse_packet
from loa.codecs.signed import SigningKey
from loa.codecs.srtp import SrtpContext

MS = 1_000_000
S = 1_000 * MS
BLOCK_KEY = SigningKey(bytes(range(32)))
START = StartAir(
    broadcast_id=bytes(16),
    generation=1,
    ssrc=0x1111_1111,
    block_ssrc=0x2222_2222,
    index0=65_530,  # the sequence number wraps soon
    timestamp0=0xFFFF_FC00,  # and so does the timestamp
    start_ns=100 * S,
    frame_samples=960,
    master_key=bytes(range(16)),
    master_salt=bytes(range(12)),
    block_seed=BLOCK_KEY.seed,
    block_frames=5,
    end_index=65_530 + 23,
)
SRTP = SrtpContext(START.master_key, START.master_salt)


def opus(index: int) -> bytes:
    return b"frame %d" % index


def frames(first: int, count: int) -> Frames:
    return Frames(START.broadcast_id, first, tuple(opus(i) for i in range(first, first + count)))


class Listener:
    """Opens what a run sends, and notes when it came."""

    def __init__(self, start: StartAir) -> None:
        self.start = start
        self.sound: list[tuple[int, int, RtpHeader, bytes]] = []  # index, when, header, Opus
        self.blocks: list[tuple[int, int, dict[int, bytes]]] = []  # number, how much sound came before, hashes
        self.seen: set[tuple[int, int]] = set()

    def take(self, packet: bytes, now_ns: int) -> None:
        sequence = int.from_bytes(packet[2:4], "big")
        ssrc = int.from_bytes(packet[8:12], "big")
        if ssrc == self.start.ssrc:
            near = self.start.index0 + (now_ns - self.start.start_ns) // (20 * MS)
        else:
            near = (now_ns - self.start.start_ns) // (20 * MS) // self.start.block_frames
        index = near + (sequence - near + 0x8000) % 0x1_0000 - 0x8000
        assert (ssrc, index) not in self.seen
        self.seen.add((ssrc, index))
        header, payload = SRTP.unprotect(packet, index)
        if ssrc == self.start.ssrc:
            assert header.payload_type == PT_OPUS
            self.sound.append((index, now_ns, header, payload))
            return
        assert (ssrc, header.payload_type) == (self.start.block_ssrc, PT_BLOCK)
        block = open_block(BLOCK_KEY.public_key, self.start.ssrc, payload)
        assert block.first_index == self.start.index0 + index * self.start.block_frames
        hashes = dict(enumerate(block.hashes, block.first_index))
        self.blocks.append((index, len(self.sound), hashes))

    @property
    def indices(self) -> list[int]:
        return [index for index, _, _, _ in self.sound]

    def all_covered(self) -> bool:
        covered = {index: digest for _, _, hashes in self.blocks for index, digest in hashes.items()}
        return all(covered.get(i) == frame_hash(h.pack(), payload) for i, _, h, payload in self.sound)


class Air:
    """A run whose time is moved from one due instant to the next."""

    def __init__(self, start: StartAir = START) -> None:
        self.counters: Values = new_values()
        self.run = AirRun(start, self.counters)
        self.listener = Listener(start)
        self.now_ns = 0
        self.ended_ns = 0

    def to(self, until_ns: int) -> None:
        """Obey every due instant up to `until_ns`, exactly then."""
        while self.run.ended is None:
            due_ns = self.run.next_due_ns()
            assert due_ns is not None
            if due_ns > until_ns:
                break
            self.at(max(due_ns, self.now_ns))
        self.now_ns = max(self.now_ns, until_ns)

    def at(self, now_ns: int) -> None:
        self.now_ns = now_ns
        for out in self.run.due(now_ns):
            assert out.due_ns <= now_ns
            self.listener.take(out.packet, now_ns)
        if self.run.ended is not None:
            self.ended_ns = self.ended_ns or now_ns

    def supply(self, first: int, count: int, now_ns: int) -> None:
        self.now_ns = max(self.now_ns, now_ns)
        self.run.supply(frames(first, count), now_ns)


def test_stored_sound_leaves_at_its_due_instants_with_its_blocks_ahead() -> None:
    air = Air()
    air.supply(START.index0, 23, 99 * S)
    air.to(200 * S)
    sound = air.listener.sound
    assert [(i, at_ns) for i, at_ns, _, _ in sound] == [
        (START.index0 + n, START.start_ns + n * 20 * MS) for n in range(23)
    ]
    assert [payload for _, _, _, payload in sound] == [opus(START.index0 + n) for n in range(23)]
    assert [h.timestamp for _, _, h, _ in sound] == [(START.timestamp0 + n * 960) % 2**32 for n in range(23)]
    assert [h.marker for _, _, h, _ in sound] == [True] + [False] * 22
    assert [(g, before, len(hashes)) for g, before, hashes in air.listener.blocks] == [
        (0, 0, 5),
        (1, 5, 5),
        (2, 10, 5),
        (3, 15, 5),
        (4, 20, 3),
    ]
    assert air.listener.all_covered()
    assert (air.run.ended, air.run.next_index, air.run.next_due_ns()) == ("end", START.end_index, None)
    assert air.now_ns >= START.start_ns + 22 * 20 * MS


def test_live_sound_gets_its_blocks_behind() -> None:
    air = Air()
    for n in range(23):
        air.supply(START.index0 + n, 1, START.start_ns + n * 20 * MS - 1)
        air.to(START.start_ns + n * 20 * MS)
    assert [before for _, before, _ in air.listener.blocks] == [5, 10, 15, 20, 23]
    assert air.listener.all_covered()
    assert air.run.ended == "end"


def test_over_three_hours_no_frame_moves() -> None:
    start = replace(START, block_seed=b"", end_index=None, frame_samples=2880)
    run = AirRun(start, new_values())
    sent: list[int] = []
    for n in range(3 * 3_600 * 50 // 3):
        if n % 100 == 0:
            run.supply(Frames(start.broadcast_id, start.index0 + n, (b"x",) * 100), 0)
        due_ns = run.next_due_ns()
        assert due_ns == start.start_ns + n * 60 * MS
        assert run.due(due_ns - 1) == []
        sent += [parse_packet(out.packet)[0].sequence for out in run.due(due_ns)]
    assert sent == [(start.index0 + n) % 65_536 for n in range(3 * 3_600 * 50 // 3)]


def test_an_index_is_never_encrypted_twice() -> None:
    sealer = Sealer(SRTP, 7, PT_OPUS)
    header = sealer.header(5, 0)
    sealer.seal(5, header, b"one")
    for index in (5, 4):
        with pytest.raises(IndexReused):
            sealer.seal(index, sealer.header(index, 0), b"two")


def test_a_late_frame_is_sent_while_its_index_is_the_one_due_now_and_skipped_after() -> None:
    air = Air()
    air.supply(START.index0, 3, 0)
    at_ns = START.start_ns + 3 * 20 * MS
    air.to(at_ns + 19 * MS)
    assert air.listener.indices == [START.index0 + n for n in range(3)]
    air.supply(START.index0 + 3, 1, at_ns + 19 * MS)
    air.to(at_ns + 19 * MS)
    assert air.listener.sound[-1][:2] == (START.index0 + 3, at_ns + 19 * MS)
    air.to(at_ns + 40 * MS)  # index 4 was due 20 ms ago, index 5 is due now
    air.supply(START.index0 + 4, 3, at_ns + 41 * MS)
    air.to(at_ns + 60 * MS)
    assert [(i, at) for i, at, _, _ in air.listener.sound[4:]] == [
        (START.index0 + 5, at_ns + 41 * MS),
        (START.index0 + 6, at_ns + 60 * MS),
    ]
    assert (air.counters["frames_late"], air.counters["frames_skipped"]) == (1, 1)


def test_the_block_of_a_skipped_frame_covers_the_others_and_not_it() -> None:
    air = Air()
    air.supply(START.index0, 2, 0)
    air.supply(START.index0 + 3, 20, 0)
    air.to(200 * S)
    assert len(air.listener.indices) == 22
    assert air.listener.all_covered()
    assert air.listener.blocks[0][2][START.index0 + 2] == bytes(16)
    assert air.run.ended == "end"


def test_a_source_that_falls_silent_ends_the_run_after_two_seconds() -> None:
    air = Air(replace(START, end_index=None))
    air.supply(START.index0, 7, 0)
    silent_ns = START.start_ns + 7 * 20 * MS
    air.to(silent_ns + 2 * S)
    assert (air.run.ended, air.ended_ns) == ("starved", silent_ns + 2 * S)
    assert air.listener.all_covered()
    assert len(air.listener.indices) == 7


def test_a_source_that_never_comes_ends_the_run_too() -> None:
    air = Air()
    air.to(START.start_ns + 3 * S)
    assert air.listener.seen == set()
    assert air.run.ended == "starved"  # and none of its frames is said to have been sent or skipped
    endless = Air(replace(START, end_index=None))
    endless.to(START.start_ns + 2 * S)
    assert endless.run.ended == "starved"


def test_stop_sends_no_further_frame_but_covers_the_last() -> None:
    air = Air(replace(START, end_index=None))
    for n in range(8):  # live
        air.supply(START.index0 + n, 1, START.start_ns + n * 20 * MS - 1)
        air.to(START.start_ns + n * 20 * MS)
    air.supply(START.index0 + 8, 1, air.now_ns)
    air.run.stop()
    air.to(200 * S)
    assert (air.run.ended, len(air.listener.indices)) == ("stopped", 8)
    assert air.listener.all_covered()
    assert len(air.listener.blocks[-1][2]) == 3
    air.supply(START.index0 + 9, 5, air.now_ns)
    assert (air.run.buffered, air.run.due(300 * S)) == (0, [])


def test_a_process_that_slept_long_goes_on_with_the_present() -> None:
    air = Air(replace(START, end_index=None))
    air.supply(START.index0, 500, 0)
    air.to(START.start_ns + 1 * S)
    air.at(START.start_ns + 6 * S)
    assert air.listener.indices == [START.index0 + n for n in (*range(51), 300)]
    assert air.counters["frames_skipped"] == 249
    air.to(START.start_ns + 7 * S)
    assert air.listener.indices[52:] == [START.index0 + n for n in range(301, 351)]
    assert air.listener.all_covered()


def test_a_process_that_slept_a_little_catches_up_and_skips_nothing() -> None:
    air = Air(replace(START, end_index=None))
    air.supply(START.index0, 500, 0)
    air.to(START.start_ns + 1 * S)
    woke_ns = START.start_ns + 1 * S + MAX_LATE_NS
    rounds = 0
    while (due_ns := air.run.next_due_ns()) is not None and due_ns <= woke_ns:
        before = len(air.listener.indices)
        air.at(woke_ns)
        assert len(air.listener.indices) <= before + CATCH_UP_FRAMES
        rounds += 1
    assert rounds > 1
    assert air.listener.indices == [START.index0 + n for n in range(76)]
    assert air.counters["frames_skipped"] == 0


def test_one_that_is_always_too_late_skips_and_counts_and_never_falls_further_behind() -> None:
    air = Air(replace(START, end_index=None))
    air.supply(START.index0, 400, START.start_ns)
    now_ns = START.start_ns
    while air.run.next_index < START.index0 + 400:
        before = len(air.listener.indices)
        air.at(now_ns)
        now_ns += 25 * MS * (len(air.listener.indices) - before)  # a frame takes longer to send than to play
        assert now_ns - air.run.grid.due_ns(air.run.next_index) <= MAX_LATE_NS + CATCH_UP_FRAMES * 25 * MS
    assert len(air.listener.indices) + air.counters["frames_skipped"] == 400
    assert air.counters["frames_skipped"] > 50


def test_what_cannot_be_sent_is_refused_and_counted() -> None:
    air = Air(replace(START, end_index=None))
    air.supply(START.index0, MAX_AHEAD + 5, 0)
    assert (air.run.buffered, air.counters["frames_refused"]) == (MAX_AHEAD, 5)
    air.supply(START.index0, 1, 0)
    air.run.supply(Frames(START.broadcast_id, START.index0 + 1, (b"", bytes(MAX_OPUS_BYTES + 1))), 0)
    assert air.counters["frames_refused"] == 8


def test_a_start_that_no_order_could_describe_is_refused() -> None:
    for bad in (
        replace(START, frame_samples=480),
        replace(START, end_index=START.index0),
        replace(START, block_ssrc=START.ssrc),
        replace(START, block_frames=33),
        replace(START, block_frames=0),
        replace(START, block_seed=b"short"),
        replace(START, master_key=b"short"),
        replace(START, ssrc=1 << 32),
        replace(START, index0=1 << 48),
    ):
        with pytest.raises(ValueError, match=r"."):
            AirRun(bad, new_values())


def test_repair_gives_the_same_ciphertext() -> None:
    run = AirRun(START, new_values())
    run.supply(frames(START.index0, 23), 0)
    sent = [out.packet for n in range(6) for out in run.due(START.start_ns + n * 20 * MS)]
    sound = [p for p in sent if p[8:12] == START.ssrc.to_bytes(4, "big")]
    assert [run.rings[START.ssrc].get(START.index0 + n, 101 * S) for n in range(6)] == sound
    assert run.rings[START.block_ssrc].get(0, 101 * S) == sent[0]


def test_frames_sealed_with_their_block_are_what_they_are_one_by_one() -> None:
    start = replace(START, block_seed=b"")
    stored, live = AirRun(start, new_values()), AirRun(start, new_values())
    stored.supply(frames(start.index0, 23), 0)
    for n in range(23):
        at_ns = start.start_ns + n * 20 * MS
        live.supply(frames(start.index0 + n, 1), at_ns)
        assert stored.due(at_ns) == [replace(each, due_ns=at_ns) for each in live.due(at_ns)]


def test_what_was_sealed_ahead_and_skipped_is_not_sent() -> None:
    air = Air()
    air.supply(START.index0, 23, 0)
    air.to(START.start_ns + 20 * MS)  # two of the first block's five
    air.at(START.start_ns + 2 * 20 * MS + MAX_LATE_NS + 20 * MS)
    assert air.counters["frames_skipped"] == 21
    assert START.index0 + 2 not in air.listener.indices
    assert air.run.rings[START.ssrc].get(START.index0 + 2, air.now_ns) is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_supplied_whenever_every_frame_is_sent_once_in_its_time_and_covered(
    data: st.DataObject,
) -> None:
    signed = data.draw(st.booleans())
    start = START if signed else replace(START, block_seed=b"")
    air = Air(start)
    now_ns = start.start_ns - 50 * MS
    for _ in range(data.draw(st.integers(1, 25))):
        now_ns += data.draw(st.sampled_from([0, 1 * MS, 7 * MS, 20 * MS, 100 * MS, 3 * S]))
        match data.draw(st.sampled_from(["supply", "supply", "tick", "step", "stop?"])):
            case "supply":
                air.supply(start.index0 + data.draw(st.integers(-2, 25)), data.draw(st.integers(0, 8)), now_ns)
            case "tick":
                air.at(max(air.now_ns, now_ns))
            case "step":
                air.to(now_ns)
            case _:
                if data.draw(st.integers(0, 9)) == 0:
                    air.run.stop()
    air.to(now_ns + 100 * S)
    indices = air.listener.indices
    assert indices == sorted(set(indices))
    for index, at_ns, header, payload in air.listener.sound:
        assert at_ns >= air.run.grid.due_ns(index)
        assert (header.timestamp, payload) == (air.run.grid.timestamp(index), opus(index))
    assert air.run.ended is not None
    assert air.listener.all_covered() or not signed
    assert len(indices) == air.counters["frames_sent"]
    assert len(indices) + air.counters["frames_skipped"] == air.run.next_index - start.index0
