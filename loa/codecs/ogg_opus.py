"""Opus in Ogg: the writer and a strict reader (RFC 3533, RFC 7845). One mono or stereo stream a file."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from loa.codecs.ogg_page import (
    FLAG_BOS,
    FLAG_CONTINUED,
    FLAG_EOS,
    MAX_PACKET_BYTES,
    OggPage,
    build_page,
    read_page,
)
from loa.codecs.opus_decode import packet_samples
from loa.errors import MediaError, WireError

DEFAULT_LIMIT_BYTES = 64 * 1024 * 1024
# Eleven hours of 20 ms packets. A file of many tiny packets costs far more memory than it has bytes.
DEFAULT_LIMIT_PACKETS = 2_000_000

_HEAD = struct.Struct("<8sBBHIhB")
_HEAD_MAGIC = b"OpusHead"
_TAGS_MAGIC = b"OpusTags"
_INPUT_RATE_HZ = 48_000
_LENGTH = struct.Struct("<I")
# The granule position of a page on which no packet ends (RFC 3533 §6).
_NO_GRANULE = -1
_HEADER_PAGES = 2


class OggOpusWriter:
    """Wraps packets into pages: `headers()` once, then `pages()` as packets come.

    A granule position counts samples at 48 kHz from the first packet, pre-skip included (RFC 7845 §4).
    """

    def __init__(
        self,
        serial: int,
        channels: int = 1,
        pre_skip: int = 312,
        vendor: str = "loa",
        tags: Mapping[str, str] | None = None,
        page_ms: int = 1000,
    ) -> None:
        """`serial` of 32 bits; `page_ms` 20 to 10,000: a page is full when it holds that much sound."""
        if not 0 <= serial < 1 << 32:
            raise ValueError(f"an Ogg serial number {serial}")
        if channels not in (1, 2):
            raise ValueError(f"an Opus stream has 1 or 2 channels here, not {channels}")
        if not 0 <= pre_skip < 1 << 16:
            raise ValueError(f"a pre-skip of {pre_skip}")
        if not 20 <= page_ms <= 10_000:
            raise ValueError(f"pages of {page_ms} ms")
        self._serial = serial
        self._head = _HEAD.pack(_HEAD_MAGIC, 1, channels, pre_skip, _INPUT_RATE_HZ, 0, 0)
        self._tags = _pack_tags(vendor, tags or {})
        self._pre_skip = pre_skip
        self._page_samples = page_ms * 48
        self._sequence = 0
        self._granule = 0  # of all packets taken
        self._page_granule = 0  # of the last page given
        self._waiting: list[bytes] = []
        self._waiting_segments = 0
        self._ended = False

    def headers(self) -> bytes:
        """The two header pages. They stand before all others."""
        if self._sequence:
            raise ValueError("the headers are written already")
        return self._page([self._head], 0, FLAG_BOS) + self._page([self._tags], 0, 0)

    def run_on(self, pages: int, samples: int) -> None:
        """Go on as if `pages` pages with `samples` samples (48 kHz) had been written since the headers.

        For a listener who joins a stream that others have heard from its beginning: the headers stand before the
        pages that all get, whose numbers and granule positions run on. ValueError after the first page.
        """
        if self._sequence != _HEADER_PAGES or self._granule or pages < 0 or samples < 0:
            raise ValueError("a stream runs on right after its headers, and never back")
        self._sequence += pages
        self._granule = self._page_granule = samples

    def pages(self, packets: Iterable[bytes], *, final: bool = False, samples: int | None = None) -> bytes:
        """The pages that these packets complete; what is left waits for more packets.

        `final` ends the stream: all that waits is written and the last page says so. `samples` (only then) is
        how many samples a player keeps after pre-skip, when the last packets hold more; what is cut must lie
        in the last page. MediaError for a packet that is not Opus.
        """
        if self._ended or not self._sequence:
            raise ValueError("pages stand between the headers and the end of the stream")
        if samples is not None and not final:
            raise ValueError("a length is told with the last packets")
        # All are looked at before one is taken: a bad packet leaves the stream as it was.
        taken = [(packet, _checked_samples(packet)) for packet in packets]
        written = []
        for packet, duration in taken:
            segments = len(packet) // 255 + 1
            # A full page is given at the latest here, and at the end of the call when more may follow: so the
            # last packet of a stream stands on the page that ends it.
            if self._page_is_full() or self._waiting_segments + segments > 255:
                written.append(self._give(0))
            self._waiting.append(packet)
            self._waiting_segments += segments
            self._granule += duration
        if final:
            if samples is not None:
                self._trim_to(samples)
            written.append(self._give(FLAG_EOS))
            self._ended = True
        elif self._page_is_full():
            written.append(self._give(0))
        return b"".join(written)

    def _page_is_full(self) -> bool:
        return self._granule - self._page_granule >= self._page_samples

    def _trim_to(self, samples: int) -> None:
        end = self._pre_skip + samples
        if not self._page_granule <= end <= self._granule:
            raise ValueError(f"{samples} samples do not end in the last page")
        self._granule = end

    def _give(self, flags: int) -> bytes:
        page = self._page(self._waiting, self._granule, flags)
        self._page_granule = self._granule
        self._waiting = []
        self._waiting_segments = 0
        return page

    def _page(self, packets: list[bytes], granule: int, flags: int) -> bytes:
        page = build_page(packets, granule, self._serial, self._sequence, flags)
        self._sequence += 1
        return page


@dataclass(frozen=True, slots=True)
class OggOpusFile:
    """An Ogg Opus file. `samples` (48 kHz) is what a player plays: less pre-skip and end trimming."""

    pre_skip: int
    channels: int
    packets: list[bytes]
    samples: int
    tags: tuple[tuple[str, str], ...]  # (NAME, value) in the file's order; a name may stand twice
    vendor: str = ""
    serial: int = 0
    output_gain_q8: int = 0  # to be applied by a player, in 1/256 dB


def read_ogg_opus(
    data: bytes, limit_bytes: int = DEFAULT_LIMIT_BYTES, limit_packets: int = DEFAULT_LIMIT_PACKETS
) -> OggOpusFile:
    """Read a whole file. WireError for anything that is malformed, cut off, damaged or larger than the
    limits.

    One stream of channel mapping family 0; no other stream beside or after it; no lost page. A stream that
    was cut out of a longer one may begin at a later granule position.
    """
    if len(data) > limit_bytes:
        raise WireError(f"an Ogg file of {len(data)} bytes, more than {limit_bytes}")
    reader = _Reader(limit_packets)
    position = 0
    while position < len(data):
        page, position = read_page(data, position)
        reader.take(page)
    return reader.finish()


class _Reader:
    """Pages in, one stream out."""

    def __init__(self, limit_packets: int) -> None:
        self._limit_packets = limit_packets
        self._serial = 0
        self._sequence = 0
        self._ended = False
        self._pending = bytearray()  # a packet that goes on on the next page
        self._is_pending = False
        self._head: tuple[int, int, int] | None = None
        self._tags: tuple[str, tuple[tuple[str, str], ...]] | None = None
        self._packets: list[bytes] = []
        self._start: int | None = None  # granule position at which the first packet begins
        self._granule = 0

    def take(self, page: OggPage) -> None:
        first = self._sequence == 0
        if self._ended:
            raise WireError("an Ogg page after the end of its stream")
        if first:
            self._serial = page.serial
        if page.serial != self._serial:
            raise WireError("a second stream in an Ogg file")
        if bool(page.flags & FLAG_BOS) != first:
            raise WireError("an Ogg stream that does not begin where its pages say")
        if page.sequence != self._sequence:
            raise WireError(f"Ogg page {page.sequence} where {self._sequence} was expected")
        if bool(page.flags & FLAG_CONTINUED) != self._is_pending:
            raise WireError("an Ogg packet that is continued on one page only")
        self._sequence += 1
        self._ended = bool(page.flags & FLAG_EOS)
        packets = self._complete(page)
        if self._head is None or self._tags is None:
            self._take_headers(page, packets)
        else:
            self._take_audio(page, packets)

    def finish(self) -> OggOpusFile:
        if self._head is None or self._tags is None or not self._ended or self._is_pending:
            raise WireError("an Ogg Opus file that is cut off")
        channels, pre_skip, gain = self._head
        vendor, tags = self._tags
        samples = self._granule - (self._start or 0) - pre_skip
        return OggOpusFile(
            pre_skip=pre_skip,
            channels=channels,
            packets=self._packets,
            samples=max(0, samples),
            tags=tags,
            vendor=vendor,
            serial=self._serial,
            output_gain_q8=gain,
        )

    def _complete(self, page: OggPage) -> list[bytes]:
        """The packets that end on this page."""
        pieces = page.pieces
        if not pieces:
            return []
        packets = []
        for number, piece in enumerate(pieces):
            self._pending += piece
            if len(self._pending) > MAX_PACKET_BYTES:
                raise WireError(f"an Ogg packet of more than {MAX_PACKET_BYTES} bytes")
            self._is_pending = page.unfinished and number == len(pieces) - 1
            if not self._is_pending:
                packets.append(bytes(self._pending))
                self._pending.clear()
        return packets

    def _take_headers(self, page: OggPage, packets: list[bytes]) -> None:
        if page.granule != (0 if packets else _NO_GRANULE):
            raise WireError(f"an Opus header page with the granule position {page.granule}")
        if not packets:
            if self._head is None:
                raise WireError("an Opus identification header that is not on one page")
            return
        if len(packets) != 1 or self._is_pending:
            raise WireError("an Opus header page that holds something else too")
        if self._head is None:
            self._head = _parse_head(packets[0])
        else:
            self._tags = _parse_tags(packets[0])

    def _take_audio(self, page: OggPage, packets: list[bytes]) -> None:
        if not packets:
            if page.granule != (_NO_GRANULE if page.pieces else self._granule):
                raise WireError(f"an empty Ogg page with the granule position {page.granule}")
            return
        if len(self._packets) + len(packets) > self._limit_packets:
            raise WireError(f"an Ogg file of more than {self._limit_packets} packets")
        try:
            duration = sum(packet_samples(packet) for packet in packets)
        except MediaError as error:
            raise WireError(f"an Ogg packet that is not Opus: {error}") from error
        if self._start is None:
            self._start = 0 if self._ended else page.granule - duration
            self._granule = self._start
        expected = self._granule + duration
        trimmed = self._ended and self._granule <= page.granule <= expected
        if self._start < 0 or (page.granule != expected and not trimmed):
            raise WireError(f"the granule position {page.granule} where {expected} was expected")
        self._granule = page.granule
        self._packets += packets


def _checked_samples(packet: bytes) -> int:
    if len(packet) > MAX_PACKET_BYTES:
        raise MediaError(f"an Opus packet of {len(packet)} bytes")
    return packet_samples(packet)


def _parse_head(packet: bytes) -> tuple[int, int, int]:
    """Channels, pre-skip and output gain of an identification header (RFC 7845 §5.1)."""
    if len(packet) < _HEAD.size or not packet.startswith(_HEAD_MAGIC):
        raise WireError("no Opus identification header")
    _, version, channels, pre_skip, _rate_hz, gain, family = _HEAD.unpack_from(packet)
    # Version 1 is the only one there is; up to 15 others must stay readable.
    if not 1 <= version <= 15 or (version == 1 and len(packet) != _HEAD.size):
        raise WireError(f"an Opus identification header of version {version} and {len(packet)} bytes")
    if family != 0 or channels not in (1, 2):
        raise WireError(f"Opus with {channels} channels in mapping family {family}")
    return channels, pre_skip, gain


def _pack_tags(vendor: str, tags: Mapping[str, str]) -> bytes:
    parts = [_TAGS_MAGIC, _packed_string(vendor), _LENGTH.pack(len(tags))]
    for name, value in tags.items():
        if not _is_tag_name(name):
            raise ValueError(f"a tag's name {name!r}")
        parts.append(_packed_string(f"{name.upper()}={value}"))
    packet = b"".join(parts)
    if len(packet) > MAX_PACKET_BYTES:
        raise ValueError(f"tags of {len(packet)} bytes")
    return packet


def _packed_string(text: str) -> bytes:
    raw = text.encode()
    return _LENGTH.pack(len(raw)) + raw


def _parse_tags(packet: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Vendor and tags of a comment header (RFC 7845 §5.2). What follows the last tag is padding."""
    if not packet.startswith(_TAGS_MAGIC):
        raise WireError("no Opus comment header")
    vendor, position = _read_string(packet, len(_TAGS_MAGIC))
    count, position = _read_length(packet, position)
    tags = []
    # A lying count stops at the packet's end: each tag takes four bytes or fails.
    for _ in range(count):
        text, position = _read_string(packet, position)
        name, separator, value = text.partition("=")
        if not separator or not _is_tag_name(name):
            raise WireError("an Opus tag without a name")
        tags.append((name.upper(), value))
    return vendor, tuple(tags)


def _read_length(packet: bytes, position: int) -> tuple[int, int]:
    if len(packet) < position + _LENGTH.size:
        raise WireError("an Opus comment header that is cut off")
    return int.from_bytes(packet[position : position + 4], "little"), position + 4


def _read_string(packet: bytes, position: int) -> tuple[str, int]:
    size_bytes, position = _read_length(packet, position)
    if size_bytes > len(packet) - position:
        raise WireError("an Opus comment header that is cut off")
    try:
        return packet[position : position + size_bytes].decode(), position + size_bytes
    except UnicodeDecodeError as error:
        raise WireError("an Opus tag that is not UTF-8") from error


def _is_tag_name(name: str) -> bool:
    """Printable ASCII without `=` and `~`."""
    return bool(name) and all(" " <= letter <= "}" and letter != "=" for letter in name)
