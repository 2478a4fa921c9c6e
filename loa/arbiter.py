"""Which of several broadcasts each endpoint plays.

The highest priority (0 to 255) is played. Of equals it is the one that came first, but at 255 the latest: a
microphone that somebody forgot to close never blocks the next one. Core and endpoint decide by this one class,
each for what it knows, and so agree without a word.

Pure: no clock and no I/O. A change costs in proportion to the endpoints that it is about and the number of
broadcasts, and not to all that is known; whole sets of endpoints move at a time.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Hashable, Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import Generic, TypeVar

LATEST_WINS = 255

Endpoint = TypeVar("Endpoint", bound=Hashable)
Broadcast = TypeVar("Broadcast", bound=Hashable)
Precedence = tuple[int, int, int]
"""Of two broadcasts the one with the smaller value is played."""


def precedence_of(priority: int, start_ns: int, broadcast_id: bytes) -> Precedence:
    """The precedence of a broadcast by what its tune order says; of what starts at one instant, by its id."""
    first_come = (start_ns, int.from_bytes(broadcast_id, "big"))
    if priority == LATEST_WINS:
        return -priority, -first_come[0], -first_come[1]
    return -priority, *first_come


@dataclass(frozen=True, slots=True)
class Move(Generic[Endpoint, Broadcast]):
    """These endpoints (at least one) played `before` and play `after` now; None is nothing."""

    before: Broadcast | None
    after: Broadcast | None
    endpoints: Set[Endpoint]


@dataclass(eq=False, slots=True)
class _Claim(Generic[Endpoint, Broadcast]):
    """A broadcast, whom it is meant for, and who of them plays it."""

    broadcast: Broadcast
    precedence: Precedence
    meant: set[Endpoint] = field(default_factory=set)
    playing: set[Endpoint] = field(default_factory=set)


class Arbiter(Generic[Endpoint, Broadcast]):
    """Broadcasts that have begun, and the endpoints that each is meant for.

    Every change returns the moves that it caused: exactly the endpoints that play another broadcast than before,
    each in one move. A broadcast that has not begun is a KeyError. Sets that are returned must not be changed.
    """

    def __init__(self) -> None:
        self._claims: dict[Broadcast, _Claim[Endpoint, Broadcast]] = {}
        self._order: list[_Claim[Endpoint, Broadcast]] = []  # the first is played

    def __contains__(self, broadcast: object) -> bool:
        return broadcast in self._claims

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Broadcast]:
        """The broadcasts, the one that all others yield to first."""
        return (claim.broadcast for claim in self._order)

    def meant(self, broadcast: Broadcast) -> Set[Endpoint]:
        """The endpoints that it is meant for."""
        return self._claims[broadcast].meant

    def playing(self, broadcast: Broadcast) -> Set[Endpoint]:
        """The endpoints that play it."""
        return self._claims[broadcast].playing

    def pre_empted(self, broadcast: Broadcast) -> int:
        """How many of the endpoints that it is meant for play something else."""
        claim = self._claims[broadcast]
        return len(claim.meant) - len(claim.playing)

    def played_by(self, endpoint: Endpoint) -> Broadcast | None:
        """What an endpoint plays."""
        return next((claim.broadcast for claim in self._order if endpoint in claim.playing), None)

    def begin(
        self, broadcast: Broadcast, precedence: Precedence, endpoints: Iterable[Endpoint] = ()
    ) -> list[Move[Endpoint, Broadcast]]:
        """A broadcast begins, for these endpoints. ValueError when it has begun already."""
        if broadcast in self._claims:
            raise ValueError("the broadcast has begun already")
        claim = _Claim[Endpoint, Broadcast](broadcast, precedence)
        self._claims[broadcast] = claim
        insort(self._order, claim, key=_precedence)
        return self.join(broadcast, endpoints)

    def end(self, broadcast: Broadcast) -> list[Move[Endpoint, Broadcast]]:
        """A broadcast is over."""
        claim = self._claims[broadcast]
        moves = self._release(claim, claim.playing)
        del self._claims[broadcast]
        self._order.remove(claim)
        return moves

    def join(self, broadcast: Broadcast, endpoints: Iterable[Endpoint]) -> list[Move[Endpoint, Broadcast]]:
        """The broadcast is meant for these endpoints too."""
        claim = self._claims[broadcast]
        new = set(endpoints) - claim.meant
        claim.meant |= new
        return self._take(claim, new)

    def leave(self, broadcast: Broadcast, endpoints: Iterable[Endpoint]) -> list[Move[Endpoint, Broadcast]]:
        """The broadcast is not meant for these endpoints any more."""
        claim = self._claims[broadcast]
        gone = claim.meant.intersection(endpoints)
        claim.meant -= gone
        freed = gone & claim.playing
        claim.playing -= freed
        return self._release(claim, freed)

    def place(self, endpoint: Endpoint, broadcasts: Collection[Broadcast]) -> list[Move[Endpoint, Broadcast]]:
        """Just these broadcasts are meant for an endpoint: it came, moved or, when there are none, went."""
        means = {id(self._claims[broadcast]) for broadcast in broadcasts}
        before: Broadcast | None = None
        after: Broadcast | None = None
        for claim in self._order:
            if endpoint in claim.playing:
                before = claim.broadcast
                claim.playing.remove(endpoint)
            if id(claim) not in means:
                claim.meant.discard(endpoint)
                continue
            claim.meant.add(endpoint)
            if after is None:
                after = claim.broadcast
                claim.playing.add(endpoint)
        return [] if before == after else [Move(before, after, {endpoint})]

    def rank(self, broadcast: Broadcast, precedence: Precedence) -> list[Move[Endpoint, Broadcast]]:
        """The broadcast has another precedence from now on."""
        claim = self._claims[broadcast]
        was = self._order.index(claim)
        del self._order[was]
        claim.precedence = precedence
        insort(self._order, claim, key=_precedence)
        now = self._order.index(claim)
        moves: list[Move[Endpoint, Broadcast]] = []
        for above in self._order[was:now]:
            _hand_over(claim, above, claim.playing & above.meant, moves)
        for below in self._order[now + 1 : was + 1]:
            _hand_over(below, claim, below.playing & claim.meant, moves)
        return moves

    def _take(self, claim: _Claim[Endpoint, Broadcast], wanting: set[Endpoint]) -> list[Move[Endpoint, Broadcast]]:
        """Give it those of `wanting` that play nothing before it."""
        at = self._order.index(claim)
        for above in self._order[:at]:
            wanting = _without(wanting, above.playing)
        moves: list[Move[Endpoint, Broadcast]] = []
        for below in self._order[at + 1 :]:
            if not wanting:
                break
            taken = wanting & below.playing
            _hand_over(below, claim, taken, moves)
            wanting = _without(wanting, taken)
        if wanting:
            claim.playing |= wanting
            moves.append(Move(None, claim.broadcast, wanting))
        return moves

    def _release(self, claim: _Claim[Endpoint, Broadcast], freed: set[Endpoint]) -> list[Move[Endpoint, Broadcast]]:
        """Let go of endpoints that play it: each falls to the first after it that it is meant by."""
        moves: list[Move[Endpoint, Broadcast]] = []
        for below in self._order[self._order.index(claim) + 1 :]:
            if not freed:
                break
            got = freed & below.meant
            if got:
                below.playing |= got
                moves.append(Move(claim.broadcast, below.broadcast, got))
                freed = _without(freed, got)
        if freed:
            moves.append(Move(claim.broadcast, None, freed))
        return moves


def _precedence(claim: _Claim[Endpoint, Broadcast]) -> Precedence:
    return claim.precedence


def _without(some: set[Endpoint], others: Set[Endpoint]) -> set[Endpoint]:
    """`some` without `others`, in the time that the smaller takes. `some` may be changed."""
    if len(others) < len(some):
        some -= others
        return some
    return some - others


def _hand_over(
    giver: _Claim[Endpoint, Broadcast],
    taker: _Claim[Endpoint, Broadcast],
    endpoints: set[Endpoint],
    moves: list[Move[Endpoint, Broadcast]],
) -> None:
    if endpoints:
        giver.playing -= endpoints
        taker.playing |= endpoints
        moves.append(Move(giver.broadcast, taker.broadcast, endpoints))
