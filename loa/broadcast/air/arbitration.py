"""The arbiter's decisions as sound: who is taken out of which broadcast's audience, who is put back, and when.

An endpoint gets no frame of what it does not play. It is taken out of the lower broadcast's audience when the last
frame that is heard before the higher one, and one more, have been sent. It is put back one signed block before the
end of the higher one, where that is known, and else after it: with equal play delays it has all that it needs, and
need ask for nothing, when it has heard the higher one to its end.

Pure: instants are handed in, and what is to be told to the media process is returned.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, field
from itertools import count

from loa.arbiter import Arbiter, Move, precedence_of
from loa.broadcast.air.media_port import Command
from loa.broadcast.air.running import Running
from loa.broadcast.air.session import Session
from loa.codecs.link_wire import Receipt
from loa.model import ReceiptState
from loa.timing.line import samples_to_ns

NS_PER_MS = 1_000_000


@dataclass(slots=True)
class Change:
    """What follows from one change: commands to the media process, in order, and at how many endpoints a broadcast
    is pre-empted now, for each where that number is another."""

    commands: list[Command] = field(default_factory=list)
    pre_empted: list[tuple[Running, int]] = field(default_factory=list)

    def add(self, later: Change) -> None:
        """And what follows after it."""
        self.commands += later.commands
        self.pre_empted += later.pre_empted


@dataclass(order=True, slots=True)
class _Leave:
    """Sessions that leave a broadcast's audience later, but for those that play it again before."""

    at_ns: int
    number: int
    running: Running = field(compare=False)
    sessions: set[Session] = field(compare=False)


@dataclass(order=True, slots=True)
class _End:
    """A broadcast gives its sessions back, though its last frames are still to be sent to them."""

    at_ns: int
    number: int
    running: Running = field(compare=False)


class Arbitration:
    """Which of the broadcasts on air each session gets."""

    def __init__(self) -> None:
        self._arbiter = Arbiter[Session, bytes]()
        self._running: dict[bytes, Running] = {}
        self._pre_empted: dict[bytes, int] = {}
        self._leaves: list[_Leave] = []
        self._ends: list[_End] = []
        self._numbers = count()

    def __contains__(self, running: Running) -> bool:
        """Whether it has begun, and has not given its sessions back."""
        broadcast_id = running.broadcast.id
        return broadcast_id in self._arbiter and self._running[broadcast_id] is running

    def meant(self, running: Running) -> Set[Session]:
        """The sessions that a broadcast is for, be it that they get it or something else."""
        return self._arbiter.meant(running.broadcast.id)

    def begin(self, running: Running, sessions: Iterable[Session], now_ns: int) -> Change:
        """A broadcast begins, for these sessions. `now_ns`: origin time."""
        tune = running.tune
        self._running[tune.broadcast_id] = running
        if tune.end_index is not None:
            frames = tune.end_index - tune.index0 - tune.block_frames
            at_ns = tune.start_ns + samples_to_ns(max(0, frames) * tune.frame_samples)
            heapq.heappush(self._ends, _End(at_ns, next(self._numbers), running))
        precedence = precedence_of(tune.priority, tune.start_ns, tune.broadcast_id)
        return self._follow(lambda: self._arbiter.begin(tune.broadcast_id, precedence, sessions), now_ns)

    def end(self, running: Running, now_ns: int) -> Change:
        """A broadcast's last frame has been sent. Nothing, when it is over already."""
        if self._running.get(running.broadcast.id) is not running:
            return Change()
        change = self._give_back(running, now_ns)
        del self._running[running.broadcast.id]
        self._ends = [end for end in self._ends if end.running is not running]
        heapq.heapify(self._ends)
        return change

    def place(self, session: Session, meant_by: Collection[Running], now_ns: int) -> Change:
        """A session came or moved: just these broadcasts are for it."""
        broadcasts = [running.broadcast.id for running in meant_by]
        return self._follow(lambda: self._arbiter.place(session, broadcasts), now_ns)

    def answered(self, session: Session, receipts: Iterable[Receipt], now_ns: int) -> Change:
        """Who refuses a broadcast plays what it would without it. It is sent both until it accepts: what it refused
        may have been false bytes that somebody sent under the order's name."""
        change = Change()
        for receipt in receipts:
            for running in self._running.values():
                if running.order.order_id == receipt.order_id and running in self:
                    change.add(self._answered(running, session, receipt.state, now_ns))
        return change

    def _answered(self, running: Running, session: Session, state: ReceiptState, now_ns: int) -> Change:
        broadcast_id, meant = running.broadcast.id, session in self.meant(running)
        if state == ReceiptState.REFUSED and meant:
            return self._follow(lambda: self._arbiter.leave(broadcast_id, (session,)), now_ns, stay_in=broadcast_id)
        if state == ReceiptState.ACCEPTED and not meant and running.means(session):
            return self._follow(lambda: self._arbiter.join(broadcast_id, (session,)), now_ns)
        return Change()

    def gone(self, session: Session, now_ns: int) -> Change:
        """A session is over; the media process has dropped its channel by itself."""
        change = Change()
        for running in self._running.values():
            change.commands += running.audience.gone(session)
        change.add(self.place(session, (), now_ns))
        return change

    def door_changed(self, session: Session) -> Change:
        """A session's door or group is another."""
        change = Change()
        for running in self._running.values():
            change.commands += running.audience.door_changed(session)
        return change

    def next_due_ns(self) -> int | None:
        """When `due` has something to do."""
        return min((waiting[0].at_ns for waiting in (self._leaves, self._ends) if waiting), default=None)

    def due(self, now_ns: int) -> Change:
        """Do what is to be done by now."""
        change = Change()
        while self._ends and self._ends[0].at_ns <= now_ns:
            change.add(self._give_back(heapq.heappop(self._ends).running, now_ns))
        while self._leaves and self._leaves[0].at_ns <= now_ns:
            leave = heapq.heappop(self._leaves)
            change.commands += leave.running.audience.leave(leave.sessions)
        return change

    def _give_back(self, running: Running, now_ns: int) -> Change:
        """Its sessions play something else when they have heard it to its end."""
        if running not in self:
            return Change()
        broadcast_id = running.broadcast.id
        change = self._follow(lambda: self._arbiter.end(broadcast_id), now_ns)
        if self._pre_empted.pop(broadcast_id, 0):
            change.pre_empted.append((running, 0))
        self._leaves = [leave for leave in self._leaves if leave.running is not running]
        heapq.heapify(self._leaves)
        return change

    def _follow(
        self, decide: Callable[[], list[Move[Session, bytes]]], now_ns: int, stay_in: bytes | None = None
    ) -> Change:
        """What follows from a decision. `stay_in`: who plays that no more stays in its audience."""
        change = Change()
        for move in decide():
            if move.after is not None:
                change.commands += self._enter(move, self._running[move.after])
            if move.before is not None and move.before in self._arbiter and move.before != stay_in:
                change.commands += self._leave(move, self._running[move.before], now_ns)
        for broadcast_id in self._arbiter:
            pre_empted = self._arbiter.pre_empted(broadcast_id)
            if pre_empted != self._pre_empted.get(broadcast_id, 0):
                self._pre_empted[broadcast_id] = pre_empted
                change.pre_empted.append((self._running[broadcast_id], pre_empted))
        return change

    def _enter(self, move: Move[Session, bytes], running: Running) -> list[Command]:
        for leave in self._leaves:
            if leave.running is running:
                leave.sessions -= move.endpoints
        return running.audience.join(move.endpoints)

    def _leave(self, move: Move[Session, bytes], lower: Running, now_ns: int) -> list[Command]:
        """Take sessions out of the audience of what they do not play any more, in time."""
        at_ns = now_ns
        if move.after is not None:
            higher = self._running[move.after].tune
            heard_ns = higher.start_ns + (higher.play_delay_ms + higher.fade_ms) * NS_PER_MS
            at_ns = heard_ns - lower.tune.play_delay_ms * NS_PER_MS
            at_ns += samples_to_ns(lower.tune.frame_samples)  # into the next frame the resampler reaches
        if at_ns <= now_ns:
            return lower.audience.leave(move.endpoints)
        heapq.heappush(self._leaves, _Leave(at_ns, next(self._numbers), lower, set(move.endpoints)))
        return []
