"""Commands and events over a byte stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air import media_messages, media_port
from loa.broadcast.air.media_messages import MAX_MESSAGE_BYTES, MessageStream
from loa.broadcast.air.media_port import Command, Counters, Event, Frames, Ready
from loa.errors import WireError

ids = st.binary(min_size=8, max_size=16)
id_tuples = st.lists(ids, max_size=5).map(tuple)
uints = st.integers(0, (1 << 48) - 1)
addresses = st.tuples(st.text(max_size=9), uints)
routes = st.builds(
    media_port.GroupRoute,
    st.text(max_size=9),
    uints,
    uints,
    st.text(max_size=9),
    st.booleans(),
    st.text(max_size=9),
)
messages: st.SearchStrategy[Command | Event] = st.one_of(
    st.builds(media_port.AddChannel, ids, ids),
    st.builds(media_port.DropChannel, ids),
    st.builds(
        media_port.StartAir,
        ids,
        *[uints] * 7,
        ids,
        ids,
        ids,
        uints,
        st.none() | uints,
    ),
    st.builds(media_port.Audience, ids, id_tuples, id_tuples),
    st.builds(media_port.UseGroups, st.lists(routes, max_size=3).map(tuple)),
    st.builds(media_port.Groups, ids, st.lists(addresses, max_size=3).map(tuple)),
    st.builds(
        media_port.UsePlain,
        st.lists(st.builds(media_port.PlainOutput, ids, routes, ids, ids), max_size=3).map(tuple),
    ),
    st.builds(media_port.Carry, ids, ids),
    st.builds(media_port.Frames, ids, uints, id_tuples),
    st.builds(media_port.StopAir, ids),
    st.builds(media_port.Tap, ids, st.booleans()),
    st.builds(media_port.SendOrder, ids, ids, id_tuples),
    st.builds(media_port.SettleOrder, ids, id_tuples),
    st.builds(media_port.AskCounters),
    st.builds(media_port.Shutdown),
    st.builds(media_port.Ready, ids, addresses, uints),
    st.builds(media_port.ChannelBound, ids, addresses),
    st.builds(media_port.ChannelUnbound, ids),
    st.builds(media_port.ChannelLoud, ids),
    st.builds(media_port.AirProgress, ids, uints, uints, uints, uints),
    st.builds(media_port.AirEnded, ids, uints, uints, st.text(max_size=9), uints),
    st.builds(media_port.Tapped, ids, id_tuples),
    st.builds(media_port.Counters, st.dictionaries(st.text(max_size=9), uints, max_size=5)),
)


@given(st.lists(messages, max_size=6), st.integers(1, 50))
def test_messages_survive_a_stream_cut_anywhere(sent: list[Command | Event], step: int) -> None:
    stream = b"".join(media_messages.encode(message) for message in sent)
    reader, got = MessageStream(), []
    for at in range(0, len(stream), step):
        got += list(reader.feed(stream[at : at + step]))
    assert got == sent


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_an_error_and_nothing_else(body: bytes) -> None:
    try:
        message = media_messages.decode(body)
    except WireError:
        return
    assert isinstance(message, Command | Event)


def test_a_large_hand_over_of_frames_goes_in_one_message() -> None:
    frames = Frames(bytes(16), 5, (bytes(240),) * 250)
    assert list(MessageStream().feed(media_messages.encode(frames))) == [frames]


def test_messages_are_bounded() -> None:
    with pytest.raises(ValueError, match="bytes"):
        media_messages.encode(Frames(bytes(16), 0, (bytes(MAX_MESSAGE_BYTES),)))
    with pytest.raises(WireError, match="bytes"):
        list(MessageStream().feed((MAX_MESSAGE_BYTES + 1).to_bytes(4, "big")))


def test_counters_and_addresses_keep_their_types() -> None:
    for message in (Counters({"a": 1}), Ready(bytes(8), ("::1", 5), -3)):
        [got] = MessageStream().feed(media_messages.encode(message))
        assert got == message
