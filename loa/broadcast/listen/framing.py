"""How a body without a known length stands in an HTTP answer (RFC 9112 §6)."""

from __future__ import annotations

from enum import Enum


class Framing(Enum):
    """Made once for each piece, whoever gets it."""

    CHUNKED = "chunked"
    """HTTP/1.1: every piece says its length, and the end is said."""
    BARE = "bare"
    """HTTP/1.0: the body ends with the connection."""

    def frame(self, piece: bytes) -> bytes:
        """A piece of the body, not empty."""
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self is Framing.CHUNKED else piece

    @property
    def trailer(self) -> bytes:
        """What ends the body."""
        return b"0\r\n\r\n" if self is Framing.CHUNKED else b""
