"""The arbiter's decisions as sound: who is taken out of which broadcast's audience, who is put back, and when.

An endpoint gets no frame of what it does not play. It is taken out of the lower broadcast's audience when the last
frame that is heard before the higher one, and one more, have been sent. Where the end of the higher one is known,
it is put back just before the frame that is heard next, and one more: whoever comes back by unicast is sent the
block that covers it, too. By a group or a link nobody gets a block of his own, so there it is put back just before
the block. So it has all that it needs, and need ask for nothing, when it has heard the higher one to its end. After
a stop it is put back at once.

Pure: instants are handed in, and what is to be told to the media process is returned.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, field
from itertools import count

from loa.arbiter import Arbiter, Move
from loa.broadcast.air.door import Door
from loa.broadcast.air.media_port import Command
from loa.broadcast.air.running import Running
from loa.broadcast.air.session import Session
from loa.codecs.link_wire import Receipt
from loa.codecs.order_wire import Tune
from loa.model import ReceiptState
from loa.timing.line import FrameGrid, samples_to_ns

NS_PER_MS = 1_000_000
_MORE_FRAMES = 3
"""So many frames and a block before its end a broadcast gives its sessions back, which is early enough for
`_again_ns` where the play delays are equal."""


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
class _Later:
    """Sessions that come into a broadcast's audience later, or go; not those of which the arbiter thinks better."""

    at_ns: int
    number: int
    running: Running = field(compare=False)
    sessions: set[Session] = field(compare=False)
    come: bool = field(compare=False)


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
        self._later: list[_Later] = []
        self._ends: list[_End] = []
        self._numbers = count()

    def __contains__(self, running: Running) -> bool:
        """Whether it has begun, and has not given its sessions back."""
        broadcast_id = running.broadcast.id
        return broadcast_id in self._arbiter and self._running[broadcast_id] is running

    @property
    def pre_empted(self) -> int:
        """How many sessions play something else, each counted for every broadcast that it would play instead."""
        return sum(self._pre_empted.values())

    def meant(self, running: Running) -> Set[Session]:
        """The sessions that a broadcast is for, be it that they get it or something else."""
        return self._arbiter.meant(running.broadcast.id)

    def begin(self, running: Running, sessions: Iterable[Session], now_ns: int) -> Change:
        """A broadcast begins, for these sessions. `now_ns`: origin time."""
        tune = running.tune
        self._running[tune.broadcast_id] = running
        if tune.end_index is not None:
            frames = tune.end_index - tune.index0 - tune.block_frames - _MORE_FRAMES
            at_ns = tune.start_ns + samples_to_ns(max(0, frames) * tune.frame_samples)
            heapq.heappush(self._ends, _End(at_ns, next(self._numbers), running))
        return self._follow(lambda: self._arbiter.begin(tune.broadcast_id, running.precedence, sessions), now_ns)

    def end(self, running: Running, now_ns: int) -> Change:
        """A broadcast's last frame has been sent. Nothing, when it is over already."""
        if self._running.get(running.broadcast.id) is not running:
            return Change()
        change = self._give_back(running, now_ns)
        del self._running[running.broadcast.id]
        self._ends = [end for end in self._ends if end.running is not running]
        self._later = [later for later in self._later if later.running is not running]
        heapq.heapify(self._ends)
        heapq.heapify(self._later)
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
        for later in self._later:
            later.sessions.discard(session)
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
        return min((waiting[0].at_ns for waiting in (self._later, self._ends) if waiting), default=None)

    def due(self, now_ns: int) -> Change:
        """Do what is to be done by now."""
        change = Change()
        while (due_ns := self.next_due_ns()) is not None and due_ns <= now_ns:
            if self._later and self._later[0].at_ns == due_ns:
                later = heapq.heappop(self._later)
                audience = later.running.audience
                change.commands += audience.join(later.sessions) if later.come else audience.leave(later.sessions)
            else:
                running = heapq.heappop(self._ends).running
                change.add(self._give_back(running, due_ns, ending=running.tune))
        return change

    def _give_back(self, running: Running, now_ns: int, ending: Tune | None = None) -> Change:
        """Its sessions play something else: when they have heard its known end, or at once."""
        if running not in self:
            return Change()
        broadcast_id = running.broadcast.id
        change = self._follow(lambda: self._arbiter.end(broadcast_id), now_ns, ending=ending)
        if self._pre_empted.pop(broadcast_id, 0):
            change.pre_empted.append((running, 0))
        return change

    def _follow(
        self,
        decide: Callable[[], list[Move[Session, bytes]]],
        now_ns: int,
        *,
        stay_in: bytes | None = None,
        ending: Tune | None = None,
    ) -> Change:
        """What follows from a decision. `stay_in`: who plays that no more stays in its audience. `ending`: it was
        made because that one will end."""
        change = Change()
        for move in decide():
            if move.after is not None:
                running = self._running[move.after]
                if ending is None:
                    change.commands += self._change(running, move.endpoints, now_ns, now_ns, come=True)
                else:
                    alone = {session for session in move.endpoints if session.door is Door.UNICAST}
                    for some, whole in ((alone, False), (move.endpoints - alone, True)):
                        at_ns = _again_ns(running.tune, ending, whole_block=whole)
                        change.commands += self._change(running, some, at_ns, now_ns, come=True)
            if move.before is not None and move.before in self._arbiter and move.before != stay_in:
                running = self._running[move.before]
                at_ns = now_ns if move.after is None else _drowned_ns(running.tune, self._running[move.after].tune)
                change.commands += self._change(running, move.endpoints, at_ns, now_ns, come=False)
        for broadcast_id in self._arbiter:
            pre_empted = self._arbiter.pre_empted(broadcast_id)
            if pre_empted != self._pre_empted.get(broadcast_id, 0):
                self._pre_empted[broadcast_id] = pre_empted
                change.pre_empted.append((self._running[broadcast_id], pre_empted))
        return change

    def _change(
        self, running: Running, sessions: Set[Session], at_ns: int, now_ns: int, *, come: bool
    ) -> list[Command]:
        """Have sessions come into an audience, or go, at an instant; what was to become of them before is void."""
        if not sessions:
            return []
        for later in self._later:
            if later.running is running:
                later.sessions -= sessions
        if at_ns <= now_ns:
            return running.audience.join(sessions) if come else running.audience.leave(sessions)
        heapq.heappush(self._later, _Later(at_ns, next(self._numbers), running, set(sessions), come))
        return []


def _drowned_ns(lower: Tune, higher: Tune) -> int:
    """When the lower one's frames need not be sent any more: they would be heard when the higher one is."""
    heard_ns = higher.start_ns + (higher.play_delay_ms + higher.fade_ms) * NS_PER_MS
    # One more: the resampler reaches into it.
    return heard_ns - lower.play_delay_ms * NS_PER_MS + samples_to_ns(lower.frame_samples)


def _again_ns(lower: Tune, ending: Tune, *, whole_block: bool) -> int:
    """When the lower one is to be sent again: just before what is heard after the end of the other one, or before
    the first frame of the block that covers that."""
    frames = (ending.end_index or ending.index0) - ending.index0
    heard_ns = ending.start_ns + samples_to_ns(frames * ending.frame_samples) + ending.play_delay_ms * NS_PER_MS
    grid = FrameGrid(lower.start_ns, lower.index0, lower.timestamp0, lower.frame_samples)
    # One more: the resampler reaches back into it.
    number = grid.index_at(heard_ns - lower.play_delay_ms * NS_PER_MS) - lower.index0 - 1
    if lower.block_key and whole_block:
        number -= number % lower.block_frames
    return grid.due_ns(lower.index0 + max(0, number)) - samples_to_ns(lower.frame_samples) // 2
