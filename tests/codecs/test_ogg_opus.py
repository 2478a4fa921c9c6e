"""Ogg Opus files: written, read back, read by FFmpeg, and spoilt in every way a file can be."""

import io
import struct
from collections.abc import Sequence

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loa.codecs.ogg_opus import OggOpusWriter, read_ogg_opus
from loa.codecs.ogg_page import (
    FLAG_BOS,
    FLAG_CONTINUED,
    FLAG_EOS,
    MAX_PACKET_BYTES,
    OggPage,
    build_page,
    checksum,
)
from loa.codecs.opus_decode import packet_samples
from loa.codecs.opus_encode import OpusEncoder
from loa.errors import MediaError, WireError
from tests.sounds import pages_of

SERIAL = 0x10A
# CELT 20 ms, CELT 2.5 ms, SILK 60 ms, and 120 ms in one packet of two frames.
OPUS_PACKETS = st.builds(
    lambda toc, body: toc + body,
    st.sampled_from([b"\xf8", b"\xe0", b"\x18", b"\x1b\x02"]),
    st.integers(0, 600).map(lambda half: bytes(2 * half)),
)
FRAME = b"\xf8" + bytes(80)  # 20 ms
HEADER_PAGES = 2


def tone(samples: int) -> NDArray[np.float32]:
    return (0.4 * np.sin(np.arange(samples) * 2 * np.pi * 440 / 48_000)).astype(np.float32)


def written(packets: Sequence[bytes], page_ms: int = 1000, samples: int | None = None) -> bytes:
    writer = OggOpusWriter(SERIAL, page_ms=page_ms, tags={"title": "Bản tin sáng"})
    return writer.headers() + writer.pages(packets, final=True, samples=samples)


def rebuilt(pages: Sequence[OggPage], **changes: dict[int, int]) -> bytes:
    """The pages of whole packets again, with sound checksums and some fields changed: {field: {page: value}}."""
    return b"".join(
        build_page(
            page.pieces,
            changes.get("granule", {}).get(number, page.granule),
            changes.get("serial", {}).get(number, page.serial),
            changes.get("sequence", {}).get(number, page.sequence),
            changes.get("flags", {}).get(number, page.flags),
        )
        for number, page in enumerate(pages)
    )


def head_page(head: bytes) -> bytes:
    return build_page([head], 0, SERIAL, 0, FLAG_BOS)


def slow_checksum(data: bytes) -> int:
    """The definition of RFC 3533, bit by bit."""
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ 0x04C11DB7 if register & 0x80000000 else register << 1
        register &= 0xFFFFFFFF
    return register


@given(st.binary(max_size=300))
def test_the_checksum_is_the_one_of_rfc_3533(data: bytes) -> None:
    assert checksum(data) == slow_checksum(data)


@given(st.lists(OPUS_PACKETS, max_size=60), st.integers(20, 1000), st.lists(st.integers(0, 60), max_size=4))
def test_what_is_written_is_read(packets: list[bytes], page_ms: int, cuts: list[int]) -> None:
    writer = OggOpusWriter(
        SERIAL, channels=2, pre_skip=100, vendor="thử", tags={"a": "1", "B": ""}, page_ms=page_ms
    )
    data = writer.headers()
    at = 0
    for cut in sorted(cuts):
        data += writer.pages(packets[at:cut])
        at = max(at, cut)
    data += writer.pages(packets[at:], final=True)
    read = read_ogg_opus(data)
    assert read.packets == packets
    assert read.samples == max(0, sum(map(packet_samples, packets)) - 100)
    assert (read.channels, read.pre_skip, read.serial) == (2, 100, SERIAL)
    assert (read.vendor, read.tags) == ("thử", (("A", "1"), ("B", "")))
    assert pages_of(data)[-1].flags == FLAG_EOS


def test_granule_positions_count_every_sample_of_the_pages_so_far() -> None:
    pages = pages_of(written([FRAME] * 25, page_ms=200))[HEADER_PAGES:]
    assert [page.granule for page in pages] == [9_600, 19_200, 24_000]
    assert [len(page.pieces) for page in pages] == [10, 10, 5]
    assert [page.flags for page in pages] == [0, 0, FLAG_EOS]


def test_a_live_page_is_given_as_soon_as_it_is_full() -> None:
    writer = OggOpusWriter(SERIAL, page_ms=40)
    writer.headers()
    assert writer.pages([FRAME]) == b""
    assert [page.granule for page in pages_of(writer.pages([FRAME]))] == [1920]
    assert pages_of(writer.pages([], final=True))[0].flags == FLAG_EOS


def test_the_last_packet_stands_on_the_page_that_ends_the_stream() -> None:
    pages = pages_of(written([FRAME] * 20, page_ms=200))
    assert [len(page.pieces) for page in pages[HEADER_PAGES:]] == [10, 10]
    assert pages[-1].flags == FLAG_EOS


def test_the_end_is_trimmed_to_the_samples_told() -> None:
    assert read_ogg_opus(written([FRAME] * 3, samples=2000)).samples == 2000
    with pytest.raises(ValueError, match="do not end in the last page"):
        written([FRAME] * 3, samples=3 * 960)
    with pytest.raises(ValueError, match="do not end in the last page"):
        written([FRAME] * 30, page_ms=200, samples=10)


@pytest.mark.parametrize(("seconds", "page_ms"), [(3.21, 1000), (0.5, 20)])
def test_ffmpeg_decodes_it_at_the_right_length(seconds: float, page_ms: int) -> None:
    sound = tone(round(seconds * 48_000))
    encoder = OpusEncoder()
    packets = [*encoder.encode(sound), *encoder.flush()]
    writer = OggOpusWriter(SERIAL, pre_skip=encoder.pre_skip_samples, tags={"TITLE": "Loa"}, page_ms=page_ms)
    data = writer.headers() + writer.pages(packets, final=True, samples=len(sound))
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        assert container.format.name == "ogg"
        assert stream.codec_context.name in ("opus", "libopus")
        assert stream.metadata["TITLE"] == "Loa"
        assert container.duration is not None
        assert abs(container.duration - seconds * av.time_base) < 0.01 * av.time_base
        decoded = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(stream)])
    assert len(decoded) == len(sound)
    assert float(np.dot(decoded, sound) / (np.linalg.norm(decoded) * np.linalg.norm(sound))) > 0.98


def test_a_file_that_ffmpeg_wrote_is_read() -> None:
    sound = tone(60_000)
    target = io.BytesIO()
    with av.open(target, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    read = read_ogg_opus(target.getvalue())
    assert (read.channels, read.pre_skip, read.samples) == (1, 312, 60_000)
    assert {packet_samples(packet) for packet in read.packets} == {960}
    assert "ENCODER" in dict(read.tags)


def test_a_packet_over_several_pages_is_read() -> None:
    data = written([FRAME])
    head, tags, audio = pages_of(data)
    long_tags = tags.pieces[0] + bytes(1000)
    split = 255 * 3
    # Without a final short segment the packet goes on on the next page.
    first = struct.pack("<4sBBqIIIB", b"OggS", 0, 0, -1, SERIAL, 1, 0, 3) + b"\xff" * 3 + long_tags[:split]
    first = first[:22] + checksum(first).to_bytes(4, "little") + first[26:]
    second = build_page([long_tags[split:]], 0, SERIAL, 2, FLAG_CONTINUED)
    third = build_page(audio.pieces, audio.granule, SERIAL, 3, FLAG_EOS)
    read = read_ogg_opus(rebuilt([head]) + first + second + third)
    assert read.tags == (("TITLE", "Bản tin sáng"),)
    assert read.packets == [FRAME]
    with pytest.raises(WireError, match="continued"):
        read_ogg_opus(rebuilt([head]) + first + build_page([long_tags[split:]], 0, SERIAL, 2, 0) + third)


def test_a_stream_cut_out_of_a_longer_one_keeps_its_length() -> None:
    pages = pages_of(written([FRAME] * 20, page_ms=200))
    later = {number: pages[number].granule + 480_000 for number in (2, 3)}
    assert read_ogg_opus(rebuilt(pages, granule=later)).samples == 20 * 960 - 312


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": {3: 7}},  # a lost page
        {"serial": {3: 1}},  # a second stream
        {"flags": {0: 0}},  # no beginning
        {"flags": {2: FLAG_BOS}},  # a second beginning
        {"flags": {2: FLAG_EOS}},  # an end before the end
        {"flags": {3: 0}},  # no end
        {"flags": {3: FLAG_EOS | FLAG_CONTINUED}},
        {"granule": {0: 1}},
        {"granule": {1: 1}},
        {"granule": {2: 9_599}},  # less than the first page holds
        {"granule": {3: 19_201}},  # more than all pages hold
        {"granule": {3: 9_599}},  # back behind the page before
        {"granule": {3: -1}},
    ],
)
def test_pages_that_do_not_fit_together_are_refused(changes: dict[str, dict[int, int]]) -> None:
    pages = pages_of(written([FRAME] * 20, page_ms=200))
    assert read_ogg_opus(rebuilt(pages)).packets == [FRAME] * 20
    with pytest.raises(WireError):
        read_ogg_opus(rebuilt(pages, **changes))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"OpusHead",
        struct.pack("<8sBBHIhB", b"OpusHeap", 1, 1, 312, 48_000, 0, 0),
        struct.pack("<8sBBHIhB", b"OpusHead", 0, 1, 312, 48_000, 0, 0),
        struct.pack("<8sBBHIhB", b"OpusHead", 16, 1, 312, 48_000, 0, 0),
        struct.pack("<8sBBHIhB", b"OpusHead", 1, 0, 312, 48_000, 0, 0),
        struct.pack("<8sBBHIhB", b"OpusHead", 1, 3, 312, 48_000, 0, 0),
        struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 312, 48_000, 0, 1),
        struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 312, 48_000, 0, 0) + b"\x00",
    ],
)
def test_identification_headers_that_cannot_be_are_refused(head: bytes) -> None:
    rest = pages_of(written([FRAME]))[1:]
    with pytest.raises(WireError):
        read_ogg_opus(head_page(head) + rebuilt(rest))


@pytest.mark.parametrize(
    "tags",
    [
        b"OpusTag",
        b"OpusTags\x01",
        b"OpusTags\xff\xff\xff\xff",
        b"OpusTags" + bytes(4) + b"\xff\xff\xff\xff",
        b"OpusTags" + bytes(4) + b"\x01\x00\x00\x00\x03\x00\x00\x00a=",
        b"OpusTags" + bytes(4) + b"\x01\x00\x00\x00\x01\x00\x00\x00a",
        b"OpusTags" + bytes(4) + b"\x01\x00\x00\x00\x02\x00\x00\x00=a",
        b"OpusTags" + bytes(4) + b"\x01\x00\x00\x00\x03\x00\x00\x00a=\xff",
    ],
)
def test_comment_headers_that_cannot_be_are_refused(tags: bytes) -> None:
    head, _, audio = pages_of(written([FRAME]))
    with pytest.raises(WireError):
        read_ogg_opus(rebuilt([head]) + build_page([tags], 0, SERIAL, 1, 0) + rebuilt([audio]))


def test_a_packet_that_is_not_opus_is_refused_in_both_directions() -> None:
    head, tags, audio = pages_of(written([FRAME]))
    with pytest.raises(WireError, match="not Opus"):
        read_ogg_opus(rebuilt([head, tags]) + build_page([b""], audio.granule, SERIAL, 2, FLAG_EOS))
    writer = OggOpusWriter(SERIAL)
    writer.headers()
    with pytest.raises(MediaError):
        writer.pages([FRAME, b""])
    # The bad call left nothing behind: only one frame is on the last page.
    assert pages_of(writer.pages([FRAME], final=True))[0].pieces == [FRAME]


def test_a_file_cut_off_anywhere_is_refused() -> None:
    data = written([FRAME] * 20, page_ms=200)
    for end in range(len(data)):
        with pytest.raises(WireError):
            read_ogg_opus(data[:end])


def test_bytes_after_the_end_are_refused() -> None:
    data = written([FRAME])
    for more in (b"x", data, rebuilt(pages_of(data)[-1:], sequence={0: 3})):
        with pytest.raises(WireError):
            read_ogg_opus(data + more)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_always_found(at: int, change: int) -> None:
    data = bytearray(written([FRAME] * 20, page_ms=200))
    data[at % len(data)] ^= change
    with pytest.raises(WireError):
        read_ogg_opus(bytes(data))


def with_sound_checksums(data: bytes) -> bytes:
    """The same bytes with the checksum of every page that can be found made right."""
    fixed = bytearray(data)
    at = fixed.find(b"OggS")
    while at >= 0 and at + 27 <= len(fixed):
        end = at + 27 + fixed[at + 26] + sum(fixed[at + 27 : at + 27 + fixed[at + 26]])
        fixed[at + 22 : at + 26] = bytes(4)
        fixed[at + 22 : at + 26] = checksum(bytes(fixed[at:end])).to_bytes(4, "little")
        at = fixed.find(b"OggS", at + 27)
    return bytes(fixed)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_mutated_files_with_sound_checksums_give_a_file_or_a_wire_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(written([FRAME] * 6, page_ms=40))
    for at, value in changes:
        data[at % len(data)] = value
    try:
        read = read_ogg_opus(with_sound_checksums(bytes(data)))
    except WireError:
        return
    total = sum(map(packet_samples, read.packets))
    assert 0 <= read.samples <= total


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        read_ogg_opus(data)


def test_a_file_larger_than_the_limits_is_refused() -> None:
    data = written([FRAME] * 20)
    assert len(read_ogg_opus(data, limit_bytes=len(data), limit_packets=20).packets) == 20
    with pytest.raises(WireError, match="more than"):
        read_ogg_opus(data, limit_bytes=len(data) - 1)
    with pytest.raises(WireError, match="more than"):
        read_ogg_opus(data, limit_packets=19)


def test_a_packet_that_grows_over_pages_without_end_is_refused() -> None:
    head = rebuilt(pages_of(written([FRAME]))[:1])
    pages = []
    for number in range(1, 4):
        page = struct.pack(
            "<4sBBqIIIB", b"OggS", 0, FLAG_CONTINUED if number > 1 else 0, -1, SERIAL, number, 0, 255
        )
        page += b"\xff" * 255 + bytes(255 * 255)
        pages.append(page[:22] + checksum(page).to_bytes(4, "little") + page[26:])
    with pytest.raises(WireError, match=f"more than {MAX_PACKET_BYTES}"):
        read_ogg_opus(head + b"".join(pages))


def test_the_writer_refuses_what_no_stream_can_hold() -> None:
    for arguments in (
        {"serial": 1 << 32},
        {"serial": 1, "channels": 3},
        {"serial": 1, "pre_skip": 65_536},
        {"serial": 1, "page_ms": 19},
    ):
        with pytest.raises(ValueError, match=r"serial|channels|pre-skip|pages"):
            OggOpusWriter(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tag"):
        OggOpusWriter(1, tags={"a=b": "c"})
    with pytest.raises(ValueError, match="tags of"):
        OggOpusWriter(1, tags={"a": "x" * MAX_PACKET_BYTES})


def test_pages_stand_between_the_headers_and_the_end() -> None:
    writer = OggOpusWriter(SERIAL)
    with pytest.raises(ValueError, match="between"):
        writer.pages([FRAME])
    writer.headers()
    with pytest.raises(ValueError, match="already"):
        writer.headers()
    with pytest.raises(ValueError, match="last packets"):
        writer.pages([FRAME], samples=10)
    writer.pages([FRAME], final=True)
    with pytest.raises(ValueError, match="between"):
        writer.pages([FRAME])


@pytest.mark.parametrize(("pages", "packets"), [(0, 0), (1, 50), (7, 350)])
def test_who_joins_gets_the_headers_and_then_pages_that_run_on(pages: int, packets: int) -> None:
    whole = OggOpusWriter(SERIAL)
    heard = whole.headers() + whole.pages([FRAME] * 400, final=True)
    joined = OggOpusWriter(SERIAL)
    headers = joined.headers()
    joined.run_on(pages, packets * 960)
    rest = joined.pages([FRAME] * (400 - packets), final=True)
    assert heard.startswith(headers)
    assert heard.endswith(rest)
    assert len(pages_of(rest)) == len(pages_of(heard)) - HEADER_PAGES - pages


def test_a_stream_runs_on_only_from_its_headers() -> None:
    writer = OggOpusWriter(SERIAL)
    with pytest.raises(ValueError, match="after its headers"):
        writer.run_on(1, 960)
    writer.headers()
    with pytest.raises(ValueError, match="never back"):
        writer.run_on(-1, 0)
    writer.pages([FRAME] * 50)
    with pytest.raises(ValueError, match="after its headers"):
        writer.run_on(1, 960)
