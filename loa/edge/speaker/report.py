"""How a speaker is, for people who watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loa.model import id_text

if TYPE_CHECKING:
    from loa.edge.speaker.engine import SpeakerEngine

UNKNOWN_ERROR_NS = (1 << 63) - 1
"""What a status says of a clock that is not known."""


def report(engine: SpeakerEngine, now_ns: int) -> dict[str, object]:
    """Plain JSON values."""
    status = engine.status(now_ns)
    known = status.clock_error_ns != UNKNOWN_ERROR_NS
    playing = bool(status.broadcast_id)
    bound = engine.channel is not None and engine.channel.bound
    return {
        "endpoint_id": id_text(engine.identity.endpoint_id),
        "state": "playing" if playing else "tuned" if engine.busy else "idle",
        "broadcast_id": id_text(status.broadcast_id) if playing else None,
        "link": "up" if engine.session is not None and engine.session.up else "down",
        "media": "link" if engine.door.by_link else "bound" if bound else "unbound",
        "group": "heard" if engine.ear.hearing else "not heard" if engine.membership else "none",
        "clock_error_ns": status.clock_error_ns if known else None,
        "drift_ppb": status.drift_ppb if known else None,
        "played": status.played,
        "repaired": status.repaired,
        "recovered": status.recovered,
        "concealed": status.concealed,
        "unsigned": status.unsigned,
        "depth_ms": status.depth_ms,
        "dropped": status.dropped,
        "underruns": status.underruns,
        "hard_steps": status.hard_steps,
        "volume": status.volume,
        "orders_accepted": engine.gate.accepted,
        "orders_refused": engine.gate.refused,
        "receipts_waiting": len(engine.outbox),
    }
