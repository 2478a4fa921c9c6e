"""Session announcements (RFC 2974): that a session is there, and that it is there no more."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import ip_address

from loa.codecs.multicast import is_ipv6, source_host
from loa.codecs.sdp import MEDIA_TYPE, AudioSession
from loa.errors import WireError

MAX_BYTES = 1_024
"""RFC 2974 §6: no announcement should be longer."""
_VERSION = 0x20
_IPV6, _DELETION, _ENCRYPTED, _COMPRESSED = 0x10, 0x04, 0x02, 0x01


@dataclass(frozen=True, slots=True)
class Announcement:
    """One SAP packet. `source`: the numeric address of who announces. `id_hash`: 1 … 65,535, another whenever the
    description is another. `payload`: the description, or of a deletion its origin line."""

    source: str
    id_hash: int
    deletion: bool
    payload: bytes
    payload_type: str = MEDIA_TYPE

    def encode(self) -> bytes:
        """The packet; ValueError when it would be longer than MAX_BYTES."""
        flags = _VERSION | (_IPV6 if is_ipv6(self.source) else 0) | (_DELETION if self.deletion else 0)
        front = bytes((flags, 0)) + self.id_hash.to_bytes(2, "big") + ip_address(self.source).packed
        data = front + self.payload_type.encode("ascii") + b"\0" + self.payload
        if len(data) > MAX_BYTES:
            raise ValueError(f"an announcement of {len(data)} bytes")
        return data

    @classmethod
    def parse(cls, data: bytes) -> Announcement:
        """The packet in `data`; WireError for what is none, and for what is encrypted or compressed.

        What authenticates it is passed over: it proves nothing here.
        """
        if not 8 <= len(data) <= MAX_BYTES or data[0] & 0xE0 != _VERSION:
            raise WireError("no SAP packet of version 1")
        if data[0] & (_ENCRYPTED | _COMPRESSED):
            raise WireError("a SAP packet that is encrypted or compressed")
        at = 4 + (16 if data[0] & _IPV6 else 4)
        if len(data) < at:
            raise WireError("a SAP packet that is cut off")
        source = source_host(str(ip_address(data[4:at])))
        at += 4 * data[1]
        if len(data) < at:
            raise WireError("a SAP packet that is cut off")
        kind, payload = MEDIA_TYPE.encode(), data[at:]
        if not payload.startswith((b"v=0", b"o=")):  # §6: without a type it is SDP
            kind, ended, payload = payload.partition(b"\0")
            if not ended:
                raise WireError("a SAP packet whose payload type has no end")
        try:
            payload_type = kind.decode("ascii")
        except UnicodeDecodeError as error:
            raise WireError("a SAP packet of an unreadable payload type") from error
        return cls(source, int.from_bytes(data[2:4], "big"), bool(data[0] & _DELETION), payload, payload_type)


def announce(session: AudioSession) -> tuple[bytes, bytes]:
    """The packet that announces a session, and the one that says that it is over."""
    description = session.encode()
    id_hash = int.from_bytes(hashlib.sha256(description).digest()[:2], "big") or 1
    over = f"{session.origin_line}\r\n".encode()
    return (
        Announcement(session.origin, id_hash, False, description).encode(),
        Announcement(session.origin, id_hash, True, over).encode(),
    )
