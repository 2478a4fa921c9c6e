"""Who hears what: carries out what the arbitration decides, at once or when it is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence, Set

from loa.broadcast.air.arbitration import Arbitration, Change
from loa.broadcast.air.media_port import Command
from loa.broadcast.air.running import Running
from loa.broadcast.air.session import Session
from loa.codecs.link_wire import Receipt
from loa.timing.clock import Clock


class Hearing:
    """The broadcasts on air, and the sessions that are meant by them. Lives in one event loop."""

    def __init__(
        self,
        tell_media: Callable[[Sequence[Command]], None],
        note_pre_empted: Callable[[Running, int], None],
        clock: Clock,
    ) -> None:
        """`tell_media`: sends commands to the media process if there is one; it does not raise. `note_pre_empted`:
        hears at how many endpoints a broadcast is pre-empted, whenever that number changes."""
        self._tell_media = tell_media
        self._note_pre_empted = note_pre_empted
        self._clock = clock
        self._arbitration = Arbitration()
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns: int | None = None

    def __contains__(self, running: Running) -> bool:
        """Whether who comes now can still hear it."""
        return running in self._arbitration

    @property
    def pre_empted(self) -> int:
        """How many endpoints play something else, each counted for every broadcast that they would play instead."""
        return self._arbitration.pre_empted

    def meant(self, running: Running) -> Set[Session]:
        """The sessions that a broadcast is for, be it that they hear it or something else."""
        return self._arbitration.meant(running)

    def begin(self, running: Running, sessions: Iterable[Session]) -> None:
        """A broadcast begins, for these sessions."""
        self._obey(self._arbitration.begin(running, sessions, self._clock.monotonic_ns()))

    def end(self, running: Running) -> None:
        """No more of it is sent: what it pre-empted is sent again where it was heard. May come twice."""
        self._obey(self._arbitration.end(running, self._clock.monotonic_ns()))

    def place(self, session: Session, meant_by: Sequence[Running]) -> None:
        """A session came or moved: just these broadcasts are for it."""
        self._obey(self._arbitration.place(session, meant_by, self._clock.monotonic_ns()))

    def gone(self, session: Session) -> None:
        """A session is over, and its channel too."""
        self._obey(self._arbitration.gone(session, self._clock.monotonic_ns()))

    def door_changed(self, session: Session) -> None:
        """What a session hears goes on by its new door or group, from the next frame."""
        self._obey(self._arbitration.door_changed(session))

    def answered(self, session: Session, receipts: Iterable[Receipt]) -> None:
        """An endpoint accepts or refuses orders."""
        self._obey(self._arbitration.answered(session, receipts, self._clock.monotonic_ns()))

    def _obey(self, change: Change) -> None:
        self._tell_media(change.commands)
        for running, endpoints in change.pre_empted:
            self._note_pre_empted(running, endpoints)
        due_ns = self._arbitration.next_due_ns()
        if due_ns == self._due_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due_ns, self._timer = due_ns, None
        if due_ns is not None:
            delay_s = (due_ns - self._clock.monotonic_ns()) / 1e9
            self._timer = asyncio.get_running_loop().call_later(max(0.0, delay_s), self._changes_due)

    def _changes_due(self) -> None:
        self._due_ns = self._timer = None
        self._obey(self._arbitration.due(self._clock.monotonic_ns()))
