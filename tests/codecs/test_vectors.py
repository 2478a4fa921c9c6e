"""tests/data/vectors.json in both directions; what is derived is derived a second time, by hand."""

import dataclasses
import hashlib
import hmac
import importlib.util
import json
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loa import errors
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
from loa.codecs.authority import Authority, Certificate, KeyList, Right, open_key_list
from loa.codecs.canonical import Value
from loa.codecs.channel_wire import Nack, Probe, ProbeReply
from loa.codecs.enrolment_wire import EnrolmentCode
from loa.codecs.key_schedule import Agreement, LinkKeys
from loa.codecs.order_wire import Bundle, Order, Stop, Tune, order_id, seal_order
from loa.codecs.signed import Kind, SigningKey
from loa.codecs.statement_wire import Beacon, Placement, Welcome
from loa.model import ReceiptState

ROOT = Path(__file__).parents[2]
FILE = json.loads((ROOT / "tests" / "data" / "vectors.json").read_text(encoding="utf-8"))
KEYS = {name: SigningKey(bytes.fromhex(key["seed"])) for name, key in FILE["keys"].items()}
VECTORS: list[dict[str, Any]] = FILE["vectors"]
Inputs = dict[str, Any]


def named(test: Callable[[dict[str, Any]], bool]) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS if test(vector)]


def unhex(inputs: Inputs, *names: str) -> dict[str, bytes]:
    return {name: bytes.fromhex(inputs[name]) for name in names}


# --- JSON and dataclasses ----------------------------------------------------------------------------------------


def build(kind: Any, value: Any) -> Any:
    """A value of the annotated type `kind` from its JSON."""
    if kind is bytes:
        return bytes.fromhex(value)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        if inner[-1] is Ellipsis:
            return tuple(build(inner[0], item) for item in value)
        return tuple(build(each, item) for each, item in zip(inner, value, strict=True))
    if isinstance(kind, types.UnionType):
        if value is None:
            return None
        options = [each for each in typing.get_args(kind) if each is not types.NoneType]
        if len(options) > 1:
            options = [Tune if "ssrc" in value else Stop]
        return build(options[0], value)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return kind(**{name: build(hints[name], item) for name, item in value.items()})
    return kind(value)


def plain(value: Any) -> Any:
    """What `build` takes."""
    if isinstance(value, bytes):
        return value.hex()
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, int) else value


def untagged(value: Any) -> Value:
    if isinstance(value, list):
        return [untagged(item) for item in value]
    if isinstance(value, dict):
        if "bytes" in value:
            return bytes.fromhex(value["bytes"])
        return {key: untagged(item) for key, item in value["map"]}
    assert isinstance(value, int | str)
    return value


def tagged(value: Value) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, dict):
        return {"map": [[key, tagged(item)] for key, item in value.items()]}
    return [tagged(item) for item in value] if isinstance(value, list) else value


# --- the doors: how each kind is made from its inputs, and read --------------------------------------------------


def opened(data: bytes, kind: Kind, signer: str) -> bytes:
    envelope = signed.parse(data, kind)
    envelope.check(KEYS[signer].public_key)
    return envelope.body


def sealed_value(kind: Kind, cls: Any) -> tuple[Callable[[Inputs], bytes], Callable[[bytes, Inputs], Inputs]]:
    def encode(inputs: Inputs) -> bytes:
        sealed: bytes = build(cls, inputs["value"]).seal(KEYS[inputs["signer"]])
        return sealed

    def decode(data: bytes, inputs: Inputs) -> Inputs:
        value = cls.decode(opened(data, kind, inputs["signer"]))
        return {"signer": inputs["signer"], "value": plain(value)}

    return encode, decode


def encode_envelope(inputs: Inputs) -> bytes:
    return signed.seal(Kind(inputs["kind"]), KEYS[inputs["signer"]], bytes.fromhex(inputs["body"]))


def decode_envelope(data: bytes, inputs: Inputs) -> Inputs:
    body = opened(data, Kind(inputs["kind"]), inputs["signer"])
    return {"signer": inputs["signer"], "kind": inputs["kind"], "body": body.hex()}


def decode_key_list(data: bytes, inputs: Inputs) -> Inputs:
    return {"signer": "root", "value": plain(open_key_list(data, KEYS["root"].public_key))}


def encode_order(inputs: Inputs) -> bytes:
    return seal_order(build(Order, inputs["value"]), KEYS[inputs["signer"]])


def decode_order(data: bytes, inputs: Inputs) -> Inputs:
    order = Order.decode(opened(data, Kind.ORDER, inputs["signer"]))
    return {"signer": inputs["signer"], "value": plain(order)}


def encode_bundle(inputs: Inputs) -> bytes:
    envelope = signed.parse(bytes.fromhex(inputs["envelope"]), Kind.ORDER)
    return Bundle(envelope, tuple(bytes.fromhex(each) for each in inputs["chain"])).encode()


def decode_bundle(data: bytes, inputs: Inputs) -> Inputs:
    bundle = Bundle.decode(data)
    return {"chain": plain(bundle.chain), "envelope": bundle.envelope.encode().hex()}


def decode_order_datagram(data: bytes, inputs: Inputs) -> Inputs:
    bundle = channel_wire.parse_order(data)
    assert bundle is not None
    return {"bundle": bundle.hex()}


def no_encoder(inputs: Inputs) -> bytes:
    raise AssertionError("of this kind there are only refused bytes")


def decode_code(data: bytes, inputs: Inputs) -> Inputs:
    return {"text": EnrolmentCode.parse(data.decode()).text}


def encode_secret(inputs: Inputs) -> bytes:
    keys = LinkKeys(b"", bytes.fromhex(inputs["sealing_key"]))
    return key_schedule.seal_secret(keys, serial=inputs["serial"], **unhex(inputs, "epoch", "epoch_secret"))


def decode_secret(data: bytes, inputs: Inputs) -> Inputs:
    keys = LinkKeys(b"", bytes.fromhex(inputs["sealing_key"]))
    secret = key_schedule.open_secret(
        keys, epoch=bytes.fromhex(inputs["epoch"]), serial=inputs["serial"], sealed=data
    )
    return {**inputs, "epoch_secret": secret.hex()}


MESSAGES: dict[int, Any] = {cls.TYPE: cls for cls in typing.get_args(link_wire.Message)}


def encode_link(inputs: Inputs) -> bytes:
    return link_wire.encode(build(MESSAGES[inputs["type"]], inputs["value"]))


def decode_link(data: bytes, inputs: Inputs) -> Inputs:
    message = link_wire.decode(data)
    return {"type": message.TYPE, "value": plain(message)}


def encode_channel(inputs: Inputs) -> bytes:
    type_, (channel_id, payload, secret) = inputs["type"], unhex(inputs, "channel_id", "payload", "secret").values()
    return channel_wire.encode(channel_wire.Type(type_), channel_id, inputs["counter"], payload, secret)


def decode_channel(data: bytes, inputs: Inputs) -> Inputs:
    datagram = channel_wire.parse(data)
    datagram.check(bytes.fromhex(inputs["secret"]))
    read = {name: plain(getattr(datagram, name)) for name in ("type", "channel_id", "counter", "payload")}
    return {"secret": inputs["secret"], **read}


def payload_of(cls: Any) -> tuple[Callable[[Inputs], bytes], Callable[[bytes, Inputs], Inputs]]:
    def encode(inputs: Inputs) -> bytes:
        data: bytes = build(cls, inputs).encode()
        return data

    def decode(data: bytes, inputs: Inputs) -> Inputs:
        read: Inputs = plain(cls.decode(data))
        return read

    return encode, decode


def encode_srtp(inputs: Inputs) -> bytes:
    context = srtp.SrtpContext(*unhex(inputs, "master_key", "master_salt").values())
    header, payload = unhex(inputs, "header", "payload").values()
    return context.protect(header, payload, inputs["index"])


def decode_srtp(data: bytes, inputs: Inputs) -> Inputs:
    context = srtp.SrtpContext(*unhex(inputs, "master_key", "master_salt").values())
    header, payload = context.unprotect(data, inputs["index"])
    return {**inputs, "header": header.pack().hex(), "payload": payload.hex()}


def encode_block(inputs: Inputs) -> bytes:
    hashes = [bytes.fromhex(each) for each in inputs["hashes"]]
    return block_wire.seal_block(KEYS[inputs["signer"]], inputs["ssrc"], inputs["first_index"], hashes)


def decode_block(data: bytes, inputs: Inputs) -> Inputs:
    block = block_wire.open_block(KEYS[inputs["signer"]].public_key, inputs["ssrc"], data)
    return {"signer": inputs["signer"], "ssrc": inputs["ssrc"], **plain(block)}


DOORS: dict[str, tuple[Callable[[Inputs], bytes], Callable[[bytes, Inputs], Inputs]]] = {
    "canonical": (
        lambda inputs: canonical.encode(untagged(inputs["value"])),
        lambda data, _: {"value": tagged(canonical.decode(data, max_bytes=65_536))},
    ),
    "envelope": (encode_envelope, decode_envelope),
    "key list": (sealed_value(Kind.KEY_LIST, KeyList)[0], decode_key_list),
    "certificate": sealed_value(Kind.CERTIFICATE, Certificate),
    "beacon": sealed_value(Kind.BEACON, Beacon),
    "placement": sealed_value(Kind.PLACEMENT, Placement),
    "welcome": sealed_value(Kind.WELCOME, Welcome),
    "order": (encode_order, decode_order),
    "bundle": (encode_bundle, decode_bundle),
    "order datagram": (
        lambda inputs: channel_wire.encode_order(bytes.fromhex(inputs["bundle"])),
        decode_order_datagram,
    ),
    "group datagram": (
        lambda inputs: group_wire.encode_beat(bytes.fromhex(inputs["epoch"])),
        lambda data, _: {"epoch": (group_wire.parse_beat(data) or b"").hex()},
    ),
    "enrolment code": (no_encoder, decode_code),
    "sealed secret": (encode_secret, decode_secret),
    "link message": (encode_link, decode_link),
    "channel": (encode_channel, decode_channel),
    "probe": payload_of(Probe),
    "probe reply": payload_of(ProbeReply),
    "nack": payload_of(Nack),
    "srtp": (encode_srtp, decode_srtp),
    "block": (encode_block, decode_block),
}


@pytest.mark.parametrize("vector", named(lambda v: "bytes" in v and "error" not in v))
def test_inputs_encode_to_the_bytes_and_the_bytes_decode_to_the_inputs(vector: dict[str, Any]) -> None:
    encode, decode = DOORS[vector["kind"]]
    data = bytes.fromhex(vector["bytes"])
    assert encode(vector["inputs"]).hex() == vector["bytes"]
    assert decode(data, vector["inputs"]) == vector["inputs"]


@pytest.mark.parametrize("vector", named(lambda v: "error" in v))
def test_bytes_to_refuse_are_refused_with_the_stated_error(vector: dict[str, Any]) -> None:
    with pytest.raises(errors.LoaError) as caught:
        DOORS[vector["kind"]][1](bytes.fromhex(vector["bytes"]), vector["inputs"])
    assert type(caught.value) is getattr(errors, vector["error"])


@pytest.mark.parametrize("vector", named(lambda v: "refused" in v))
def test_a_signer_is_entitled_or_refused_with_the_stated_reason(vector: dict[str, Any]) -> None:
    inputs = vector["inputs"]
    authority = Authority(KEYS["root"].public_key, bytes.fromhex(inputs["key_list"]))
    envelope = signed.parse(bytes.fromhex(inputs["envelope"]), Kind.ORDER)
    reason = ""
    try:
        authority.entitled(
            envelope,
            Right(inputs["right"]),
            utc_s=inputs["utc_s"],
            place=[bytes.fromhex(area) for area in inputs["place"]],
            chain=[bytes.fromhex(each) for each in inputs["chain"]],
        )
    except errors.Refused as refused:
        reason = refused.reason
    assert reason == vector["refused"]


# --- what is derived, by the code and a second time by hand ------------------------------------------------------


def by_hand_hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 §2."""
    key, okm, block = hmac.digest(salt, secret, "sha256"), b"", b""
    for counter in range(1, -(-size // 32) + 1):
        block = hmac.digest(key, block + info + bytes((counter,)), "sha256")
        okm += block
    return okm[:size]


def by_hand_mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")[:16]


def derive_code(inputs: Inputs) -> Inputs:
    code = EnrolmentCode.parse(inputs["typed"])
    assert code.key() == by_hand_hkdf(code.secret.encode(), b"loa enrolment", code.code_id.encode(), 32)
    return {"code_id": code.code_id, "secret": code.secret, "text": code.text, "key": code.key().hex()}


def derive_claim(inputs: Inputs) -> Inputs:
    key, device_key, nonce = unhex(inputs, "key", "device_key", "nonce").values()
    mac = enrolment_wire.claim_mac(
        key, code_id=inputs["code_id"], device_key=device_key, nonce=nonce, kind=inputs["kind"]
    )
    front = b"loa-claim-v1\0" + inputs["code_id"].encode()
    assert mac == by_hand_mac(key, front + device_key + nonce + inputs["kind"].encode())
    return {"mac": mac.hex()}


def derive_answer(inputs: Inputs) -> Inputs:
    key = bytes.fromhex(inputs["key"])
    parts = unhex(inputs, "nonce", "endpoint_id", "root_key", "key_list", "placement")
    mac = enrolment_wire.answer_mac(key, **parts)
    size = len(parts["key_list"]).to_bytes(4, "big")
    front = parts["nonce"] + parts["endpoint_id"] + parts["root_key"] + size
    assert mac == by_hand_mac(key, b"loa-claim-answer-v1\0" + front + parts["key_list"] + parts["placement"])
    return {"mac": mac.hex()}


def derive_link_keys(inputs: Inputs) -> Inputs:
    client, server = (Agreement(bytes.fromhex(inputs[name])) for name in ("private_c", "private_s"))
    parts = unhex(inputs, "nonce_c", "nonce_s", "endpoint_id")
    keys = client.keys(server.public, **parts)
    assert keys == server.keys(client.public, **parts)
    return {"public_c": client.public.hex(), "public_s": server.public.hex(), **plain(keys)}


def derive_proof(inputs: Inputs) -> Inputs:
    hello, welcome = unhex(inputs, "hello", "welcome").values()
    message = key_schedule.proof_message(hello, welcome)
    assert message == b"loa-link-proof-v1\0" + hashlib.sha256(hello + welcome).digest()
    return {"message": message.hex(), "signature": KEYS[inputs["signer"]].sign(message).hex()}


def derive_media_key(inputs: Inputs) -> Inputs:
    secret, epoch, broadcast_id = unhex(inputs, "epoch_secret", "epoch", "broadcast_id").values()
    key = key_schedule.media_key(secret, epoch, broadcast_id, inputs["generation"])
    info = b"loa/1 media" + broadcast_id + inputs["generation"].to_bytes(4, "big")
    assert key.key + key.salt == by_hand_hkdf(secret, epoch, info, 28)
    return {"key": key.key.hex(), "salt": key.salt.hex()}


def derive_order_id(inputs: Inputs) -> Inputs:
    envelope = signed.parse(bytes.fromhex(inputs["envelope"]), Kind.ORDER)
    return {"id": order_id(envelope.signer, Order.decode(envelope.body).seq).hex()}


def derive_frame_hash(inputs: Inputs) -> Inputs:
    header, payload = unhex(inputs, "header", "payload").values()
    assert len(header) == rtp.HEADER_BYTES
    return {"hash": block_wire.frame_hash(header, payload).hex()}


DERIVED: dict[str, Callable[[Inputs], Inputs]] = {
    "enrolment code": derive_code,
    "claim mac": derive_claim,
    "answer mac": derive_answer,
    "link keys": derive_link_keys,
    "proof": derive_proof,
    "media key": derive_media_key,
    "order id": derive_order_id,
    "frame hash": derive_frame_hash,
}


@pytest.mark.parametrize("vector", named(lambda v: "outputs" in v))
def test_what_is_derived_is_as_stated(vector: dict[str, Any]) -> None:
    assert DERIVED[vector["kind"]](vector["inputs"]) == vector["outputs"]


# --- the file itself ---------------------------------------------------------------------------------------------


def test_the_script_makes_the_same_file_again() -> None:
    spec = importlib.util.spec_from_file_location("make_vectors", ROOT / "scripts" / "make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.make() == module.PATH.read_text(encoding="utf-8"), "run scripts/make_vectors.py"


def test_the_keys_are_what_their_seeds_make() -> None:
    for name, key in FILE["keys"].items():
        assert (KEYS[name].public_key.hex(), KEYS[name].key_id.hex()) == (key["public"], key["key_id"])
        assert hashlib.sha256(KEYS[name].public_key).hexdigest()[:16] == key["key_id"]


def test_names_are_unique_and_every_structure_has_a_vector() -> None:
    names = [vector["name"] for vector in VECTORS]
    assert len(names) == len(set(names))
    kept = [vector for vector in VECTORS if "error" not in vector]
    assert {v["kind"] for v in kept} == {*DOORS, *DERIVED, "entitled"}
    assert {v["inputs"]["type"] for v in kept if v["kind"] == "link message"} == set(MESSAGES)
    types_seen = {v["inputs"]["type"] for v in kept if v["kind"] == "channel"}
    assert types_seen == set(channel_wire.UPWARD | channel_wire.DOWNWARD)


def test_every_enumerated_value_of_a_receipt_stands_in_a_vector() -> None:
    seen = {
        receipt["state"]
        for v in VECTORS
        if v["kind"] == "link message"
        and "error" not in v
        and v["inputs"]["type"] == link_wire.ReceiptsMessage.TYPE
        for receipt in v["inputs"]["value"]["receipts"]
    }
    assert seen == {int(state) for state in ReceiptState}
