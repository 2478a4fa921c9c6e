"""Descriptions and announcements: there and back, what is refused, and what others make of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs.sap import MAX_BYTES, Announcement, announce
from loa.codecs.sdp import MAX_ID, MAX_NAME_BYTES, AudioSession
from loa.errors import WireError

SESSION = AudioSession(
    session_id=7, version=2, origin="192.0.2.1", name="Xã Phù Long", host="239.1.2.3", port=5004, ttl=8
)
SIX = replace(SESSION, origin="2001:db8::1", host="ff35::4000:1", ttl=255)
names = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=25)
sessions = st.builds(
    AudioSession,
    session_id=st.integers(0, MAX_ID),
    version=st.integers(0, MAX_ID),
    origin=st.sampled_from(("192.0.2.1", "10.0.0.255")),
    name=names.filter(lambda name: len(name.encode()) <= MAX_NAME_BYTES),
    host=st.sampled_from(("239.1.2.3", "232.200.0.1")),
    port=st.integers(1, 65_535),
    ttl=st.integers(1, 255),
    payload_type=st.integers(0, 127),
    frame_ms=st.integers(1, 120),
)


@given(sessions | st.just(SIX))
def test_a_session_comes_back_whole_and_its_announcement_fits(session: AudioSession) -> None:
    assert AudioSession.parse(session.encode()) == session
    there, gone = (Announcement.parse(data) for data in announce(session))
    assert (there.source, there.deletion, there.payload) == (session.origin, False, session.encode())
    assert (gone.source, gone.deletion, gone.id_hash) == (session.origin, True, there.id_hash)
    assert gone.payload == session.origin_line.encode() + b"\r\n"
    assert there.id_hash > 0


def test_a_description_says_what_rfc_7587_and_8866_want() -> None:
    assert SESSION.encode().decode() == "\r\n".join(
        (
            "v=0",
            "o=loa 7 2 IN IP4 192.0.2.1",
            "s=Xã Phù Long",
            "c=IN IP4 239.1.2.3/8",
            "t=0 0",
            "a=tool:loa",
            "a=type:broadcast",
            "a=recvonly",
            "a=source-filter: incl IN IP4 239.1.2.3 192.0.2.1",
            "m=audio 5004 RTP/AVP 111",
            "b=RS:0",
            "b=RR:0",
            "a=rtpmap:111 opus/48000/2",
            "a=fmtp:111 sprop-stereo=0",
            "a=ptime:20",
            "a=maxptime:60",
            "",
        )
    )
    assert b"c=IN IP6 ff35::4000:1\r\n" in SIX.encode()


@given(st.text(max_size=300))
def test_any_name_gives_a_description_that_others_can_read(name: str) -> None:
    session = replace(SESSION, name=name)
    read = AudioSession.parse(session.encode())
    assert replace(read, name=name) == session
    assert len(read.name.encode()) <= MAX_NAME_BYTES
    assert all(len(data) <= MAX_BYTES for data in announce(session))


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_bytes_that_are_no_description_are_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError):
        AudioSession.parse(data)


LINES = SESSION.encode().split(b"\r\n")


@given(
    st.lists(
        st.tuples(st.integers(0, len(LINES) - 1), st.sampled_from(("drop", "twice", "cut", "noise"))), max_size=4
    )
)
def test_a_description_with_faults_is_read_or_a_wire_error(faults: list[tuple[int, str]]) -> None:
    lines = list(LINES)
    for at, fault in faults:
        line = lines[at % len(lines)]
        changed = {"drop": [], "twice": [line, line], "cut": [line[: len(line) // 2]], "noise": [line + b" 9" * 40]}
        lines[at % len(lines) : at % len(lines) + 1] = changed[fault]
        lines = lines or [b""]
    try:
        read = AudioSession.parse(b"\r\n".join(lines))
    except WireError:
        return
    assert AudioSession.parse(read.encode()).host == read.host


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"v=0", b"v=1"),
        (b"239.1.2.3/8", b"239.1.2.3"),
        (b"239.1.2.3/8", b"192.0.2.9/8"),
        (b"239.1.2.3/8", b"239.1.2.3/8/4"),
        (b"239.1.2.3/8", b"239.1.2.3/0"),
        (b"IN IP4 192.0.2.1\r", b"IN IP6 192.0.2.1\r"),
        (b"m=audio 5004", b"m=video 5004"),
        (b"m=audio 5004", b"m=audio 70000"),
        (b"RTP/AVP", b"RTP/SAVP"),
        (b"opus/48000/2", b"L16/48000/2"),
        (b"o=loa 7", "o=loa ٧".encode()),
        (b"ptime:20", b"ptime:-1"),
        (b"a=recvonly", b"nonsense"),
    ],
)
def test_what_is_not_one_multicast_stream_of_opus_is_refused(old: bytes, new: bytes) -> None:
    data = SESSION.encode()
    assert old in data
    with pytest.raises(WireError):
        AudioSession.parse(data.replace(old, new))


def test_an_announcement_has_the_header_of_rfc_2974() -> None:
    data = Announcement("192.0.2.1", 0x1234, False, b"v=0\r\n").encode()
    assert data == b"\x20\x00\x12\x34\xc0\x00\x02\x01application/sdp\0v=0\r\n"
    assert Announcement("2001:db8::1", 1, True, b"o=x\r\n").encode()[:4] == b"\x34\x00\x00\x01"


def test_an_announcement_without_a_payload_type_is_sdp_and_one_with_authentication_is_read() -> None:
    plain = b"\x20\x00\x12\x34\xc0\x00\x02\x01v=0\r\n"
    assert Announcement.parse(plain).payload == b"v=0\r\n"
    signed = b"\x20\x02\x12\x34\xc0\x00\x02\x01" + bytes(8) + b"application/sdp\0v=0\r\n"
    assert Announcement.parse(signed) == Announcement("192.0.2.1", 0x1234, False, b"v=0\r\n")


@given(st.binary(max_size=900))
def test_any_bytes_are_an_announcement_or_a_wire_error(data: bytes) -> None:
    for given_bytes in (data, b"\x20\x00\x00\x01\xc0\x00\x02\x01" + data, b"\x30" + data):
        try:
            read = Announcement.parse(given_bytes)
        except WireError:
            continue
        assert Announcement.parse(read.encode()) == read


@pytest.mark.parametrize("flags", [0x00, 0x40, 0x22, 0x21, 0x30])
def test_other_versions_and_hidden_or_short_packets_are_refused(flags: int) -> None:
    with pytest.raises(WireError):
        Announcement.parse(bytes((flags, 0)) + bytes((0, 1)) + b"\xc0\x00\x02\x01v=0\r\n"[:9])


def test_an_announcement_that_is_too_long_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="announcement of"):
        Announcement("192.0.2.1", 1, False, bytes(MAX_BYTES)).encode()
