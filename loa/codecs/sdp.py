"""Session descriptions (RFC 8866) of one audio session: Opus by plain RTP (RFC 7587) to a multicast group."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loa.codecs.multicast import group_host, is_ipv6, source_host
from loa.codecs.rtp import PT_OPUS
from loa.errors import WireError

MEDIA_TYPE = "application/sdp"
MAX_BYTES = 8_192
MAX_LINES = 200
MAX_NAME_BYTES = 120
"""So that a description fits an announcement of 1,000 bytes (RFC 2974 §6)."""
MAX_ID = (1 << 63) - 1
_LINE = re.compile(r"([a-z])=(.+)")


@dataclass(frozen=True, slots=True)
class AudioSession:
    """One session. `session_id`, `version`: 0 … 2^63 - 1; the version grows whenever anything else changes.

    `origin`: the numeric address that it is sent from. `ttl`: of IPv4 groups, 1 to 255.
    """

    session_id: int
    version: int
    origin: str
    name: str
    host: str
    port: int
    ttl: int
    payload_type: int = PT_OPUS
    frame_ms: int = 20

    @property
    def origin_line(self) -> str:
        """The line that names it, which a deletion repeats; without its end."""
        return f"o=loa {self.session_id} {self.version} IN {_kind(self.origin)} {self.origin}"

    def encode(self) -> bytes:
        """The description. RTCP is neither sent nor wanted (RFC 3556): nobody has to report to a whole city."""
        kind = _kind(self.host)
        where = self.host if is_ipv6(self.host) else f"{self.host}/{self.ttl}"
        lines = (
            "v=0",
            self.origin_line,
            f"s={_shortened(self.name) or '-'}",
            f"c=IN {kind} {where}",
            "t=0 0",
            "a=tool:loa",
            "a=type:broadcast",
            "a=recvonly",
            f"a=source-filter: incl IN {kind} {self.host} {self.origin}",
            f"m=audio {self.port} RTP/AVP {self.payload_type}",
            "b=RS:0",
            "b=RR:0",
            f"a=rtpmap:{self.payload_type} opus/48000/2",
            f"a=fmtp:{self.payload_type} sprop-stereo=0",
            f"a=ptime:{self.frame_ms}",
            "a=maxptime:60",
        )
        return "".join(f"{line}\r\n" for line in lines).encode()

    @classmethod
    def parse(cls, data: bytes) -> AudioSession:
        """The session in a description of one multicast audio stream of Opus; WireError for any other.

        What it does not know is passed over, as RFC 8866 §5 wants of attributes.
        """
        lines = _lines(data)
        session_id, version, origin = _origin(_one(lines, "o"))
        host, ttl = _connection(_one(lines, "c"))
        media = _one(lines, "m").split(" ")
        if len(media) != 4 or media[0] != "audio" or media[2] != "RTP/AVP":
            raise WireError("SDP: no audio by RTP")
        payload_type = _number(media[3], 127)
        attributes = [value for key, value in lines if key == "a"]
        if f"rtpmap:{payload_type} opus/48000/2" not in attributes:
            raise WireError("SDP: no Opus")
        spaced = [value.removeprefix("ptime:") for value in attributes if value.startswith("ptime:")]
        return cls(
            session_id=session_id,
            version=version,
            origin=origin,
            name=_one(lines, "s"),
            host=host,
            port=_number(media[1], 0xFFFF, least=1),
            ttl=ttl,
            payload_type=payload_type,
            frame_ms=_number(spaced[0], 120, least=1) if spaced else 20,
        )


def _lines(data: bytes) -> list[tuple[str, str]]:
    if len(data) > MAX_BYTES:
        raise WireError(f"SDP of {len(data)} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError("SDP: no UTF-8") from error
    rows = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    found = [_LINE.fullmatch(row) for row in rows]
    if len(rows) > MAX_LINES or "\0" in text or "\r" in text.replace("\r\n", "") or rows[0] != "v=0":
        raise WireError("SDP: no description")
    if None in found:
        raise WireError("SDP: a line without a type")
    return [(match[1], match[2]) for match in found if match is not None]


def _one(lines: list[tuple[str, str]], key: str) -> str:
    values = [value for each, value in lines if each == key]
    if len(values) != 1:
        raise WireError(f"SDP: {len(values)} lines of {key}=")
    return values[0]


def _origin(value: str) -> tuple[int, int, str]:
    parts = value.split(" ")
    if len(parts) != 6 or parts[3] != "IN" or parts[4] != _kind(parts[5]):
        raise WireError("SDP: no origin")
    return _number(parts[1], MAX_ID), _number(parts[2], MAX_ID), source_host(parts[5])


def _connection(value: str) -> tuple[str, int]:
    parts = value.split(" ")
    if len(parts) != 3 or parts[0] != "IN":
        raise WireError("SDP: no connection")
    host, *rest = parts[2].split("/")
    host = group_host(host)
    if parts[1] != _kind(host) or len(rest) != (parts[1] == "IP4"):
        raise WireError("SDP: no multicast connection")
    return host, _number(rest[0], 255, least=1) if rest else 255


def _number(text: str, most: int, *, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or not least <= int(text) <= most:
        raise WireError("SDP: a number out of range")
    return int(text)


def _kind(host: str) -> str:
    return "IP6" if is_ipv6(host) else "IP4"


def _shortened(name: str) -> str:
    """One line of at most MAX_NAME_BYTES."""
    line = " ".join(name.replace("\0", " ").split())
    return line.encode("utf-8", "replace")[:MAX_NAME_BYTES].decode("utf-8", "ignore").strip()
