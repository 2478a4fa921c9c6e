"""How fast passwords may be tried. Pure: the time is handed in.

Failures are counted in *lanes*. A lane takes a few at once, then makes the next attempt wait, twice as long
each time up to its most; time wears the count off. An attempt that has to wait is not looked at and not
counted.

    who asks                               waits for                            is counted in
    a browser that has signed in before    device                               device
    an address it has signed in from       account at address                   account at address, address
    a stranger                             account at address, address, and     account at address, address, account
                                           account (ordinary accounts only)
    a stranger's second factor             code                                 code

So whoever knows a login name and tries passwords from elsewhere delays neither a browser that is known nor an
address that is: each has a lane of its own. The lane of the whole account, which stops guessing from everywhere
at once, is reached only from PLACES addresses together, and never holds up an account that may raise an
emergency or administer: these are slowed by address alone. The lane for codes counts only those who knew the
password.

An attempt is counted when it begins, so that a hundred at once are a hundred; what succeeds, or comes to no
decision, is taken out again. A lane that has been forgotten (each kind of lane is kept for a limited number,
the one untouched for the longest goes first) makes nobody wait.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

PLACES = 10
"""The lane of an account is full only by failures from at least so many addresses."""
MAX_WAIT_MS = 15 * 60_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who tries to sign in. `account` is the login as it was given, known or not; `address` is an IP address.

    `device` names the browser, when it has signed in to this account before; `known_address`: the account has been
    signed in to from there. `protected`: the account must not be held up as a whole. What was counted up to
    `pardoned_ms` counts no longer.
    """

    account: str
    address: str
    device: bytes | None = None
    known_address: bool = False
    protected: bool = False
    pardoned_ms: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of lane behaves: `free` failures at once, one of which wears off in `wear_ms`; `kept` lanes."""

    free: int
    wear_ms: int
    first_wait_ms: int
    most_wait_ms: int
    kept: int

    def wait_ms(self, failures: int) -> int:
        """How long the next attempt waits after so many failures."""
        over = failures - self.free
        return 0 if over < 0 else min(self.most_wait_ms, self.first_wait_ms << over)

    @property
    def most(self) -> int:
        """Failures above these are not counted: the wait is the longest already, and an attack must wear off."""
        return self.free + (self.most_wait_ms // self.first_wait_ms).bit_length()


class Lane(StrEnum):
    """The kinds of lanes. PLACE: one account at one address."""

    PLACE = "place"
    ADDRESS = "address"
    ACCOUNT = "account"
    DEVICE = "device"
    CODE = "code"


RULES: Mapping[Lane, Rule] = {
    Lane.PLACE: Rule(free=5, wear_ms=600_000, first_wait_ms=1_000, most_wait_ms=MAX_WAIT_MS, kept=20_000),
    Lane.ADDRESS: Rule(free=20, wear_ms=60_000, first_wait_ms=1_000, most_wait_ms=300_000, kept=10_000),
    Lane.ACCOUNT: Rule(free=100, wear_ms=36_000, first_wait_ms=60_000, most_wait_ms=MAX_WAIT_MS, kept=10_000),
    Lane.DEVICE: Rule(free=10, wear_ms=600_000, first_wait_ms=1_000, most_wait_ms=MAX_WAIT_MS, kept=10_000),
    Lane.CODE: Rule(free=10, wear_ms=600_000, first_wait_ms=1_000, most_wait_ms=MAX_WAIT_MS, kept=10_000),
}

Key = tuple[Lane, str]


@dataclass(frozen=True, slots=True)
class Count:
    """What a lane holds. `worn_off_ms`: when no failure is left; `until_ms`: when the next attempt is looked at, 0
    for at once; `counted_ms`: when the last was counted."""

    worn_off_ms: int
    until_ms: int
    counted_ms: int

    def failures(self, rule: Rule, now_ms: int) -> int:
        return max(0, -((now_ms - self.worn_off_ms) // rule.wear_ms))


@dataclass(frozen=True, slots=True)
class Ticket:
    """An attempt that is being looked at: for each lane that counts it, what it was before and became."""

    changes: tuple[tuple[Key, Count | None, Count], ...]


class Lockout:
    """The lanes of one process, or a few of them that lie elsewhere, for as long as one attempt is looked at."""

    def __init__(self, counts: Mapping[Key, Count] | None = None) -> None:
        """`counts`: what lanes hold that are not empty."""
        self._counts: dict[Lane, OrderedDict[str, Count]] = {lane: OrderedDict() for lane in Lane}
        for (lane, name), count in (counts or {}).items():
            self._counts[lane][name] = count

    def count(self, key: Key) -> Count | None:
        """What a lane holds."""
        lane, name = key
        return self._counts[lane].get(name)

    def begin(self, attempt: Attempt, now_ms: int) -> Ticket | int:
        """Begin to look at a password: a ticket, or the milliseconds to wait before the next attempt.

        Close the ticket by `succeeded` or `undecided`; left open, it has failed.
        """
        place, address, account = _place(attempt), _address(attempt), (Lane.ACCOUNT, attempt.account)
        if attempt.device is not None:
            device = (Lane.DEVICE, attempt.device.hex())
            return self._count(attempt, [device], [device], now_ms)
        if attempt.known_address:
            return self._count(attempt, [place], [place, address], now_ms)
        asked = [place, address] if attempt.protected else [place, address, account]
        before = self._now(place, attempt, now_ms)
        counted = [place, address]
        if before is None or before.failures(RULES[Lane.PLACE], now_ms) < PLACES:
            counted.append(account)
        return self._count(attempt, asked, counted, now_ms)

    def begin_code(self, attempt: Attempt, now_ms: int) -> Ticket | int:
        """Begin to look at the code of somebody whose password was right. See `begin`."""
        lanes = [] if attempt.device is not None or attempt.known_address else [(Lane.CODE, attempt.account)]
        return self._count(attempt, lanes, lanes, now_ms)

    def succeeded(self, ticket: Ticket) -> None:
        """It was the right one: what this account has failed at from there is forgotten."""
        self.undecided(ticket)
        for (lane, name), _, _ in ticket.changes:
            # An address and an account are shared with others, whose failures one success does not excuse.
            if lane not in (Lane.ADDRESS, Lane.ACCOUNT):
                self._counts[lane].pop(name, None)

    def undecided(self, ticket: Ticket) -> None:
        """It was neither right nor wrong: as if it had not been."""
        for (lane, name), before, after in ticket.changes:
            counts = self._counts[lane]
            current = counts.get(name)
            if current is None:
                continue
            if current == after:
                if before is None:
                    del counts[name]
                else:
                    counts[name] = before
                continue
            # Others have failed meanwhile: they stay.
            worn_off_ms = current.worn_off_ms - RULES[lane].wear_ms
            counts[name] = Count(worn_off_ms, current.until_ms, current.counted_ms)

    def sizes(self) -> dict[str, int]:
        """How many lanes of each kind are kept."""
        return {str(lane): len(counts) for lane, counts in self._counts.items()}

    def _count(self, attempt: Attempt, asked: list[Key], counted: list[Key], now_ms: int) -> Ticket | int:
        current = {key: self._now(key, attempt, now_ms) for key in {*asked, *counted}}
        wait_ms = max((count.until_ms - now_ms for key in asked if (count := current[key])), default=0)
        if wait_ms > 0:
            return wait_ms
        changes = []
        for key in counted:
            lane, name = key
            before = current[key]
            after = _one_more(RULES[lane], before, now_ms)
            counts = self._counts[lane]
            counts[name] = after
            counts.move_to_end(name)
            if len(counts) > RULES[lane].kept:
                counts.popitem(last=False)
            changes.append((key, before, after))
        return Ticket(tuple(changes))

    def _now(self, key: Key, attempt: Attempt, now_ms: int) -> Count | None:
        lane, name = key
        count = self._counts[lane].get(name)
        if count is None:
            return None
        pardoned = lane is not Lane.ADDRESS and count.counted_ms <= attempt.pardoned_ms
        # No lane makes anybody wait longer than its most: the clock was set back.
        impossible = count.until_ms - now_ms > RULES[lane].most_wait_ms
        return None if pardoned or impossible else count


def lanes(attempt: Attempt) -> list[Key]:
    """All lanes that this attempt can wait for or be counted in."""
    device = [] if attempt.device is None else [(Lane.DEVICE, attempt.device.hex())]
    account = [(lane, attempt.account) for lane in (Lane.ACCOUNT, Lane.CODE)]
    return [_place(attempt), _address(attempt), *account, *device]


class Gate(Protocol):
    """The lanes, wherever they are kept."""

    async def begin(self, attempt: Attempt, now_ms: int) -> Ticket | int:
        """See Lockout."""

    async def begin_code(self, attempt: Attempt, now_ms: int) -> Ticket | int:
        """See Lockout."""

    async def succeeded(self, ticket: Ticket) -> None:
        """See Lockout."""

    async def undecided(self, ticket: Ticket) -> None:
        """See Lockout."""


class LocalGate:
    """The lanes of this process."""

    def __init__(self) -> None:
        self.lockout = Lockout()

    async def begin(self, attempt: Attempt, now_ms: int) -> Ticket | int:
        """See Lockout."""
        return self.lockout.begin(attempt, now_ms)

    async def begin_code(self, attempt: Attempt, now_ms: int) -> Ticket | int:
        """See Lockout."""
        return self.lockout.begin_code(attempt, now_ms)

    async def succeeded(self, ticket: Ticket) -> None:
        """See Lockout."""
        self.lockout.succeeded(ticket)

    async def undecided(self, ticket: Ticket) -> None:
        """See Lockout."""
        self.lockout.undecided(ticket)


def place_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /56 that an IPv6 customer is given."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 56), strict=False))
    return str(ip)


def _place(attempt: Attempt) -> Key:
    return Lane.PLACE, f"{place_of(attempt.address)} {attempt.account}"


def _address(attempt: Attempt) -> Key:
    return Lane.ADDRESS, place_of(attempt.address)


def _one_more(rule: Rule, before: Count | None, now_ms: int) -> Count:
    worn_off_ms = max(now_ms, now_ms if before is None else before.worn_off_ms) + rule.wear_ms
    failures = -((now_ms - worn_off_ms) // rule.wear_ms)
    if failures > rule.most:
        worn_off_ms, failures = now_ms + rule.most * rule.wear_ms, rule.most
    wait_ms = rule.wait_ms(failures)
    return Count(worn_off_ms, now_ms + wait_ms if wait_ms else 0, now_ms)
