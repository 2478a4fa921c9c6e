"""Unprotected RTP: one stream without a seam through silence and pre-emption, and its announcements."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air.media_port import Carry, Frames, GroupRoute, PlainOutput, StopAir, UsePlain
from loa.broadcast.air.plain_outputs import ANNOUNCE_NS
from loa.broadcast.air.plain_stream import PlainStream
from loa.codecs.rtp import RtpHeader, parse_packet
from tests.broadcast.air.test_media_core import MS, START, Bench, S, frames

HALL = GroupRoute("239.1.0.1", 5004, 8, "", False, "")
SAP = ("239.255.255.255", 9875)
OUTPUT = PlainOutput(b"area", HALL, b"it is there", b"it is gone")
LOWER = START
HIGHER = replace(START, broadcast_id=b"h" * 16, ssrc=21, block_ssrc=22, start_ns=START.start_ns + 207 * MS)


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.do(UsePlain((OUTPUT,)))
    return made


def heard(bench: Bench, route: GroupRoute = HALL) -> list[tuple[int, RtpHeader, bytes]]:
    return [(at_ns, *parse_packet(packet)) for at_ns, packet in bench.heard.get(route.address, [])]


def test_a_broadcast_goes_out_as_it_was_stored(bench: Bench) -> None:
    bench.do(LOWER, Carry(b"area", START.broadcast_id), frames(0, 5))
    bench.to(START.start_ns + S)
    packets = heard(bench)
    assert [payload for _, _, payload in packets] == [b"opus %d" % n for n in range(5)]
    assert [at_ns for at_ns, _, _ in packets] == [START.start_ns + n * 20 * MS for n in range(5)]
    headers = [header for _, header, _ in packets]
    assert [header.marker for header in headers] == [True, False, False, False, False]
    assert len({header.ssrc for header in headers}) == 1
    assert headers[0].ssrc not in (START.ssrc, START.block_ssrc)
    assert [(header.sequence - headers[0].sequence) % 2**16 for header in headers] == list(range(5))
    assert [(header.timestamp - headers[0].timestamp) % 2**32 for header in headers] == [n * 960 for n in range(5)]


def test_what_is_not_carried_does_not_go_out(bench: Bench) -> None:
    bench.do(LOWER, HIGHER, Carry(b"area", HIGHER.broadcast_id), frames(0, 5), frames(0, 5, HIGHER.broadcast_id))
    bench.to(START.start_ns + S)
    assert len(heard(bench)) == 5
    bench.do(Carry(b"elsewhere", START.broadcast_id))
    assert bench.core.counters["commands_refused"] == 1


def test_a_pre_emption_changes_over_at_a_frame_and_back_and_the_stream_goes_on(bench: Bench) -> None:
    """The higher one begins 7 ms after a frame of the lower one, and ends 93 ms before the lower one goes on."""
    other = Frames(HIGHER.broadcast_id, 0, tuple(b"high %d" % n for n in range(10)))
    bench.do(LOWER, Carry(b"area", START.broadcast_id), frames(0, 30))
    bench.to(START.start_ns + 90 * MS)
    bench.do(HIGHER, Carry(b"area", HIGHER.broadcast_id), other)
    bench.to(START.start_ns + 480 * MS)
    bench.do(Carry(b"area", START.broadcast_id))
    bench.to(START.start_ns + S)
    packets = heard(bench)
    payloads = [payload for _, _, payload in packets]
    assert payloads == [
        *(b"opus %d" % n for n in range(11)),
        *(b"high %d" % n for n in range(10)),
        *(b"opus %d" % n for n in range(25, 30)),
    ]
    headers = [header for _, header, _ in packets]
    assert [(header.sequence - headers[0].sequence) % 2**16 for header in headers] == list(range(len(headers)))
    assert len({header.ssrc for header in headers}) == 1
    assert [n for n, header in enumerate(headers) if header.marker] == [0, 11, 21]
    at = [(header.timestamp - headers[0].timestamp) % 2**32 for header in headers]
    assert at[:11] == [n * 960 for n in range(11)]
    assert at[11:21] == [(11 + n) * 960 for n in range(10)], "13 ms late, since a frame is not cut"
    assert at[21:] == [n * 960 for n in range(25, 30)], "and after a silence in time again"


def test_silence_is_as_long_in_the_stream_as_it_was(bench: Bench) -> None:
    bench.do(LOWER, Carry(b"area", START.broadcast_id), frames(0, 3))
    bench.to(START.start_ns + 100 * MS)
    bench.do(StopAir(START.broadcast_id), Carry(b"area", b""))
    later = replace(HIGHER, start_ns=START.start_ns + 10 * S)
    bench.do(later, Carry(b"area", later.broadcast_id), frames(0, 2, later.broadcast_id))
    bench.to(START.start_ns + 11 * S)
    headers = [header for _, header, _ in heard(bench)]
    assert [(header.timestamp - headers[0].timestamp) % 2**32 for header in headers] == [
        0,
        960,
        1920,
        480_000,
        480_960,
    ]
    assert [header.marker for header in headers] == [True, False, False, True, False]


def test_frames_that_were_never_there_are_a_gap_in_time_and_none_in_the_sequence(bench: Bench) -> None:
    bench.do(LOWER, Carry(b"area", START.broadcast_id), frames(0, 2), frames(4, 2))
    bench.to(START.start_ns + S)
    headers = [header for _, header, _ in heard(bench)]
    assert [(header.timestamp - headers[0].timestamp) // 960 for header in headers] == [0, 1, 4, 5]
    assert [(header.sequence - headers[0].sequence) % 2**16 for header in headers] == [0, 1, 2, 3]
    assert [header.marker for header in headers] == [True, False, True, False]


def test_a_session_is_announced_at_once_again_and_told_to_be_over(bench: Bench) -> None:
    bench.to(3 * ANNOUNCE_NS)
    told = bench.heard[SAP]
    assert {packet for _, packet in told} == {b"it is there"}
    instants = [at_ns for at_ns, _ in told]
    assert instants[0] == 0
    waits = [later - earlier for earlier, later in itertools.pairwise(instants)]
    assert waits
    assert all(ANNOUNCE_NS * 2 // 3 - S <= wait <= ANNOUNCE_NS * 4 // 3 + S for wait in waits)
    bench.do(UsePlain(()))
    assert bench.heard[SAP][-1] == (bench.now_ns, b"it is gone")
    assert bench.core.next_due_ns() is None


def test_what_stays_as_it_is_goes_on_and_what_changes_is_announced_anew(bench: Bench) -> None:
    bench.do(LOWER, Carry(b"area", START.broadcast_id), frames(0, 20))
    bench.to(START.start_ns + 90 * MS)
    other = OUTPUT._replace(output_id=b"next", route=HALL._replace(port=5006))
    bench.do(UsePlain((OUTPUT, other)))
    bench.to(START.start_ns + 190 * MS)
    moved = OUTPUT._replace(route=HALL._replace(host="239.1.0.9"), announcement=b"it is elsewhere")
    bench.do(UsePlain((moved, other)))
    bench.to(START.start_ns + S)
    assert len({header.ssrc for _, header, _ in heard(bench)}) == 1
    assert len(heard(bench)) == len(heard(bench, moved.route)) == 10
    told = [packet for at_ns, packet in bench.heard[SAP] if at_ns > START.start_ns]
    assert told == [b"it is there", b"it is gone", b"it is elsewhere"]


def test_at_the_end_every_session_is_told_to_be_over(bench: Bench) -> None:
    assert [batch.packet for batch in bench.core.farewell(0)] == [b"it is gone"]


@pytest.mark.parametrize("host", ["192.0.2.1", "239.255.255.255", "224.0.0.1"])
def test_an_output_to_no_group_is_refused_and_counted(bench: Bench, host: str) -> None:
    bench.do(UsePlain((OUTPUT, OUTPUT._replace(output_id=b"bad", route=HALL._replace(host=host)), OUTPUT)))
    assert bench.core.counters["commands_refused"] == 2
    assert bench.core.counters["plain_outputs"] == 1


runs = st.lists(
    st.tuples(
        st.integers(0, 60_000_000), st.integers(1, 5), st.integers(0, 3), st.sampled_from((960, 1_920, 2_880))
    ),
    max_size=12,
)


@given(runs, st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1))
def test_time_and_sequence_only_go_forward_whatever_is_carried(
    broadcasts: list[tuple[int, int, int, int]], sequence0: int, timestamp0: int
) -> None:
    """Broadcasts one after the other, each with a silence before it, skipped frames in it, and its own length of
    frames: no two packets overlap in time, and none is missing in the sequence."""
    stream = PlainStream(1, sequence0, timestamp0)
    now_ns = 0
    last_end = sent = 0
    for silence_ns, count, skipped, samples in broadcasts:
        now_ns += silence_ns
        carried = object()
        for n in range(count):
            index = n * (skipped + 1)
            header = parse_packet(stream.packet(carried, index, now_ns, samples, b"x"))[0]
            at = (header.timestamp - timestamp0) % 2**32
            assert at >= last_end
            assert (header.sequence - sequence0) % 2**16 == sent
            last_end, sent = at + samples, sent + 1
            now_ns += (skipped + 1) * samples * 62_500 // 3
