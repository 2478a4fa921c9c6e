import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs import canonical, link_wire
from loa.codecs.canonical import Value
from loa.codecs.group_wire import GroupMessage, Hearing
from loa.codecs.link_media import ClockProbe, ClockReply, DoorMessage, MediaMessage
from loa.codecs.link_wire import (
    MAX_MESSAGE_BYTES,
    MAX_RECEIPTS,
    Bye,
    Hello,
    Message,
    OrderMessage,
    Proof,
    Receipt,
    ReceiptsAck,
    ReceiptsMessage,
    Result,
    SecretMessage,
    StatementMessage,
    Status,
    WelcomeMessage,
)
from loa.errors import WireError
from loa.model import ReceiptState

i63 = st.integers(0, 2**63 - 1)


def octets(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


results = st.builds(Result, i63, i63, i63, i63, i63, st.text(max_size=32))
receipts = st.one_of(
    st.builds(Receipt, octets(16), st.sampled_from((ReceiptState.RECEIVED, ReceiptState.ACCEPTED)), i63),
    st.builds(Receipt, octets(16), st.just(ReceiptState.REFUSED), i63, reason=st.text(max_size=32)),
    st.builds(
        Receipt,
        octets(16),
        st.just(ReceiptState.STARTED),
        i63,
        presented_ns=st.integers(-(2**63) + 1, 2**63 - 1),
        index=st.integers(0, 2**48 - 1),
        error_ns=i63,
    ),
    st.builds(Receipt, octets(16), st.just(ReceiptState.FINISHED), i63, result=st.none() | results),
)
blobs = st.binary(max_size=400)
instants = st.integers(-(2**63), 2**63 - 1)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Hello,
        octets(16),
        octets(32),
        octets(32),
        i63,
        st.text(max_size=64),
        st.integers(0, 255),
    ),
    st.builds(WelcomeMessage, blobs, blobs, st.lists(blobs, max_size=2).map(tuple)),
    st.builds(Proof, octets(64)),
    st.builds(OrderMessage, blobs),
    st.builds(SecretMessage, octets(8), st.integers(0, 2**32 - 1), octets(48)),
    st.builds(StatementMessage, blobs),
    st.builds(ReceiptsMessage, st.lists(receipts, max_size=5).map(tuple)),
    st.builds(ReceiptsAck, st.lists(st.tuples(octets(16), st.integers(1, 5)), max_size=5).map(tuple)),
    st.builds(
        Status,
        i63,
        st.integers(-1_000_000, 1_000_000),
        st.just(b"") | octets(16),
        *[i63] * 9,
        st.integers(0, 100),
    ),
    st.builds(
        GroupMessage,
        st.integers(0, 2**32 - 1),
        st.sampled_from(("232.1.2.3", "239.0.0.1", "ff35::1234")),
        st.integers(1, 65_535),
        st.sampled_from(("", "192.0.2.1", "2001:db8::1")),
    ),
    st.builds(GroupMessage, st.integers(0, 2**32 - 1)),
    st.builds(Hearing, st.integers(0, 2**32 - 1), st.booleans()),
    st.builds(Bye, st.text(max_size=32), st.text(max_size=256)),
    st.builds(DoorMessage, st.booleans()),
    st.builds(MediaMessage, st.lists(blobs, min_size=1, max_size=64).map(tuple)),
    st.builds(ClockProbe, instants),
    st.builds(ClockReply, octets(8), instants, instants, instants),
)
RECEIVED: dict[int, Value] = {1: bytes(16), 2: 1, 3: 0}
NO_FRAMES: dict[int, Value] = {1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: "end"}


@given(messages)
def test_a_message_decodes_to_itself(message: Message) -> None:
    assert link_wire.decode(link_wire.encode(message)) == message


@given(messages, st.data())
def test_a_message_with_a_field_too_many_or_too_few_is_malformed(message: Message, data: st.DataObject) -> None:
    value = canonical.decode(link_wire.encode(message), max_bytes=MAX_MESSAGE_BYTES)
    assert isinstance(value, dict)
    with pytest.raises(WireError, match="unknown field 14"):
        link_wire.decode(canonical.encode({**value, 14: 0}))
    del value[data.draw(st.sampled_from(sorted(value)))]
    with pytest.raises(WireError):
        link_wire.decode(canonical.encode(value))


def test_sixty_four_full_receipts_fit_and_sixty_five_are_malformed() -> None:
    counts = 2**63 - 1
    full = Receipt(
        bytes(16),
        ReceiptState.FINISHED,
        counts,
        result=Result(counts, counts, counts, counts, counts, "p" * 32),
    )
    message = ReceiptsMessage((full,) * MAX_RECEIPTS)
    assert link_wire.decode(link_wire.encode(message)) == message
    with pytest.raises(WireError, match="65 values"):
        link_wire.decode(link_wire.encode(ReceiptsMessage((full,) * 65)))


def test_a_message_too_large_for_the_link_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="link message of"):
        link_wire.encode(StatementMessage(bytes(MAX_MESSAGE_BYTES)))
    with pytest.raises(WireError, match="65537 bytes"):
        link_wire.decode(bytes(MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize(
    "value",
    [
        {**RECEIVED, 2: 0},
        {**RECEIVED, 2: 6},
        {**RECEIVED, 2: 2**64 - 1},
        {**RECEIVED, 3: 2**63},
        {**RECEIVED, 4: "reason"},
        {**RECEIVED, 2: 3},
        {**RECEIVED, 2: 4, 5: 0, 6: 2**48, 7: 0},
        {**RECEIVED, 2: 4, 5: -(2**63), 6: 0, 7: 0},
        {**RECEIVED, 2: 4, 6: 0, 7: 0},
        {**RECEIVED, 8: {**NO_FRAMES}},
        {**RECEIVED, 2: 5, 8: {**NO_FRAMES, 7: 0}},
        {**RECEIVED, 2: 5, 8: {**NO_FRAMES, 1: 2**63}},
        {**RECEIVED, 2: 5, 8: []},
        [],
        0,
    ],
)
def test_a_receipt_holds_what_its_state_has_and_nothing_else(value: Value) -> None:
    with pytest.raises(WireError):
        link_wire.decode(canonical.encode({0: ReceiptsMessage.TYPE, 1: [value]}))


def test_a_result_is_told_only_when_it_is_finished() -> None:
    told = Receipt(bytes(16), ReceiptState.FINISHED, 0, result=Result(1, 0, 0, 0, 0, "end"))
    early = dataclasses.replace(told, state=ReceiptState.ACCEPTED)
    sent = link_wire.decode(link_wire.encode(ReceiptsMessage((told, early))))
    assert sent == ReceiptsMessage((told, dataclasses.replace(early, result=None)))


@pytest.mark.parametrize(
    "message",
    [
        Hello(bytes(15), bytes(32), bytes(32), 0, ""),
        Hello(bytes(16), bytes(31), bytes(32), 0, ""),
        Hello(bytes(16), bytes(32), bytes(33), 0, ""),
        Hello(bytes(16), bytes(32), bytes(32), 0, "x" * 65),
        Hello(bytes(16), bytes(32), bytes(32), 2**63, ""),
        WelcomeMessage(b"", b"", (b"",) * 3),
        Proof(bytes(63)),
        SecretMessage(bytes(8), 0, bytes(47)),
        SecretMessage(bytes(8), 2**32, bytes(48)),
        ReceiptsAck(((bytes(16), 0),)),
        ReceiptsAck(((bytes(16), 6),)),
        ReceiptsAck(((bytes(15), 1),)),
        Status(-1, 0),
        Status(0, 1_000_001),
        Status(0, 0, bytes(8)),
        Status(0, 0, volume=101),
        Bye("r" * 33),
        Bye("", "d" * 257),
        MediaMessage(()),
        MediaMessage((b"",) * 65),
        MediaMessage((b"", bytes(1501))),
        ClockProbe(2**63),
        ClockReply(bytes(7), 0, 0, 0),
        ClockReply(bytes(8), 0, 2**63, 0),
    ],
)
def test_a_message_out_of_bounds_is_malformed(message: Message) -> None:
    with pytest.raises(WireError):
        link_wire.decode(link_wire.encode(message))


@pytest.mark.parametrize(
    "value", [0, [], "", {}, {1: 0}, {0: 0}, {0: 4}, {0: 99}, {0: "3"}, {0: b"\x03", 1: bytes(64)}]
)
def test_what_has_no_known_type_is_malformed(value: Any) -> None:
    with pytest.raises(WireError):
        link_wire.decode(canonical.encode(value))


def test_every_type_has_its_own_number() -> None:
    types = [cls.TYPE for cls in Message.__args__]
    assert sorted(types) == list(range(1, 17))
