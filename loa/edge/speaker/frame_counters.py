"""What became of the frames of a generation, and of the datagrams that brought them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Frames by what became of them (see docs/protocol.md, *Receipts*), then datagrams that were dropped."""

    played: int = 0
    repaired: int = 0
    recovered: int = 0
    concealed: int = 0
    unsigned: int = 0
    malformed: int = 0
    unauthentic: int = 0
    replayed: int = 0
    late: int = 0
    outside: int = 0
    forged: int = 0  # encrypted with the group's key, and not the origin's
    no_key: int = 0

    @property
    def dropped(self) -> int:
        """Datagrams that were of no use."""
        return (
            self.malformed + self.unauthentic + self.replayed + self.late + self.outside + self.forged + self.no_key
        )
