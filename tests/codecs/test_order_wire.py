import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.codecs import channel_wire, signed
from loa.codecs.order_wire import (
    FRAME_SAMPLES,
    MAX_BUNDLE_BYTES,
    MAX_DATAGRAM_BYTES,
    MAX_INDEX,
    MAX_TARGETS,
    Bundle,
    Order,
    Stop,
    Tune,
    order_id,
    seal_order,
)
from loa.codecs.signed import Kind, SigningKey
from loa.errors import WireError

KEY = SigningKey(bytes(32))
u32 = st.integers(0, 2**32 - 1)
i63 = st.integers(0, 2**63 - 1)
ids = st.binary(min_size=16, max_size=16)
stops = st.builds(Stop, ids, st.integers(0, 10_000))


@st.composite
def tunes(draw: st.DrawFn) -> Tune:
    index0 = draw(st.integers(0, MAX_INDEX - 1))
    ssrc = draw(u32)
    return Tune(
        broadcast_id=draw(ids),
        generation=draw(u32),
        ssrc=ssrc,
        block_ssrc=draw(u32.filter(lambda other: other != ssrc)),
        index0=index0,
        timestamp0=draw(u32),
        epoch=draw(st.binary(min_size=8, max_size=8)),
        start_ns=draw(i63),
        play_delay_ms=draw(st.integers(0, 10_000)),
        frame_samples=draw(st.sampled_from(FRAME_SAMPLES)),
        priority=draw(st.integers(0, 255)),
        volume=draw(st.integers(0, 100)),
        fade_ms=draw(st.integers(0, 10_000)),
        secret_serial=draw(u32),
        block_key=draw(st.sampled_from((b"", bytes(32)))),
        block_frames=draw(st.integers(1, 32)),
        end_index=draw(st.none() | st.integers(index0 + 1, MAX_INDEX)),
    )


orders = st.builds(
    Order,
    seq=st.integers(1, 2**63 - 1),
    issued_ms=i63,
    expires_ms=i63,
    areas=st.lists(ids, max_size=5).map(tuple),
    endpoints=st.lists(ids, min_size=1, max_size=5).map(tuple),
    action=tunes() | stops,
)
TUNE = Tune(bytes(16), 1, 1, 2, 10, 0, bytes(8), 0, 1000, 960, 100, 80, 0, 1, b"", 5, 20)
ORDER = Order(1, 0, 1, (b"a" * 16,), (b"e" * 16,), TUNE)


@given(orders)
def test_an_order_decodes_to_itself(order: Order) -> None:
    assert Order.decode(order.encode()) == order


@settings(deadline=None)
@given(orders, st.lists(st.binary(max_size=400), max_size=2).map(tuple))
def test_a_bundle_decodes_to_itself(order: Order, chain: tuple[bytes, ...]) -> None:
    bundle = Bundle(signed.parse(seal_order(order, KEY), Kind.ORDER), chain)
    assert Bundle.decode(bundle.encode()) == bundle


@settings(deadline=None)
@given(st.binary(max_size=300), st.lists(st.binary(max_size=40), max_size=2).map(tuple))
def test_bytes_that_decode_as_a_bundle_have_no_second_form(body: bytes, chain: tuple[bytes, ...]) -> None:
    front = Bundle(signed.Envelope(Kind.ORDER, bytes(8), bytes(64), body), chain).encode()
    try:
        bundle = Bundle.decode(front)
    except WireError:
        assert body == b""
        return
    assert bundle.encode() == front


def test_every_cut_of_a_bundle_is_refused_or_another_order() -> None:
    whole = Bundle(signed.parse(seal_order(ORDER, KEY), Kind.ORDER), (bytes(100), bytes(90))).encode()
    body_at = len(whole) - len(ORDER.encode())
    for size in range(body_at + 1):
        with pytest.raises(WireError):
            Bundle.decode(whole[:size])
    for size in range(body_at + 1, len(whole)):
        with pytest.raises(WireError):
            Order.decode(Bundle.decode(whole[:size]).envelope.body)


def test_a_bundle_has_at_most_two_certificates() -> None:
    envelope = signed.parse(seal_order(ORDER, KEY), Kind.ORDER)
    with pytest.raises(ValueError, match="3 certificates"):
        Bundle(envelope, (b"a", b"b", b"c")).encode()
    two = Bundle(envelope, (b"a", b"b")).encode()
    with pytest.raises(WireError, match="too many"):
        Bundle.decode(b"\x03\x00\x01x" + two[1:])


def test_a_bundle_over_its_limit_is_refused() -> None:
    with pytest.raises(WireError, match="32769 bytes"):
        Bundle.decode(bytes(MAX_BUNDLE_BYTES + 1))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"frame_samples": 480}, "480 samples"),
        ({"block_ssrc": 1}, "one SSRC"),
        ({"end_index": 10}, "ends before"),
        ({"end_index": 2**48}, "field 17"),
        ({"index0": 2**48, "end_index": None}, "field 5"),
        ({"block_key": bytes(16)}, "another length"),
        ({"volume": 101}, "field 12"),
        ({"priority": 256}, "field 11"),
        ({"block_frames": 0}, "field 16"),
        ({"play_delay_ms": 10_001}, "field 9"),
        ({"fade_ms": 10_001}, "field 13"),
        ({"start_ns": 2**63}, "field 8"),
        ({"epoch": bytes(7)}, "field 7"),
    ],
)
def test_a_tune_that_cannot_be_played_is_malformed(change: dict[str, Any], why: str) -> None:
    order = dataclasses.replace(ORDER, action=dataclasses.replace(TUNE, **change))
    with pytest.raises(WireError, match=why):
        Order.decode(order.encode())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"seq": 0}, "field 1"),
        ({"seq": 2**63}, "field 1"),
        ({"areas": (), "endpoints": ()}, "no target"),
        ({"areas": (bytes(15),)}, "field 4"),
        ({"areas": tuple(n.to_bytes(16, "big") for n in range(MAX_TARGETS + 1)), "endpoints": ()}, "901"),
    ],
)
def test_an_order_that_means_nobody_or_has_no_name_is_malformed(change: dict[str, Any], why: str) -> None:
    body = dataclasses.replace(ORDER, **change).encode()
    with pytest.raises(WireError, match=why if len(body) <= signed.MAX_BODY_BYTES else "at most 16384"):
        Order.decode(body)


def test_an_order_means_the_endpoints_it_names_and_those_in_its_areas() -> None:
    other = b"x" * 16
    assert ORDER.targets(b"e" * 16, ())
    assert ORDER.targets(other, (other, b"a" * 16))
    assert not ORDER.targets(other, (other,))
    assert not ORDER.targets(b"a" * 16, (b"e" * 16,)), "an endpoint's id is no area"


def test_an_order_id_is_the_signer_and_the_number() -> None:
    assert order_id(b"signer..", 258) == b"signer..\0\0\0\0\0\0\1\2"


def test_what_does_not_fit_a_datagram_goes_by_link() -> None:
    targets = tuple(n.to_bytes(16, "big") for n in range(880))
    small = Bundle(signed.parse(seal_order(ORDER, KEY), Kind.ORDER)).encode()
    large = Bundle(signed.parse(seal_order(dataclasses.replace(ORDER, areas=targets), KEY), Kind.ORDER)).encode()
    assert channel_wire.parse_order(channel_wire.encode_order(small)) == small
    assert Order.decode(Bundle.decode(large).envelope.body).areas == targets
    with pytest.raises(ValueError, match="does not fit"):
        channel_wire.encode_order(large)
    assert channel_wire.parse_order(b"\xc1\x10" + bytes(MAX_DATAGRAM_BYTES)) is None


def test_an_order_too_large_for_an_envelope_is_the_callers_mistake() -> None:
    many = tuple(n.to_bytes(16, "big") for n in range(MAX_TARGETS))
    with pytest.raises(ValueError, match="body"):
        seal_order(dataclasses.replace(ORDER, areas=many, endpoints=many), KEY)
