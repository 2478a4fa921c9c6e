"""The endpoint's half of the link against an honest server, and against every dishonest welcome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loa.codecs import canonical, link_wire
from loa.codecs.authority import ALL_RIGHTS, Right
from loa.codecs.link_wire import Bye, OrderMessage, Receipt, ReceiptsAck, ReceiptsMessage, StatementMessage, Status
from loa.codecs.statement_wire import Beacon
from loa.edge.speaker.identity import Identity
from loa.edge.speaker.link_session import (
    BeaconReceived,
    Closed,
    KeyListChanged,
    LinkSession,
    OrderArrived,
    PlacementChanged,
    ReceiptsAcked,
    SecretReceived,
    Welcomed,
)
from loa.errors import LinkError
from loa.model import ReceiptState
from tests.edge.origin import EPOCH, SECRET, UTC_S, Authorities, ServerLink, key


class Pair:
    """A session and its server."""

    def __init__(self, folder: Path, key_list: bytes | None = None) -> None:
        self.by = Authorities()
        self.me: Identity = self.by.enrolled(folder, key_list)
        self.session = LinkSession(self.me, "test")
        self.server = ServerLink(self.by, self.session.hello())

    def up(self) -> Welcomed:
        events = self.session.receive(self.server.welcome(), 0)
        assert isinstance(events[-1], Welcomed)
        (proof,) = self.session.take_outgoing()
        assert self.server.take_proof(proof) == events[-1].keys
        return events[-1]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_an_honest_handshake_agrees_on_keys_and_brings_the_secret(pair: Pair) -> None:
    welcomed = pair.up()
    assert welcomed.channel_id == b"channel1"
    assert pair.session.up
    (event,) = pair.session.receive(pair.server.secret(serial=4), 0)
    assert event == SecretReceived(EPOCH, 4, SECRET)


def test_messages_of_the_server_become_events(pair: Pair) -> None:
    pair.up()
    take = pair.session.receive
    beacon = Beacon(EPOCH, 5, UTC_S * 10**9)
    placement = pair.by.placement(serial=2)
    assert take(link_wire.encode(OrderMessage(b"bundle")), 0) == [OrderArrived(b"bundle")]
    assert take(link_wire.encode(StatementMessage(beacon.seal(pair.by.order_key))), 0) == [BeaconReceived(beacon)]
    assert take(link_wire.encode(StatementMessage(placement)), 0) == [PlacementChanged(placement)]
    assert take(link_wire.encode(StatementMessage(pair.by.key_list(2))), 0) == [KeyListChanged()]
    assert take(link_wire.encode(ReceiptsAck(((b"o" * 16, 2),))), 0) == [ReceiptsAcked(((b"o" * 16, 2),))]
    assert take(link_wire.encode(Bye("replaced")), 0) == [Closed("replaced", "", by_server=True)]
    assert not pair.session.up


def test_a_newer_key_list_is_taken_before_the_welcome_is_checked(tmp_path: Path) -> None:
    pair = Pair(tmp_path, Authorities().key_list(expires_s=UTC_S - 1))
    events = pair.session.receive(pair.server.welcome(key_list=pair.by.key_list(2)), 0)
    assert isinstance(events[0], KeyListChanged)
    assert isinstance(events[1], Welcomed)
    assert pair.me.authority.key_list.version == 2


def test_a_delegate_of_this_place_may_welcome(pair: Pair) -> None:
    relay = key("relay")
    chain = (pair.by.certificate(relay, pair.me.placement.areas[0], rights=Right.LINK),)
    assert isinstance(pair.session.receive(pair.server.welcome(signer=relay, chain=chain), 0)[0], Welcomed)


_BAD: dict[str, Callable[[Pair], bytes]] = {
    "another hello": lambda p: p.server.welcome(hello_hash=b"h" * 32),
    "another endpoint": lambda p: p.server.welcome(endpoint_id=b"e" * 16),
    "a stranger's key": lambda p: p.server.welcome(signer=key("stranger")),
    "a list of another root": lambda p: p.server.welcome(key_list=p.by.key_list(2, root=key("stranger"))),
    "a list that has expired": lambda p: p.server.welcome(key_list=p.by.key_list(2, expires_s=UTC_S - 1)),
    "a list that revokes the signer": lambda p: p.server.welcome(
        key_list=p.by.key_list(2, revoked=(p.by.order_key.key_id,))
    ),
    "a key without the LINK right": lambda p: p.server.welcome(
        key_list=p.by.key_list(2, rights=ALL_RIGHTS & ~Right.LINK)
    ),
    "a key that agrees on nothing": lambda p: p.server.welcome(agreement_public=bytes(32)),
    "no envelope": lambda p: link_wire.encode(link_wire.WelcomeMessage(b"x" * 100)),
}


@pytest.mark.parametrize("kind", _BAD)
def test_a_bad_welcome_ends_the_link_without_a_proof(pair: Pair, kind: str) -> None:
    events = pair.session.receive(_BAD[kind](pair), 0)
    assert isinstance(events[-1], Closed)
    assert events[-1].reason == "bad_welcome"
    (sent,) = pair.session.take_outgoing()
    assert isinstance(link_wire.decode(sent), Bye)
    assert not pair.session.up
    assert pair.session.receive(pair.server.welcome(), 0) == []


def test_a_key_list_that_goes_back_ends_the_link(tmp_path: Path) -> None:
    pair = Pair(tmp_path, Authorities().key_list(5))
    events = pair.session.receive(pair.server.welcome(key_list=pair.by.key_list(4)), 0)
    assert isinstance(events[-1], Closed)
    assert events[-1].detail == "the key list goes back"
    assert pair.me.authority.key_list.version == 5


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x81\x00\xc0", b"\x91" * 10_000, link_wire.encode(OrderMessage(b"x"))],
    ids=["empty", "not msgpack", "nil", "nested 10,000 deep", "an order before the welcome"],
)
def test_a_message_that_does_not_belong_is_malformed(pair: Pair, data: bytes) -> None:
    (event,) = pair.session.receive(data, 0)
    assert isinstance(event, Closed)
    assert event.reason == "malformed"


def test_a_message_over_the_limit_ends_the_link(pair: Pair) -> None:
    (event,) = pair.session.receive(bytes(link_wire.MAX_MESSAGE_BYTES + 1), 0)
    assert isinstance(event, Closed)
    assert event.reason == "too_large"


def test_a_message_type_of_the_future_is_counted_and_dropped(pair: Pair) -> None:
    pair.up()
    assert pair.session.receive(canonical.encode({0: 200, 1: 5}), 0) == []
    assert pair.session.unknown_messages == 1
    assert pair.session.up


def test_a_secret_that_was_sealed_for_another_link_ends_this_one(pair: Pair, tmp_path: Path) -> None:
    pair.up()
    other = Pair(tmp_path / "other")
    other.up()
    (event,) = pair.session.receive(other.server.secret(), 0)
    assert isinstance(event, Closed)


@pytest.mark.parametrize("what", ["a stranger's placement", "another's placement", "a stranger's key list"])
def test_a_statement_of_one_who_may_not_say_it_has_no_effect(pair: Pair, what: str) -> None:
    pair.up()
    if what == "a stranger's key list":
        envelope = pair.by.key_list(9, root=key("stranger"))
    elif what == "a stranger's placement":
        envelope = pair.by.placement(9, signer=key("stranger"))
    else:
        envelope = link_wire_placement_of_another(pair)
    assert pair.session.receive(link_wire.encode(StatementMessage(envelope)), 0) == []
    assert pair.session.refused_statements == 1
    assert pair.session.up


def link_wire_placement_of_another(pair: Pair) -> bytes:
    from loa.codecs.statement_wire import Placement

    return Placement(b"e" * 16, 9, (b"a" * 16,)).seal(pair.by.order_key)


def test_receipts_go_in_messages_of_64(pair: Pair) -> None:
    pair.up()
    pair.session.send_receipts([Receipt(n.to_bytes(16, "big"), ReceiptState.ACCEPTED, 1) for n in range(100)])
    messages: list[Any] = [link_wire.decode(data) for data in pair.session.take_outgoing()]
    assert [len(message.receipts) for message in messages] == [64, 36]
    assert all(isinstance(message, ReceiptsMessage) for message in messages)


def test_nothing_is_sent_before_the_welcome(pair: Pair) -> None:
    with pytest.raises(LinkError):
        pair.session.send_status(Status(0, 0))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), first=st.booleans())
def test_arbitrary_messages_never_raise(tmp_path_factory: pytest.TempPathFactory, data: bytes, first: bool) -> None:
    pair = _shared(tmp_path_factory)
    session = LinkSession(pair.me, "test")
    if not first:
        session.receive(ServerLink(pair.by, session.hello()).welcome(), 0)
    assert len(session.receive(data, 0)) <= 1


_made: list[Pair] = []


def _shared(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    if not _made:
        _made.append(Pair(tmp_path_factory.mktemp("shared")))
    return _made[0]
