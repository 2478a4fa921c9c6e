"""The light WebSocket client: its bytes as aiohttp's, and nothing that a server may not send."""

from __future__ import annotations

import pytest
from aiohttp._websocket.helpers import websocket_mask
from hypothesis import given
from hypothesis import strategies as st

from loa.app.load.websocket import FrameReader, Opcode, check_upgrade, encode_frame, upgrade_request
from loa.errors import WireError

NONCE = bytes(range(16))
GOOD = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    "Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: loa.link.v1"
)
# RFC 6455 §1.3
RFC_NONCE, RFC_ACCEPT = b"the sample nonce", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def _server_frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    size = len(payload)
    head = bytes((final << 7 | opcode,))
    if size < 126:
        return head + bytes((size,)) + payload
    return (
        head
        + (bytes((126,)) + size.to_bytes(2, "big") if size < 65_536 else bytes((127,)) + size.to_bytes(8, "big"))
        + payload
    )


@given(st.sampled_from([Opcode.BINARY, Opcode.PONG]), st.binary(max_size=70_000), st.binary(min_size=4, max_size=4))
def test_a_frame_unmasked_is_what_was_sent(opcode: Opcode, payload: bytes, mask: bytes) -> None:
    frame = encode_frame(opcode, payload, mask)
    assert frame[0] == 0x80 | opcode
    assert frame[1] & 0x80
    at = {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)
    assert frame[at : at + 4] == mask
    body = bytearray(frame[at + 4 :])
    websocket_mask(mask, body)
    assert bytes(body) == payload


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8), st.data())
def test_messages_come_out_however_they_were_cut_and_fragmented(messages: list[bytes], data: st.DataObject) -> None:
    sent = b""
    for message in messages:
        cut = data.draw(st.integers(0, len(message)))
        if data.draw(st.booleans()):
            sent += _server_frame(Opcode.BINARY, message)
        else:
            sent += _server_frame(Opcode.BINARY, message[:cut], final=False) + _server_frame(Opcode.PING, b"x")
            sent += _server_frame(Opcode.CONTINUATION, message[cut:])
    reader = FrameReader(1_000)
    got = []
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        got += reader.feed(sent[:size])
        sent = sent[size:]
    assert [frame.payload for frame in got if frame.opcode is Opcode.BINARY] == messages


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_a_wire_error(data: bytes) -> None:
    try:
        for frame in FrameReader(100).feed(data):
            assert len(frame.payload) <= 100 or frame.opcode >= Opcode.CLOSE
    except WireError:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"\xc2\x00",  # a reserved bit
        b"\x82\x80\x00\x00\x00\x00",  # masked
        b"\x83\x00",  # an opcode that is none
        b"\x09\x00",  # a ping in parts
        b"\x89\x7e\x00\x80" + bytes(128),  # a ping too long
        b"\x80\x00",  # a continuation of nothing
        b"\x02\x00\x82\x00",  # a message in the middle of another
        b"\x82\x7f" + (1 << 40).to_bytes(8, "big"),  # a terabyte
        b"\x02\x64" + bytes(100) + b"\x80\x64" + bytes(100),  # parts too large together
    ],
)
def test_what_no_server_may_send_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        FrameReader(150).feed(data)


def test_the_upgrade_is_asked_for_and_checked_as_the_rfc_says() -> None:
    request = upgrade_request("core:8080", "/link", RFC_NONCE, "loa.link.v1").decode()
    assert request.startswith("GET /link HTTP/1.1\r\nHost: core:8080\r\n")
    assert "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" in request
    assert request.endswith("\r\n\r\n")
    check_upgrade(GOOD.format(accept=RFC_ACCEPT).encode(), RFC_NONCE, "loa.link.v1")


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1",
        GOOD.format(accept="AAAA"),
        GOOD.format(accept=RFC_ACCEPT).replace("loa.link.v1", "loa.link.v2"),
        GOOD.format(accept=RFC_ACCEPT).replace("Upgrade: websocket", "Upgrade: h2c"),
        GOOD.format(accept=RFC_ACCEPT) + "\r\nSec-WebSocket-Extensions: permessage-deflate",
        "",
        "\xff\x00",
    ],
)
def test_any_other_answer_is_no_upgrade(head: str) -> None:
    with pytest.raises(WireError):
        check_upgrade(head.encode("latin-1"), RFC_NONCE, "loa.link.v1")
