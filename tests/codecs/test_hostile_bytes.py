"""Every parser on bytes that nobody meant: a value, or an error of the documented class, and nothing else."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from loa.codecs import block_wire, canonical, channel_wire, group_wire, key_schedule, link_wire, signed
from loa.codecs.authority import Authority as _Authority
from loa.codecs.authority import Certificate, KeyList, Right, open_key_list
from loa.codecs.channel_wire import Nack, Probe, ProbeReply
from loa.codecs.enrolment_wire import EnrolmentCode, from_base64
from loa.codecs.key_schedule import Agreement, LinkKeys
from loa.codecs.order_wire import Bundle, Order
from loa.codecs.signed import Kind, SigningKey
from loa.codecs.statement_wire import Beacon, Placement, Welcome
from loa.errors import AuthorityError, Refused, WireError

FILE = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text(encoding="utf-8"))
KEYS = {name: SigningKey(bytes.fromhex(key["seed"])) for name, key in FILE["keys"].items()}


def samples(*kinds: str) -> list[bytes]:
    return [bytes.fromhex(v["bytes"]) for v in FILE["vectors"] if v["kind"] in kinds and "bytes" in v]


def bodies(kind: str) -> list[bytes]:
    return [data[74:] for data in samples(kind)]


KEY_LIST = samples("key list")[0]
AUTHORITY = _Authority(KEYS["root"].public_key, KEY_LIST)
NOW_S = AUTHORITY.key_list.issued_s


def open_envelope(data: bytes) -> object:
    envelope = signed.parse(data, Kind.BEACON)
    envelope.check(KEYS["core"].public_key)
    return envelope


def obey(data: bytes) -> object:
    """All that an endpoint does with a bundle's bytes before it looks at its own state."""
    bundle = Bundle.decode(data)
    AUTHORITY.entitled(bundle.envelope, Right.ORDER, utc_s=NOW_S, chain=bundle.chain)
    return Order.decode(bundle.envelope.body)


def certified(data: bytes) -> None:
    """`data` as a certificate in a chain."""
    envelope = signed.parse(samples("order")[0], Kind.ORDER)
    AUTHORITY.entitled(envelope, Right.ORDER, utc_s=NOW_S, place=(bytes(16),), chain=(data, data))


def open_channel(data: bytes) -> object:
    datagram = channel_wire.parse(data)
    datagram.check(bytes(32))
    return datagram


def open_secret(data: bytes) -> object:
    return key_schedule.open_secret(LinkKeys(b"", bytes(16)), epoch=bytes(8), serial=1, sealed=data)


def agree(data: bytes) -> object:
    return Agreement(bytes(range(32))).keys(data, nonce_c=b"", nonce_s=b"", endpoint_id=bytes(16))


BOTH = (WireError, AuthorityError)
PARSERS: dict[str, tuple[Callable[[bytes], object], tuple[type[Exception], ...], list[bytes]]] = {
    "canonical": (
        lambda d: canonical.decode(d, max_bytes=65_536),
        (WireError,),
        samples("canonical", "link message"),
    ),
    "envelope": (open_envelope, BOTH, samples("envelope")),
    "key list": (lambda d: open_key_list(d, KEYS["root"].public_key), BOTH, samples("key list")),
    "key list body": (KeyList.decode, (WireError,), bodies("key list")),
    "certificate body": (Certificate.decode, (WireError,), bodies("certificate")),
    "certificate in a chain": (certified, (Refused,), samples("certificate")),
    "order body": (Order.decode, (WireError,), bodies("order")),
    "bundle": (obey, BOTH, samples("bundle")),
    "order datagram": (channel_wire.parse_order, (), samples("order datagram")),
    "group datagram": (group_wire.parse_beat, (), samples("group datagram")),
    "beacon": (Beacon.decode, (WireError,), bodies("beacon")),
    "placement": (Placement.decode, (WireError,), bodies("placement")),
    "welcome": (Welcome.decode, (WireError,), bodies("welcome")),
    "link message": (link_wire.decode, (WireError,), samples("link message")),
    "channel": (open_channel, BOTH, samples("channel")),
    "probe": (Probe.decode, (WireError,), samples("probe")),
    "probe reply": (ProbeReply.decode, (WireError,), samples("probe reply")),
    "nack": (Nack.decode, (WireError,), samples("nack")),
    "block": (lambda d: block_wire.open_block(KEYS["block"].public_key, 1, d), BOTH, samples("block")),
    "sealed secret": (open_secret, BOTH, samples("sealed secret")),
    "agreement": (agree, (WireError,), [bytes(32), b"\x01" + bytes(31)]),
    "enrolment code": (lambda d: EnrolmentCode.parse(d.decode("latin-1")), (WireError,), samples("enrolment code")),
    "base64": (lambda d: from_base64(d.decode("latin-1")), (WireError,), [b"AAAA", b"AA==", b"-_-_"]),
}
parsers = pytest.mark.parametrize("name", PARSERS)


def read(name: str, data: bytes) -> None:
    parser, allowed, _ = PARSERS[name]
    with contextlib.suppress(*allowed):
        parser(data)


def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` after one to four cuts, insertions, changed bytes and repeats."""
    made = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(made)))
        match draw(st.sampled_from(("byte", "cut", "insert", "repeat", "end"))):
            case "byte" if at < len(made):
                made[at] = draw(st.integers(0, 255))
            case "cut":
                del made[at : at + draw(st.integers(1, 40))]
            case "insert":
                made[at:at] = draw(st.binary(max_size=40))
            case "repeat":
                made[at:at] = made[at : at + draw(st.integers(1, 40))]
            case _:
                del made[at:]
    return bytes(made)


@parsers
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_give_a_value_or_the_documented_error(name: str, data: bytes) -> None:
    read(name, data)


@parsers
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_changed_bytes_give_a_value_or_the_documented_error(name: str, data: st.DataObject) -> None:
    @st.composite
    def mutated(draw: st.DrawFn) -> bytes:
        return changed(draw, draw(st.sampled_from(PARSERS[name][2])))

    read(name, data.draw(mutated()))


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 17), inner, max_size=8),
    max_leaves=12,
)


def in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


def field_swapped(draw: st.DrawFn, data: bytes) -> bytes:
    """A canonical map with one field, at any depth, replaced or left out, and so canonical still."""
    try:
        value = canonical.decode(data, max_bytes=65_536)
    except WireError:
        return data
    where: Any = value
    while isinstance(where, dict | list) and where:
        key: Any = draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
        if isinstance(where[key], dict | list) and where[key] and draw(st.booleans()):
            where = where[key]
            continue
        if draw(st.booleans()):
            where[key] = in_order(draw(VALUES))
        else:
            del where[key]
        break
    try:
        return canonical.encode(value)
    except ValueError:  # nested too deep by now
        return data


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in PARSERS
        if name.endswith("body") or name in ("beacon", "placement", "welcome", "link message")
    ],
)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_canonical_maps_with_a_field_of_another_kind_give_a_value_or_the_documented_error(
    name: str, data: st.DataObject
) -> None:
    @st.composite
    def mutated(draw: st.DrawFn) -> bytes:
        return field_swapped(draw, draw(st.sampled_from(PARSERS[name][2])))

    read(name, data.draw(mutated()))


HUGE = {
    "nothing": b"",
    "70 KB of zeros": bytes(70_000),
    "70 KB of arrays": b"\x91" * 70_000,
    "10,000 arrays": b"\x91" * 10_000,
    "10,000 maps": b"\x81\x00" * 10_000,
    "10,000 maps as keys": b"\x81" * 10_000,
    "100 MB of bytes announced": b"\xc6\x06\x40\x00\x00" + bytes(100),
    "100 MB of text announced": b"\xdb\x06\x40\x00\x00" + bytes(100),
    "100 M values announced": b"\xdd\x06\x40\x00\x00" + bytes(100),
    "100 M fields announced": b"\xdf\x06\x40\x00\x00" + bytes(100),
    "4 GB of extension announced": b"\xc9\xff\xff\xff\xff\x05" + bytes(100),
    "1,000 arrays, each announcing 65,000": b"\xdc\xfd\xe8" * 1000 + bytes(60_000),
    "text that is not UTF-8": b"\x81\x00\xa2\xc3\x28",
    "text with a surrogate": b"\x81\x00\xa3\xed\xa0\x80",
}


@parsers
@pytest.mark.parametrize("data", HUGE.values(), ids=HUGE)
def test_what_is_huge_or_nested_or_announced_is_refused(name: str, data: bytes) -> None:
    parser, allowed, _ = PARSERS[name]
    if not allowed:
        assert parser(data) is None
        return
    if name == "base64" and data == b"":
        return  # the one parser for which nothing is something
    with pytest.raises(allowed):
        parser(data)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_no_changed_bundle_is_ever_obeyed(data: st.DataObject) -> None:
    """Unless its order and its chain are, after all, the very same bytes."""

    @st.composite
    def mutated(draw: st.DrawFn) -> tuple[bytes, bytes]:
        original = draw(st.sampled_from(samples("bundle")[:1]))
        return original, changed(draw, original)

    original, other = data.draw(mutated())
    assume(original != other)
    with pytest.raises(BOTH):
        obey(other)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(min_size=1, max_size=60))
def test_what_decodes_as_canonical_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        value = canonical.decode(data, max_bytes=60)
    except WireError:
        return
    assert canonical.encode(value) == data
