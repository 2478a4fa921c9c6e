"""The few values that every room speaks.

Identifiers are 16 bytes on the wire and in the store, and a UUID's text where people read them.
"""

from __future__ import annotations

import os
import uuid
from enum import IntEnum, StrEnum

ID_BYTES = 16
EMERGENCY_PRIORITY = 224
"""Priorities 224 to 255 are emergencies: only a key with the emergency right may order them."""


def new_id(utc_ms: int) -> bytes:
    """A new identifier: UUID version 7 (RFC 9562 §5.7), so that identifiers sort by the time they were made."""
    tail = bytearray(os.urandom(10))
    tail[0] = 0x70 | (tail[0] & 0x0F)
    tail[2] = 0x80 | (tail[2] & 0x3F)
    return (utc_ms & 0xFFFF_FFFF_FFFF).to_bytes(6, "big") + bytes(tail)


def id_text(identifier: bytes) -> str:
    """The text form of an identifier; ValueError unless it has 16 bytes."""
    if len(identifier) != ID_BYTES:
        raise ValueError(f"an identifier has {ID_BYTES} bytes, not {len(identifier)}")
    text = identifier.hex()  # several times faster than a UUID, and lists hold thousands
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_id(text: str) -> bytes:
    """The identifier that `text` writes; ValueError when it writes none."""
    return uuid.UUID(text).bytes


class EndpointKind(StrEnum):
    """What an enrolled device is."""

    SPEAKER = "speaker"
    BOARD = "board"


class ReceiptState(IntEnum):
    """How far an order has come at one endpoint. A receipt never goes back to a lower state."""

    RECEIVED = 1
    ACCEPTED = 2
    REFUSED = 3
    STARTED = 4
    FINISHED = 5


class BroadcastState(StrEnum):
    """The life of a broadcast."""

    PREPARING = "preparing"
    ON_AIR = "on_air"
    ENDED = "ended"
    STOPPED = "stopped"
    FAILED = "failed"
