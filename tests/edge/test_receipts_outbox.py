"""Receipts wait until they are acknowledged, and are true."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.codecs.link_wire import Receipt, Result
from loa.edge.speaker.receipts_outbox import ACK_WAIT_NS, MAX_RECEIPTS, ReceiptsOutbox
from loa.errors import ConfigError, StoreError
from loa.model import ReceiptState

A, B = b"a" * 16, b"b" * 16
ACCEPTED, REFUSED, STARTED, FINISHED = (
    ReceiptState.ACCEPTED,
    ReceiptState.REFUSED,
    ReceiptState.STARTED,
    ReceiptState.FINISHED,
)


class Disk:
    """What was saved last."""

    def __init__(self) -> None:
        self.saved: bytes | None = None

    def save(self, data: bytes) -> None:
        self.saved = data

    def outbox(self) -> ReceiptsOutbox:
        return ReceiptsOutbox(self.save, self.saved)


def receipt(order_id: bytes, state: ReceiptState) -> Receipt:
    reason = "expired" if state == REFUSED else ""
    return Receipt(
        order_id, state, 5, reason=reason, result=Result(1, 0, 0, 0, 0, "end") if state == FINISHED else None
    )


def test_all_states_of_an_order_arrive_and_outlive_a_restart() -> None:
    disk = Disk()
    outbox = disk.outbox()
    for state in (ACCEPTED, STARTED, FINISHED):
        assert outbox.put(receipt(A, state))
    assert outbox.take_unsent(0) == [receipt(A, state) for state in (ACCEPTED, STARTED, FINISHED)]
    assert disk.outbox().take_unsent(0) == [receipt(A, state) for state in (ACCEPTED, STARTED, FINISHED)]


def test_what_is_acknowledged_is_gone_for_good() -> None:
    disk = Disk()
    outbox = disk.outbox()
    outbox.put(receipt(A, ACCEPTED))
    outbox.put(receipt(A, STARTED))
    outbox.acked([(A, ACCEPTED), (B, FINISHED)])
    outbox.new_link()
    assert outbox.take_unsent(0) == [receipt(A, STARTED)]
    assert disk.outbox().take_unsent(0) == [receipt(A, STARTED)]


def test_each_receipt_is_sent_once_on_a_link() -> None:
    outbox = Disk().outbox()
    outbox.put(receipt(A, ACCEPTED))
    assert len(outbox.take_unsent(0)) == 1
    assert outbox.take_unsent(0) == []
    outbox.new_link()
    assert len(outbox.take_unsent(0)) == 1


def test_the_next_receipts_go_when_the_last_are_acknowledged_or_are_not_for_long() -> None:
    outbox = Disk().outbox()
    outbox.put(receipt(A, ACCEPTED))
    outbox.put(receipt(B, ACCEPTED))
    assert outbox.take_unsent(7) == [receipt(A, ACCEPTED), receipt(B, ACCEPTED)]
    outbox.put(receipt(A, STARTED))
    outbox.acked([(A, ACCEPTED)])
    assert outbox.take_unsent(8) == []
    outbox.acked([(B, ACCEPTED)])
    outbox.put(receipt(A, FINISHED))
    assert outbox.take_unsent(9) == [receipt(A, STARTED), receipt(A, FINISHED)]
    outbox.put(receipt(B, STARTED))
    assert outbox.take_unsent(8 + ACK_WAIT_NS) == []
    assert outbox.take_unsent(9 + ACK_WAIT_NS) == [receipt(B, STARTED)], "the last could not be stored"
    outbox.new_link()
    assert outbox.take_unsent(9 + ACK_WAIT_NS) == [receipt(A, STARTED), receipt(A, FINISHED), receipt(B, STARTED)]


def test_states_only_go_up() -> None:
    outbox = Disk().outbox()
    outbox.put(receipt(A, STARTED))
    assert not outbox.put(receipt(A, ACCEPTED))
    assert not outbox.put(receipt(A, REFUSED))
    outbox.acked([(A, STARTED)])
    assert not outbox.put(receipt(A, ACCEPTED))


def test_a_refused_name_may_be_accepted_and_an_accepted_one_is_never_refused() -> None:
    outbox = Disk().outbox()
    outbox.put(receipt(A, REFUSED))
    assert outbox.put(receipt(A, ACCEPTED))
    assert outbox.take_unsent(0) == [receipt(A, ACCEPTED)]
    outbox.acked([(A, ACCEPTED)])
    assert not outbox.put(receipt(A, REFUSED))


def test_a_repeated_order_is_answered_with_the_same_receipt_once_on_each_link() -> None:
    outbox = Disk().outbox()
    outbox.put(receipt(A, ACCEPTED))
    outbox.take_unsent(0)
    assert outbox.again(A)
    assert outbox.take_unsent(0) == [], "it is on its way"
    outbox.acked([(A, ACCEPTED)])
    outbox.new_link()
    assert outbox.take_unsent(0) == []
    for expected in ([receipt(A, ACCEPTED)], []):
        assert outbox.again(A)
        assert outbox.take_unsent(0) == expected
    assert not outbox.again(B)


def test_refusals_do_not_touch_the_disk_and_go_first() -> None:
    disk = Disk()
    outbox = disk.outbox()
    outbox.put(receipt(A, REFUSED))
    assert disk.saved is None
    for n in range(MAX_RECEIPTS):
        outbox.put(receipt(n.to_bytes(16, "big"), ReceiptState.FINISHED if n == 5 else ACCEPTED))
    assert len(outbox) == MAX_RECEIPTS
    assert receipt(A, REFUSED) not in outbox.take_unsent(0)
    outbox.put(receipt(B, ACCEPTED))
    outbox.new_link()
    waiting = outbox.take_unsent(0)
    assert len(waiting) == MAX_RECEIPTS
    assert not [each for each in waiting if each.state == FINISHED]
    assert len(disk.outbox()) == MAX_RECEIPTS


def test_what_cannot_be_written_down_still_waits() -> None:
    def full(data: bytes) -> None:
        raise StoreError("the disk is full")

    outbox = ReceiptsOutbox(full)
    with pytest.raises(StoreError):
        outbox.put(receipt(A, ACCEPTED))
    assert outbox.take_unsent(0) == [receipt(A, ACCEPTED)]


def test_a_damaged_file_is_an_error() -> None:
    with pytest.raises(ConfigError):
        ReceiptsOutbox(Disk().save, b"\xff")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from([ACCEPTED, REFUSED, STARTED, FINISHED]), st.booleans()))
)
def test_the_disk_always_holds_what_waits(steps: list[tuple[int, ReceiptState, bool]]) -> None:
    disk = Disk()
    outbox = disk.outbox()
    for order, state, ack in steps:
        order_id = order.to_bytes(16, "big")
        if ack:
            outbox.acked([(order_id, int(state))])
        else:
            outbox.put(receipt(order_id, state))
    outbox.new_link()
    waiting = [each for each in outbox.take_unsent(0) if each.state != REFUSED]
    assert disk.outbox().take_unsent(0) == waiting
