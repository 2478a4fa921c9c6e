"""Which broadcast each unprotected RTP output carries: what an endpoint would play that stands in its area."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from loa.arbiter import Arbiter, Move, Precedence
from loa.broadcast.air.media_port import Carry, Command, PlainOutput, UsePlain


@dataclass(frozen=True, slots=True)
class AreaOutput:
    """An area's output, and the ids of the area and of all above it."""

    output: PlainOutput
    path: frozenset[bytes]


class PlainDesk:
    """The outputs of areas, by area, and what is on air for whole areas."""

    def __init__(self, tell_media: Callable[[Command], None]) -> None:
        """`tell_media`: may drop what cannot be told."""
        self._tell_media = tell_media
        self._outputs: dict[bytes, AreaOutput] = {}
        self._areas: dict[bytes, frozenset[bytes]] = {}
        self._arbiter: Arbiter[bytes, bytes] = Arbiter()

    def open_epoch(self) -> None:
        """There is a media process that knows no output yet."""
        self._use()

    def replace(self, outputs: Mapping[bytes, AreaOutput]) -> None:
        """These are all outputs from now on."""
        before, self._outputs = self._outputs, dict(outputs)
        if before == self._outputs:
            return
        self._use()
        for area_id in before.keys() - outputs.keys():
            self._arbiter.place(area_id, ())
        for area_id, each in outputs.items():
            self._carry(self._arbiter.place(area_id, [on for on in self._areas if self._means(on, each)]))

    def begin(self, broadcast_id: bytes, precedence: Precedence, areas: Iterable[bytes]) -> None:
        """A broadcast for these whole areas begins."""
        self._areas[broadcast_id] = frozenset(areas)
        meant = [area_id for area_id, each in self._outputs.items() if self._means(broadcast_id, each)]
        self._carry(self._arbiter.begin(broadcast_id, precedence, meant))

    def end(self, broadcast_id: bytes) -> None:
        """No more of a broadcast is sent. Nothing, when it is over already."""
        if self._areas.pop(broadcast_id, None) is not None:
            self._carry(self._arbiter.end(broadcast_id))

    def _means(self, broadcast_id: bytes, output: AreaOutput) -> bool:
        return not self._areas[broadcast_id].isdisjoint(output.path)

    def _carry(self, moves: Iterable[Move[bytes, bytes]]) -> None:
        for move in moves:
            for area_id in sorted(move.endpoints):
                self._tell_media(Carry(area_id, move.after or b""))

    def _use(self) -> None:
        self._tell_media(UsePlain(tuple(each.output for each in self._outputs.values())))
