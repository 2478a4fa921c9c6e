"""Sound over links: the same bytes to all in order, and a link that does not keep up misses some of it."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air.link_sound import AT_ONCE, BACKLOG_BYTES, MAX_WAITING, LinkSound
from loa.broadcast.air.session import Session
from loa.codecs.link_media import MediaMessage
from tests.broadcast.air.sessions import Wire, session

ID = b"broadcast number"


class Hall:
    """Listeners, and what each of them has been sent."""

    def __init__(self, count: int) -> None:
        self.wires = [Wire() for _ in range(count)]
        self.listeners: set[Session] = {session(number, wire=wire) for number, wire in enumerate(self.wires)}
        self.counters: Counter[str] = Counter()
        self.sound = LinkSound(self.counters)

    def send(self, *packets: bytes) -> None:
        self.sound.send(ID, packets, self.listeners)

    @staticmethod
    async def settle() -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    def heard(self, number: int) -> list[bytes]:
        said = self.wires[number].said
        assert all(isinstance(message, MediaMessage) for message in said)
        return [packet for message in said if isinstance(message, MediaMessage) for packet in message.packets]


async def test_all_get_the_same_message() -> None:
    hall = Hall(3)
    hall.send(b"frame", b"block")
    await hall.settle()
    assert [wire.said for wire in hall.wires] == [[MediaMessage((b"frame", b"block"))]] * 3
    assert hall.wires[0].sent[0] is hall.wires[2].sent[0], "encoded once"
    assert hall.counters == {"link_frames_sent": 6, "link_frames_dropped": 0}


async def test_what_comes_while_a_message_goes_to_many_is_the_next_message() -> None:
    hall = Hall(2 * AT_ONCE)
    hall.send(b"1")
    await asyncio.sleep(0)
    hall.send(b"2")
    hall.send(b"3")
    await hall.settle()
    assert {tuple(wire.said) for wire in hall.wires} == {(MediaMessage((b"1",)), MediaMessage((b"2", b"3")))}


async def test_a_link_that_does_not_keep_up_misses_frames_and_the_others_do_not() -> None:
    hall = Hall(2)
    hall.wires[0].unsent_bytes = BACKLOG_BYTES + 1
    hall.send(b"1")
    await hall.settle()
    hall.wires[0].unsent_bytes = BACKLOG_BYTES
    hall.send(b"2")
    await hall.settle()
    assert (hall.heard(0), hall.heard(1)) == ([b"2"], [b"1", b"2"])
    assert hall.counters == {"link_frames_sent": 3, "link_frames_dropped": 1}
    assert all(each.live for each in hall.listeners)


async def test_who_goes_and_comes_meanwhile_is_left_out_and_taken_in() -> None:
    hall = Hall(2)
    first = min(hall.listeners, key=lambda each: each.channel_id)
    hall.listeners.remove(first)
    hall.send(b"1")
    await hall.settle()
    hall.listeners.add(first)
    hall.wires[1].gone = True
    hall.send(b"2")
    await hall.settle()
    assert (hall.heard(0), hall.heard(1)) == ([b"2"], [b"1"])
    assert sum(each.live for each in hall.listeners) == 1


async def test_what_waits_is_bounded() -> None:
    hall = Hall(1)
    hall.send(*(number.to_bytes(2, "big") for number in range(MAX_WAITING + 5)))
    await hall.settle()
    assert hall.heard(0) == [number.to_bytes(2, "big") for number in range(5, MAX_WAITING + 5)]
    assert hall.counters["link_frames_dropped"] == 5


@given(sizes=st.lists(st.lists(st.integers(1, 1_500), max_size=80), max_size=6))
def test_nothing_is_lost_or_changes_its_place(sizes: list[list[int]]) -> None:
    packets = [[bytes((turn,)) * size for size in some] for turn, some in enumerate(sizes)]

    async def send() -> list[bytes]:
        hall = Hall(1)
        for some in packets:
            hall.send(*some)
            await hall.settle()
        return hall.heard(0)

    assert asyncio.run(send()) == [packet for some in packets for packet in some]
