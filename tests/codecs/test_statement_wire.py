import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.codecs import signed
from loa.codecs.signed import Kind, SigningKey
from loa.codecs.statement_wire import Beacon, Placement, Welcome
from loa.errors import WireError

KEY = SigningKey(bytes(32))
i63 = st.integers(0, 2**63 - 1)


def octets(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


beacons = st.builds(Beacon, octets(8), i63, i63)
placements = st.builds(
    Placement, octets(16), i63, st.lists(octets(16), max_size=16).map(tuple), st.integers(-1_000_000, 1_000_000)
)
welcomes = st.builds(
    Welcome,
    hello_hash=octets(32),
    nonce_s=octets(32),
    agreement_public=octets(32),
    endpoint_id=octets(16),
    channel_id=octets(8),
    beacon=beacons,
    media_host=st.text(max_size=255),
    media_port=st.integers(1, 65_535),
)
BEACON = Beacon(bytes(8), 1, 2)
PLACEMENT = Placement(bytes(16), 1, (bytes(16),), 0)
WELCOME = Welcome(bytes(32), bytes(32), bytes(32), bytes(16), bytes(8), BEACON, "", 5004)
Statement = Beacon | Placement | Welcome


def read(kind: Kind, data: bytes) -> Statement:
    envelope = signed.parse(data, kind)
    envelope.check(KEY.public_key)
    classes: dict[Kind, type[Statement]] = {
        Kind.BEACON: Beacon,
        Kind.PLACEMENT: Placement,
        Kind.WELCOME: Welcome,
    }
    return classes[kind].decode(envelope.body)


@settings(deadline=None)
@given(beacons, placements, welcomes)
def test_statements_come_back_from_their_envelopes(beacon: Beacon, placement: Placement, welcome: Welcome) -> None:
    assert read(Kind.BEACON, beacon.seal(KEY)) == beacon
    assert read(Kind.PLACEMENT, placement.seal(KEY)) == placement
    assert read(Kind.WELCOME, welcome.seal(KEY)) == welcome


def test_one_statement_is_not_taken_for_another() -> None:
    with pytest.raises(WireError, match="kind 4 where placement"):
        read(Kind.PLACEMENT, BEACON.seal(KEY))


@pytest.mark.parametrize(
    ("kind", "statement", "change"),
    [
        (Kind.BEACON, BEACON, {"epoch": bytes(9)}),
        (Kind.BEACON, BEACON, {"origin_ns": 2**63}),
        (Kind.BEACON, BEACON, {"utc_ns": -1}),
        (Kind.PLACEMENT, PLACEMENT, {"endpoint_id": b""}),
        (Kind.PLACEMENT, PLACEMENT, {"serial": 2**63}),
        (Kind.PLACEMENT, PLACEMENT, {"areas": (bytes(16),) * 17}),
        (Kind.PLACEMENT, PLACEMENT, {"areas": (bytes(15),)}),
        (Kind.PLACEMENT, PLACEMENT, {"trim_us": 1_000_001}),
        (Kind.PLACEMENT, PLACEMENT, {"trim_us": -1_000_001}),
        (Kind.WELCOME, WELCOME, {"hello_hash": bytes(31)}),
        (Kind.WELCOME, WELCOME, {"nonce_s": bytes(31)}),
        (Kind.WELCOME, WELCOME, {"agreement_public": bytes(33)}),
        (Kind.WELCOME, WELCOME, {"channel_id": bytes(9)}),
        (Kind.WELCOME, WELCOME, {"media_host": "x" * 256}),
        (Kind.WELCOME, WELCOME, {"media_port": 0}),
        (Kind.WELCOME, WELCOME, {"media_port": 65_536}),
    ],
)
def test_statements_out_of_bounds_are_malformed(kind: Kind, statement: Any, change: dict[str, Any]) -> None:
    data = dataclasses.replace(statement, **change).seal(KEY)
    with pytest.raises(WireError, match=kind.name.lower()):
        read(kind, data)
