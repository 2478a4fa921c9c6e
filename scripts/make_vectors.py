"""Make tests/data/vectors.json: bytes for every structure of docs/protocol.md.

    python scripts/make_vectors.py            write the file
    python scripts/make_vectors.py --check    exit 1 when the file is another

All keys, nonces and times are fixed, so every run writes the same bytes. In the file, byte strings are
lowercase hex. A vector has a `name` and a `kind`, and then

    inputs, bytes      the inputs encode to these bytes, and the bytes decode to the inputs
    inputs, outputs    these values follow from the inputs
    bytes, error       a reader must refuse the bytes with that error (a class of loa/errors.py)
    inputs, refused    the signer is not entitled: the refusal's reason ("" when it is entitled)

`signer` in the inputs is a name in `keys`.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loa.codecs import (
    block_wire,
    canonical,
    channel_wire,
    enrolment_wire,
    group_wire,
    key_schedule,
    link_wire,
    rtp,
    signed,
    srtp,
)
from loa.codecs.authority import ALL_RIGHTS, Authority, Certificate, KeyEntry, KeyList, Right
from loa.codecs.canonical import Value
from loa.codecs.channel_wire import Nack, Probe, ProbeReply, Type
from loa.codecs.group_wire import GroupMessage, Hearing
from loa.codecs.link_media import ClockProbe, ClockReply, DoorMessage, MediaMessage
from loa.codecs.order_wire import Bundle, Order, Stop, Tune, order_id, seal_order
from loa.codecs.signed import Kind, SigningKey
from loa.codecs.statement_wire import Beacon, Placement, Welcome
from loa.errors import Refused
from loa.model import ReceiptState

PATH = Path(__file__).parents[1] / "tests" / "data" / "vectors.json"
Vector = dict[str, Any]
Inputs = Mapping[str, object]

NOW_S = 1_800_000_000
DAY_S = 86_400


def fixed(name: str, size: int) -> bytes:
    """Bytes that look random and are always the same."""
    return hashlib.sha512(f"loa vector: {name}".encode()).digest()[:size]


KEYS = {
    name: SigningKey(fixed(f"key {name}", 32))
    for name in ("root", "core", "relay", "deputy", "revoked", "ended", "emergency", "device", "block", "stranger")
}
CITY, DISTRICT, COMMUNE, ELSEWHERE = (fixed(f"area {n}", 16) for n in ("city", "district", "commune", "elsewhere"))
ENDPOINT, BROADCAST = fixed("endpoint", 16), fixed("broadcast", 16)
EPOCH, CHANNEL_ID = fixed("epoch", 8), fixed("channel id", 8)
CHANNEL_SECRET, EPOCH_SECRET = fixed("channel secret", 32), fixed("epoch secret", 32)
PLACE = (CITY, DISTRICT, COMMUNE)

KEY_LIST = KeyList(
    version=7,
    issued_s=NOW_S - DAY_S,
    expires_s=NOW_S + 30 * DAY_S,
    keys=(
        KeyEntry(KEYS["core"].public_key, ALL_RIGHTS, NOW_S + 7 * DAY_S),
        KeyEntry(KEYS["emergency"].public_key, Right.ORDER | Right.EMERGENCY, NOW_S + 7 * DAY_S),
        KeyEntry(KEYS["ended"].public_key, Right.ORDER, NOW_S - 1),
        KeyEntry(KEYS["revoked"].public_key, Right.ORDER | Right.DELEGATE, NOW_S + 7 * DAY_S),
    ),
    revoked=(KEYS["revoked"].key_id,),
)
TUNE = Tune(
    broadcast_id=BROADCAST,
    generation=3,
    ssrc=0x1234_5678,
    block_ssrc=0x1234_5679,
    index0=65_530,
    timestamp0=0xFFFF_FF00,
    epoch=EPOCH,
    start_ns=5_000_000_000,
    play_delay_ms=1500,
    frame_samples=960,
    priority=100,
    volume=80,
    fade_ms=200,
    secret_serial=2,
    block_key=KEYS["block"].public_key,
    block_frames=5,
    end_index=66_225,
)
RECEIVED = link_wire.Receipt(fixed("order", 16), ReceiptState.RECEIVED, NOW_S * 1000)

BY_CORE = {"signer": "core"}


def an_order(**changes: Any) -> Order:
    """A TUNE for the commune, with changes."""
    plain = Order(41, NOW_S * 1000, NOW_S * 1000 + 60_000, (COMMUNE,), (), TUNE)
    return dataclasses.replace(plain, **changes)


def a_certificate(subject: str, **changes: Any) -> Certificate:
    """A certificate for ORDER in the district, with changes."""
    plain = Certificate(
        KEYS[subject].public_key, Right.ORDER | Right.DELEGATE, (DISTRICT,), NOW_S - DAY_S, NOW_S + DAY_S, 1
    )
    return dataclasses.replace(plain, **changes)


def plain(value: Any) -> Any:
    """A value as JSON: bytes in hex, dataclasses as objects, None for what is absent."""
    if isinstance(value, bytes):
        return value.hex()
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return int(value) if isinstance(value, int) else value


def tagged(value: Value) -> Any:
    """A msgpack value as JSON that tells bytes from strings and keeps maps in order."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, dict):
        return {"map": [[key, tagged(item)] for key, item in value.items()]}
    return [tagged(item) for item in value] if isinstance(value, list) else value


def good(kind: str, name: str, inputs: Any, data: bytes) -> Vector:
    return {"name": name, "kind": kind, "inputs": plain(inputs), "bytes": data.hex()}


def bad(kind: str, name: str, data: bytes, inputs: Inputs | None = None, error: str = "WireError") -> Vector:
    return {"name": name, "kind": kind, "inputs": plain(inputs or {}), "bytes": data.hex(), "error": error}


def derived(kind: str, name: str, inputs: Any, **outputs: Any) -> Vector:
    return {"name": name, "kind": kind, "inputs": plain(inputs), "outputs": plain(outputs)}


# --- canonical msgpack -------------------------------------------------------------------------------------------


def canonical_values() -> Iterator[Vector]:
    nested: Value = 1
    for _ in range(canonical.MAX_DEPTH):
        nested = [nested]
    values: dict[str, Value] = {
        **{f"integer {n}": n for n in (0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1)},
        **{f"integer {n}": n for n in (-1, -32, -33, -128, -129, -(2**15), -(2**15) - 1, -(2**31) - 1, -(2**63))},
        "empty byte string": b"",
        "256 bytes": bytes(256),
        "Vietnamese string": "Hải Phòng",
        "string of 31 bytes": "x" * 31,
        "string of 32 bytes": "x" * 32,
        "array of 15": [0] * 15,
        "array of 16": [0] * 16,
        "empty map": {},
        "map with keys of all lengths": {0: 1, 127: b"\x01", 128: "a", 256: [], 65_536: {}, 2**32 - 1: -1},
        "8 levels": nested,
    }
    for name, value in values.items():
        yield good("canonical", name, {"value": tagged(value)}, canonical.encode(value))
    refused = {
        "nothing": "",
        "nil": "c0",
        "boolean": "c3",
        "float 1.0": "cb3ff0000000000000",
        "extension": "d40000",
        "timestamp": "d6ff00000000",
        "never used byte": "c1",
        "integer 1 in two bytes": "cc01",
        "integer 255 in three bytes": "cd00ff",
        "-1 in two bytes": "d0ff",
        "positive integer as signed": "d100ff",
        "string of 1 with a length byte": "d90161",
        "bytes with a two-byte length": "c5000100",
        "array of 1 with a two-byte length": "dc000101",
        "map of 1 with a two-byte length": "de00010101",
        "map keys out of order": "820201" + "0101",
        "map key twice": "820101" + "0102",
        "map key twice in two forms": "820101" + "cc0102",
        "map key that is a string": "81a16101",
        "map key below zero": "81ff01",
        "map key of 33 bits": "81cf000000010000000001",
        "map key that is a map": "818001",
        "something after the value": "0100",
        "string that is not UTF-8": "a2c328",
        "string with a surrogate": "a3eda080",
        "cut off": "9201",
        "9 levels": "91" * 9 + "01",
        "10,000 levels": "91" * 10_000,
        "100 MB of bytes announced": "c606400000",
        "100 M values announced": "dd06400000",
        "4,097 values": "dc1001" + "00" * 4097,
    }
    for name, data in refused.items():
        yield bad("canonical", name, bytes.fromhex(data))


# --- envelopes and authority -------------------------------------------------------------------------------------


def envelopes() -> Iterator[Vector]:
    body = canonical.encode({1: b"any"})
    data = signed.seal(Kind.BEACON, KEYS["core"], body)
    yield good("envelope", "envelope", {"signer": "core", "kind": int(Kind.BEACON), "body": body}, data)
    opened = {"signer": "core", "kind": int(Kind.BEACON)}
    yield bad("envelope", "no body", data[:74], opened)
    yield bad("envelope", "version 2", b"\x02" + data[1:], opened)
    yield bad("envelope", "another kind", data[:1] + b"\x03" + data[2:], opened)
    yield bad("envelope", "body too long", data[:74] + bytes(16_385), opened)
    yield bad("envelope", "a flipped bit in the body", data[:-1] + bytes((data[-1] ^ 1,)), opened, "AuthorityError")
    yield bad("envelope", "a flipped bit in the signature", flip(data, 20), opened, "AuthorityError")
    yield bad("envelope", "signed by another", data, {**opened, "signer": "relay"}, "AuthorityError")


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def key_lists() -> Iterator[Vector]:
    data = KEY_LIST.seal(KEYS["root"])
    yield good("key list", "key list", {"signer": "root", "value": KEY_LIST}, data)
    yield bad("key list", "key list signed by an order key", KEY_LIST.seal(KEYS["core"]), error="AuthorityError")
    entry: Value = {1: KEYS["core"].public_key, 2: 15, 3: NOW_S}
    other_entry: Value = {1: KEYS["relay"].public_key, 2: 16, 3: NOW_S}
    bodies: dict[str, Value] = {
        "version 0": {1: 0, 2: 1, 3: 2, 4: [], 5: []},
        "a field too many": {1: 1, 2: 1, 3: 2, 4: [], 5: [], 6: 0},
        "a field missing": {1: 1, 2: 1, 3: 2, 4: []},
        "an unknown right": {1: 1, 2: 1, 3: 2, 4: [other_entry], 5: []},
        "a key twice": {1: 1, 2: 1, 3: 2, 4: [entry, entry], 5: []},
        "17 keys": {1: 1, 2: 1, 3: 2, 4: [{1: fixed(str(n), 32), 2: 1, 3: 1} for n in range(17)], 5: []},
        "257 revoked": {1: 1, 2: 1, 3: 2, 4: [], 5: [bytes(8)] * 257},
        "an expiry of 64 bits": {1: 1, 2: 1, 3: 2**63, 4: [], 5: []},
    }
    for name, body in bodies.items():
        data = signed.seal(Kind.KEY_LIST, KEYS["root"], canonical.encode(body))
        yield bad("key list", f"key list with {name}", data)


def certificates() -> Iterator[Vector]:
    made = a_certificate("relay")
    yield good("certificate", "certificate", {"signer": "core", "value": made}, made.seal(KEYS["core"]))
    none = dataclasses.replace(made, areas=())
    yield bad("certificate", "certificate without areas", none.seal(KEYS["core"]), BY_CORE)
    many = dataclasses.replace(made, areas=tuple(fixed(str(n), 16) for n in range(65)))
    yield bad("certificate", "certificate with 65 areas", many.seal(KEYS["core"]), BY_CORE)


def chains() -> Iterator[Vector]:
    """Who is entitled to what; every refusal of docs/protocol.md, *Authority*."""
    order_body = an_order().encode()

    def case(
        name: str,
        refused: str,
        signer: str,
        *certified: tuple[str, Certificate],
        right: Right = Right.ORDER,
        utc_s: int = NOW_S,
        place: tuple[bytes, ...] = PLACE,
        envelope: bytes | None = None,
    ) -> Vector:
        inputs = {
            "key_list": KEY_LIST.seal(KEYS["root"]),
            "envelope": envelope or signed.seal(Kind.ORDER, KEYS[signer], order_body),
            "chain": [certificate.seal(KEYS[issuer]) for issuer, certificate in certified],
            "right": int(right),
            "utc_s": utc_s,
            "place": place,
        }
        return {"name": f"entitled: {name}", "kind": "entitled", "inputs": plain(inputs), "refused": refused}

    relay, deputy = a_certificate("relay"), a_certificate("deputy", rights=Right.ORDER, areas=(COMMUNE,))
    emergency = Right.ORDER | Right.EMERGENCY
    altered = flip(signed.seal(Kind.ORDER, KEYS["core"], order_body), -1 % (74 + len(order_body)))
    yield case("a listed key", "", "core")
    yield case("a listed key at its last second", "", "core", utc_s=NOW_S + 7 * DAY_S)
    yield case("one certificate", "", "relay", ("core", relay))
    yield case("two certificates", "", "deputy", ("core", relay), ("relay", deputy))
    yield case("an emergency", "", "emergency", right=emergency)
    yield case("a body that was altered", "bad_signature", "core", envelope=altered)
    yield case("a key nobody listed", "unknown_key", "stranger")
    yield case("a listed key after its end", "key_expired", "ended")
    yield case("a revoked key", "key_revoked", "revoked")
    yield case("a list that has ended", "list_expired", "core", utc_s=KEY_LIST.expires_s + 1)
    yield case("no right to emergencies", "not_entitled", "relay", ("core", relay), right=emergency)
    yield case("no right to the link", "not_entitled", "emergency", right=Right.LINK)
    yield case("a certificate by a key without DELEGATE", "not_entitled", "relay", ("emergency", relay))
    yield case("a certificate by a revoked key", "key_revoked", "relay", ("revoked", relay))
    yield case("a certificate for a revoked key", "key_revoked", "revoked", ("core", a_certificate("revoked")))
    yield case("a certificate that has ended", "key_expired", "relay", ("core", relay), utc_s=NOW_S + DAY_S + 1)
    yield case("a certificate not yet valid", "key_expired", "relay", ("core", relay), utc_s=NOW_S - DAY_S - 1)
    yield case("an endpoint elsewhere", "not_entitled", "relay", ("core", relay), place=(CITY, ELSEWHERE))
    yield case("an endpoint without a place", "not_entitled", "relay", ("core", relay), place=())
    yield case(
        "a second certificate for elsewhere",
        "not_entitled",
        "deputy",
        ("core", relay),
        ("relay", dataclasses.replace(deputy, areas=(ELSEWHERE,))),
    )
    yield case(
        "a first certificate without DELEGATE",
        "not_entitled",
        "deputy",
        ("core", a_certificate("relay", rights=Right.ORDER)),
        ("relay", deputy),
    )
    yield case("certificates in the wrong order", "unknown_key", "deputy", ("relay", deputy), ("core", relay))
    yield case("a certificate for another signer", "bad_signature", "stranger", ("core", relay))
    third = a_certificate("stranger")
    three = (("core", relay), ("relay", a_certificate("deputy")), ("deputy", third))
    yield case("three certificates", "not_entitled", "stranger", *three)


# --- orders ------------------------------------------------------------------------------------------------------


def orders() -> Iterator[Vector]:
    cases = {
        "TUNE with an end index": an_order(),
        "TUNE without an end index": an_order(seq=42, action=dataclasses.replace(TUNE, end_index=None)),
        "TUNE that is not signed by blocks": an_order(seq=43, action=dataclasses.replace(TUNE, block_key=b"")),
        "STOP of one endpoint": an_order(seq=44, areas=(), endpoints=(ENDPOINT,), action=Stop(BROADCAST, 500)),
    }
    for name, order in cases.items():
        data = seal_order(order, KEYS["core"])
        yield good("order", name, {"signer": "core", "value": order}, data)
        yield derived("order id", f"order id of {name}", {"envelope": data}, id=order_id(data[2:10], order.seq))
    tune = TUNE.to_value()
    assert isinstance(tune, dict)
    changed: dict[str, dict[int, Value]] = {
        "TUNE with frames of 480 samples": {10: 480},
        "TUNE with one SSRC for both": {4: TUNE.ssrc},
        "TUNE with a volume of 101": {12: 101},
        "TUNE with an end before its start": {17: TUNE.index0},
        "TUNE with a block key of 31 bytes": {15: bytes(31)},
        "TUNE with blocks of 33 frames": {16: 33},
        "TUNE with a play delay over 10 s": {9: 10_001},
    }
    head: dict[int, Value] = {1: 1, 2: NOW_S, 3: NOW_S + 1}
    commune: list[Value] = [COMMUNE]
    bodies: dict[str, Value] = {
        name: {**head, 4: commune, 5: [], 6: 1, 7: {**tune, **change}} for name, change in changed.items()
    }
    bodies["order with an unknown action"] = {**head, 4: commune, 5: [], 6: 3, 7: {}}
    bodies["order without a target"] = {**head, 4: [], 5: [], 6: 2, 7: {1: BROADCAST, 2: 0}}
    bodies["order with sequence number 0"] = {**head, 1: 0, 4: commune, 5: [], 6: 2, 7: {1: BROADCAST, 2: 0}}
    for name, body in bodies.items():
        yield bad("order", name, signed.seal(Kind.ORDER, KEYS["core"], canonical.encode(body)), BY_CORE)


def bundles() -> Iterator[Vector]:
    relay = a_certificate("relay").seal(KEYS["core"])
    deputy = a_certificate("deputy", rights=Right.ORDER, areas=(COMMUNE,)).seal(KEYS["relay"])
    for signer, chain in {"core": (), "relay": (relay,), "deputy": (relay, deputy)}.items():
        envelope = seal_order(an_order(), KEYS[signer])
        data = Bundle(signed.parse(envelope, Kind.ORDER), chain).encode()
        inputs = {"chain": chain, "envelope": envelope}
        yield good("bundle", f"bundle with {len(chain)} certificates", inputs, data)
        yield good(
            "order datagram",
            f"ORDER datagram with {len(chain)} certificates",
            {"bundle": data},
            channel_wire.encode_order(data),
        )
    yield bad("bundle", "bundle of nothing", b"")
    yield bad("bundle", "bundle that is cut off", b"\x01\x00\xff" + bytes(20))
    yield bad("bundle", "bundle without an order", b"\x01\x00\x01\x00")
    three = b"\x03" + 3 * (len(relay).to_bytes(2, "big") + relay)
    yield bad("bundle", "bundle with three certificates", three + seal_order(an_order(), KEYS["core"]))
    yield bad("bundle", "bundle with a beacon", b"\x00" + signed.seal(Kind.BEACON, KEYS["core"], b"\x80"))


# --- enrolment ---------------------------------------------------------------------------------------------------


def enrolment() -> Iterator[Vector]:
    code = enrolment_wire.EnrolmentCode("7K3M9", "QW0ZX1ABCDETV4H")
    typed = " 7k3m9-qwOzx labcd-etv4h"
    yield derived(
        "enrolment code", "code as typed", {"typed": typed}, **plain(code), text=code.text, key=code.key()
    )
    for name, text in {
        "too short": "7K3M9-QW0ZX-1ABCD-ETV4",
        "too long": code.text + "0",
        "with U": "7K3M9-QW0ZX-1ABCD-ETV4U",
        "with ß": "7K3M9-QW0ZX-1ABCD-ETVß",
    }.items():
        yield bad("enrolment code", f"code {name}", text.encode())
    nonce = fixed("enrolment nonce", 16)
    claim = {"code_id": code.code_id, "device_key": KEYS["device"].public_key, "nonce": nonce, "kind": "speaker"}
    mac = enrolment_wire.claim_mac(
        code.key(), code_id=code.code_id, device_key=KEYS["device"].public_key, nonce=nonce, kind="speaker"
    )
    yield derived("claim mac", "claim", {"key": code.key(), **claim}, mac=mac)
    answer = {
        "nonce": nonce,
        "endpoint_id": ENDPOINT,
        "root_key": KEYS["root"].public_key,
        "key_list": KEY_LIST.seal(KEYS["root"]),
        "placement": Placement(ENDPOINT, 1, PLACE).seal(KEYS["core"]),
    }
    yield derived(
        "answer mac", "answer", {"key": code.key(), **answer}, mac=enrolment_wire.answer_mac(code.key(), **answer)
    )


# --- link --------------------------------------------------------------------------------------------------------

PRIVATE_C, PRIVATE_S = fixed("x25519 of the endpoint", 32), fixed("x25519 of the server", 32)
NONCE_C, NONCE_S = fixed("nonce of the endpoint", 32), fixed("nonce of the server", 32)
HELLO = link_wire.Hello(ENDPOINT, NONCE_C, key_schedule.Agreement(PRIVATE_C).public, 6, "loa vectors")
WELCOME = Welcome(
    hello_hash=hashlib.sha256(link_wire.encode(HELLO)).digest(),
    nonce_s=NONCE_S,
    agreement_public=key_schedule.Agreement(PRIVATE_S).public,
    endpoint_id=ENDPOINT,
    channel_id=CHANNEL_ID,
    beacon=Beacon(EPOCH, 4_000_000_000, NOW_S * 1_000_000_000),
    media_host="",
    media_port=5004,
)


def statements() -> Iterator[Vector]:
    beacon, place = WELCOME.beacon, Placement(ENDPOINT, 9, PLACE, -1500)
    yield good("beacon", "beacon", {"signer": "core", "value": beacon}, beacon.seal(KEYS["core"]))
    yield good("placement", "placement", {"signer": "core", "value": place}, place.seal(KEYS["core"]))
    yield good("welcome", "welcome", {"signer": "core", "value": WELCOME}, WELCOME.seal(KEYS["core"]))
    deep = Placement(ENDPOINT, 9, PLACE * 6)
    yield bad("placement", "placement 18 areas deep", deep.seal(KEYS["core"]), BY_CORE)
    trim = Placement(ENDPOINT, 9, PLACE, 1_000_001)
    yield bad("placement", "placement with a trim over 1 s", trim.seal(KEYS["core"]), BY_CORE)
    epoch = Beacon(bytes(7), 1, 1)
    yield bad("beacon", "beacon with an epoch of 7 bytes", epoch.seal(KEYS["core"]), BY_CORE)
    port = dataclasses.replace(WELCOME, media_port=0)
    yield bad("welcome", "welcome with port 0", port.seal(KEYS["core"]), BY_CORE)


def link_keys() -> Iterator[Vector]:
    client, server = key_schedule.Agreement(PRIVATE_C), key_schedule.Agreement(PRIVATE_S)
    keys = client.keys(server.public, nonce_c=NONCE_C, nonce_s=NONCE_S, endpoint_id=ENDPOINT)
    yield derived(
        "link keys",
        "link keys",
        {
            "private_c": PRIVATE_C,
            "private_s": PRIVATE_S,
            "nonce_c": NONCE_C,
            "nonce_s": NONCE_S,
            "endpoint_id": ENDPOINT,
        },
        public_c=client.public,
        public_s=server.public,
        channel_secret=keys.channel_secret,
        sealing_key=keys.sealing_key,
    )
    message = key_schedule.proof_message(link_wire.encode(HELLO), WELCOME.seal(KEYS["core"]))
    yield derived(
        "proof",
        "proof",
        {"signer": "device", "hello": link_wire.encode(HELLO), "welcome": WELCOME.seal(KEYS["core"])},
        message=message,
        signature=KEYS["device"].sign(message),
    )
    sealed = key_schedule.seal_secret(keys, epoch=EPOCH, serial=2, epoch_secret=EPOCH_SECRET)
    opened = {"sealing_key": keys.sealing_key, "epoch": EPOCH, "serial": 2}
    yield good("sealed secret", "sealed secret", {**opened, "epoch_secret": EPOCH_SECRET}, sealed)
    yield bad(
        "sealed secret", "sealed secret under another serial", sealed, {**opened, "serial": 3}, "AuthorityError"
    )
    yield bad("sealed secret", "sealed secret that was altered", flip(sealed, 0), opened, "AuthorityError")


def link_messages() -> Iterator[Vector]:
    envelope = WELCOME.seal(KEYS["core"])
    bundle = Bundle(signed.parse(seal_order(an_order(), KEYS["core"]), Kind.ORDER)).encode()
    result = link_wire.Result(690, 12, 3, 2, 1, "end")
    messages: dict[str, link_wire.Message] = {
        "hello": HELLO,
        "welcome with a key list": link_wire.WelcomeMessage(envelope, KEY_LIST.seal(KEYS["root"])),
        "welcome with a chain": link_wire.WelcomeMessage(
            envelope, b"", (a_certificate("relay").seal(KEYS["core"]),)
        ),
        "proof message": link_wire.Proof(fixed("signature", 64)),
        "order message": link_wire.OrderMessage(bundle),
        "secret message": link_wire.SecretMessage(EPOCH, 2, fixed("sealed", 48)),
        "statement message": link_wire.StatementMessage(WELCOME.beacon.seal(KEYS["core"])),
        "receipt: received": link_wire.ReceiptsMessage((RECEIVED,)),
        "receipt: accepted": receipts(state=ReceiptState.ACCEPTED),
        "receipt: refused": receipts(state=ReceiptState.REFUSED, reason="no_trusted_time", at_ms=0),
        "receipt: started": receipts(
            state=ReceiptState.STARTED, presented_ns=6_500_000_417, index=65_530, error_ns=180_000
        ),
        "receipt: finished": receipts(state=ReceiptState.FINISHED, result=result),
        "receipt: finished, of a STOP": receipts(state=ReceiptState.FINISHED),
        "receipts ack": link_wire.ReceiptsAck(((RECEIVED.order_id, 1), (RECEIVED.order_id, 5))),
        "status while playing": link_wire.Status(180_000, -80_123, BROADCAST, 690, 12, 3, 2, 1, 1480, 4, 1, 0, 80),
        "status when idle, clock not known": link_wire.Status(2**63 - 1, 0),
        "door: sound by link": DoorMessage(True),
        "door: sound by datagrams": DoorMessage(False),
        "media of a frame and a block": MediaMessage((fixed("packet", 32), fixed("block", 16))),
        "clock probe": ClockProbe(-1_234_567_890_123_456_789),
        "clock reply": ClockReply(EPOCH, -1_234_567_890_123_456_789, 1_000_000_000, 1_000_020_000),
        "bye": link_wire.Bye("replaced", "another link of this endpoint came"),
        "group": GroupMessage(1, "232.1.2.3", 5004),
        "group of another source": GroupMessage(2, "ff35::4000:1", 5004, "2001:db8::1"),
        "group: none": GroupMessage(3),
        "hearing": Hearing(1, True),
        "not hearing": Hearing(1, False),
    }
    for name, message in messages.items():
        yield good("link message", name, {"type": message.TYPE, "value": message}, link_wire.encode(message))
    receipt: dict[int, Value] = {1: RECEIVED.order_id, 2: 1, 3: 0}
    counts: Value = {**dict.fromkeys(range(1, 6), 0), 6: "end"}
    refused: dict[str, Value] = {
        "that is no map": [1],
        "without a type": {1: b""},
        "of type 99": {0: 99},
        "with a field too many": {0: 3, 1: bytes(64), 2: 0},
        "with a signature of 63 bytes": {0: 3, 1: bytes(63)},
        "with receipt state 6": {0: 10, 1: [{**receipt, 2: 6}]},
        "with receipt state 0": {0: 10, 1: [{**receipt, 2: 0}]},
        "with 65 receipts": {0: 10, 1: [receipt] * 65},
        "with a result of what was only accepted": {0: 10, 1: [{**receipt, 2: 2, 8: counts}]},
        "with a refusal without a reason": {0: 10, 1: [{**receipt, 2: 3}]},
        "with a key list that is a string": {0: 2, 1: b"\x01", 2: "", 3: []},
        "with a group that is no group": {0: 8, 1: 1, 2: "192.0.2.1", 3: 5004, 4: ""},
        "with a group that all machines may use": {0: 8, 1: 1, 2: "224.0.0.1", 3: 5004, 4: ""},
        "with a group without a port": {0: 8, 1: 1, 2: "232.1.2.3", 3: 0, 4: ""},
        "with a group in another form": {0: 8, 1: 1, 2: "FF35::4000:1", 3: 5004, 4: ""},
        "with a group from many": {0: 8, 1: 1, 2: "232.1.2.3", 3: 5004, 4: "232.1.2.4"},
        "with a port of no group": {0: 8, 1: 1, 2: "", 3: 5004, 4: ""},
        "with hearing 2": {0: 9, 1: 1, 2: 2},
        "with a door of 2": {0: 4, 1: 2},
        "with media of no packets": {0: 14, 1: []},
        "with media of 65 packets": {0: 14, 1: [b"\x80"] * 65},
        "with a media packet of 1,501 bytes": {0: 14, 1: [bytes(1501)]},
        "with a media packet that is a string": {0: 14, 1: [b"\x80", ""]},
        "with a clock reply of a longer epoch": {0: 16, 1: bytes(9), 2: 0, 3: 0, 4: 0},
        "with three certificates": {0: 2, 1: b"\x01", 2: b"", 3: [b"", b"", b""]},
    }
    for name, value in refused.items():
        yield bad("link message", f"link message {name}", canonical.encode(value))
    yield bad("link message", "link message that is not msgpack", b"GET / HTTP/1.1\r\n\r\n")


def receipts(**changes: Any) -> link_wire.ReceiptsMessage:
    return link_wire.ReceiptsMessage((dataclasses.replace(RECEIVED, **changes),))


# --- channel and media -------------------------------------------------------------------------------------------


def channel() -> Iterator[Vector]:
    payloads = {
        Type.KEEPALIVE: channel_wire.padded(b""),
        Type.CHALLENGE: fixed("challenge", 16),
        Type.ECHO: fixed("challenge", 16),
        Type.BOUND: (45).to_bytes(2, "big"),
        Type.PROBE: Probe(-123_456_789).encode(),
        Type.PROBE_REPLY: ProbeReply(EPOCH, -123_456_789, 4_000_000_001, 4_000_000_002).encode(),
        Type.NACK: Nack(TUNE.ssrc, (65_530, 65_593, 65_594)).encode(),
    }
    for counter, (type_, payload) in enumerate(payloads.items(), 2**32 - 1):
        data = channel_wire.encode(type_, CHANNEL_ID, counter, payload, CHANNEL_SECRET)
        inputs = {"type": int(type_), "channel_id": CHANNEL_ID, "counter": counter, "payload": payload}
        yield good("channel", type_.name, {"secret": CHANNEL_SECRET, **inputs}, data)
    secret = {"secret": CHANNEL_SECRET}
    data = channel_wire.encode(Type.KEEPALIVE, CHANNEL_ID, 0, payloads[Type.KEEPALIVE], CHANNEL_SECRET)
    yield bad("channel", "KEEPALIVE with a flipped bit", flip(data, 20), secret, "AuthorityError")
    yield bad("channel", "KEEPALIVE of another channel", data, {"secret": fixed("another", 32)}, "AuthorityError")
    turned = data[:1] + bytes((Type.BOUND,)) + data[2:]
    yield bad("channel", "KEEPALIVE sent back as BOUND", turned, secret, "AuthorityError")
    yield bad("channel", "datagram of nothing", b"", secret)
    yield bad("channel", "datagram of 33 bytes", data[:33], secret)
    yield bad("channel", "datagram of 70 KB", data[:18] + bytes(70_000), secret)
    yield bad("channel", "datagram of type 0x7f", data[:1] + b"\x7f" + data[2:], secret)
    yield bad("channel", "datagram with another first byte", b"\x80" + data[1:], secret)
    beat = group_wire.encode_beat(EPOCH)
    yield good("group datagram", "GROUP datagram", {"epoch": EPOCH}, beat)
    yield bad("channel", "GROUP datagram where a channel datagram belongs", beat.ljust(34, b"\0"), secret)


def payloads() -> Iterator[Vector]:
    probe, reply = Probe(-(2**63)), ProbeReply(EPOCH, -1, 2, 2**63 - 1)
    yield good("probe", "probe payload", probe, probe.encode())
    yield good("probe reply", "probe reply payload", reply, reply.encode())
    lists = {
        "one index": (0,),
        "64 indices in one entry": tuple(range(100, 164)),
        "two entries": (7, 70, 71),
        "32 entries": tuple(range(0, 32 * 64, 64)),
        "the last index": (2**48 - 1,),
    }
    for name, indices in lists.items():
        nack = Nack(TUNE.ssrc, indices)
        yield good("nack", f"NACK of {name}", nack, nack.encode())
    entry = bytes(6) + bytes(7) + b"\x01"
    yield bad("nack", "NACK without an entry", bytes(4))
    yield bad("nack", "NACK of 33 entries", bytes(4) + entry * 33)
    yield bad("nack", "NACK with half an entry", bytes(4) + entry[:7])
    yield bad("nack", "NACK of an index beyond 48 bits", bytes(4) + b"\xff" * 6 + bytes(7) + b"\x02")


def media() -> Iterator[Vector]:
    key = key_schedule.media_key(EPOCH_SECRET, EPOCH, BROADCAST, TUNE.generation)
    inputs = {
        "epoch_secret": EPOCH_SECRET,
        "epoch": EPOCH,
        "broadcast_id": BROADCAST,
        "generation": TUNE.generation,
    }
    yield derived("media key", "media key", inputs, key=key.key, salt=key.salt)
    context = srtp.SrtpContext(key.key, key.salt)
    frames = {TUNE.index0: fixed("frame 0", 50), TUNE.index0 + 6: fixed("frame 6", 60)}
    hashes = []
    for index, payload in frames.items():
        since = index - TUNE.index0
        timestamp = (TUNE.timestamp0 + since * TUNE.frame_samples) % 2**32
        header = rtp.RtpHeader(rtp.PT_OPUS, index % 2**16, timestamp, TUNE.ssrc, marker=since == 0).pack()
        hashes.append(block_wire.frame_hash(header, payload))
        where = {"master_key": key.key, "master_salt": key.salt, "index": index}
        yield derived(
            "frame hash", f"hash of frame {since}", {"header": header, "payload": payload}, hash=hashes[-1]
        )
        packet = context.protect(header, payload, index)
        yield good("srtp", f"SRTP packet of frame {since}", {**where, "header": header, "payload": payload}, packet)
        yield bad("srtp", f"SRTP packet of frame {since}, altered", flip(packet, 12), where, "AuthorityError")
        other = {**where, "index": index + 2**16}
        yield bad("srtp", f"SRTP packet of frame {since}, a roll-over later", packet, other, "AuthorityError")
    data = block_wire.seal_block(KEYS["block"], TUNE.ssrc, TUNE.index0, hashes)
    of = {"signer": "block", "ssrc": TUNE.ssrc}
    yield good("block", "signed block", {**of, "first_index": TUNE.index0, "hashes": hashes}, data)
    yield bad("block", "signed block of another SSRC", data, {**of, "ssrc": TUNE.ssrc + 1}, "AuthorityError")
    yield bad("block", "signed block by another key", data, {**of, "signer": "stranger"}, "AuthorityError")
    yield bad("block", "signed block with an altered hash", flip(data, 80), of, "AuthorityError")
    yield bad("block", "signed block that is cut off", data[:-1], of)
    yield bad("block", "signed block of no frame", data[:70] + b"\x00", of)
    yield bad("block", "signed block of 33 frames", data[:70] + b"\x21" + bytes(16 * 33), of)
    header = rtp.RtpHeader(rtp.PT_BLOCK, 0, TUNE.timestamp0, TUNE.block_ssrc).pack()
    inputs = {"master_key": key.key, "master_salt": key.salt, "index": 0, "header": header, "payload": data}
    yield good("srtp", "SRTP packet of block 0", inputs, context.protect(header, data, 0))


SECTIONS = (
    canonical_values,
    envelopes,
    key_lists,
    certificates,
    chains,
    orders,
    bundles,
    enrolment,
    statements,
    link_keys,
    link_messages,
    channel,
    payloads,
    media,
)


def prove_chains(vectors: list[Vector]) -> None:
    """The reasons of refusal stand in `chains` by hand: the code must give the same."""
    for vector in vectors:
        if vector["kind"] == "entitled":
            given = vector["inputs"]
            authority = Authority(KEYS["root"].public_key, bytes.fromhex(given["key_list"]))
            try:
                authority.entitled(
                    signed.parse(bytes.fromhex(given["envelope"]), Kind.ORDER),
                    Right(given["right"]),
                    utc_s=given["utc_s"],
                    place=[bytes.fromhex(area) for area in given["place"]],
                    chain=[bytes.fromhex(data) for data in given["chain"]],
                )
                reason = ""
            except Refused as refused:
                reason = refused.reason
            if reason != vector["refused"]:
                raise SystemExit(f"{vector['name']}: {reason!r}, not {vector['refused']!r}")


def make() -> str:
    """The text of the file."""
    vectors = [vector for section in SECTIONS for vector in section()]
    prove_chains(vectors)
    keys = {
        name: {"seed": key.seed.hex(), "public": key.public_key.hex(), "key_id": key.key_id.hex()}
        for name, key in KEYS.items()
    }
    return json.dumps({"protocol": 1, "keys": keys, "vectors": vectors}, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Make tests/data/vectors.json.")
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 when the file is another")
    text = make()
    if parser.parse_args().check:
        if PATH.exists() and PATH.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PATH} is not what this script makes", file=sys.stderr)
        return 1
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
