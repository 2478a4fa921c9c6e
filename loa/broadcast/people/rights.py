"""Who may do what: the rights, and the roles that carry them. A grant is a role in an area and all below it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Right(StrEnum):
    """What a request may need. A `read` right shows, a `write` right changes."""

    AREAS_READ = "areas.read"
    AREAS_WRITE = "areas.write"
    ENDPOINTS_READ = "endpoints.read"
    ENDPOINTS_WRITE = "endpoints.write"
    PROGRAMMES_READ = "programmes.read"
    PROGRAMMES_WRITE = "programmes.write"
    BROADCASTS_READ = "broadcasts.read"
    BROADCASTS_ROUTINE = "broadcasts.routine"
    BROADCASTS_PRIORITY = "broadcasts.priority"
    BROADCASTS_EMERGENCY = "broadcasts.emergency"
    METRICS_READ = "metrics.read"
    TOKENS_WRITE = "tokens.write"
    USERS_READ = "users.read"
    USERS_WRITE = "users.write"
    AUDIT_READ = "audit.read"
    PLAIN_RTP_WRITE = "plain_rtp.write"


class Role(StrEnum):
    """What a person or a program is to the system."""

    VIEWER = "viewer"
    OFFICER = "officer"
    STUDIO = "studio"
    EMERGENCY = "emergency"
    OPS = "ops"
    ADMIN = "admin"


_SEES = frozenset({Right.AREAS_READ, Right.ENDPOINTS_READ, Right.PROGRAMMES_READ, Right.BROADCASTS_READ})
_OFFICER = _SEES | {Right.PROGRAMMES_WRITE, Right.BROADCASTS_ROUTINE}
_STUDIO = _OFFICER | {Right.BROADCASTS_PRIORITY}

RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: _SEES,
    Role.OFFICER: _OFFICER,
    Role.STUDIO: _STUDIO,
    Role.EMERGENCY: _STUDIO | {Right.BROADCASTS_EMERGENCY},
    Role.OPS: _SEES | {Right.AREAS_WRITE, Right.ENDPOINTS_WRITE, Right.METRICS_READ},
    Role.ADMIN: frozenset(Right),
}


SECOND_FACTOR = frozenset({Role.EMERGENCY, Role.ADMIN})
"""Roles that a browser session has only when it was opened with a second factor."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role in `area_id` and everything below it; everywhere when that is None."""

    role: Role
    area_id: bytes | None = None


EVERYWHERE = Grant(Role.ADMIN)
"""What an administrator of the whole system has."""


class Withheld(StrEnum):
    """Why somebody has less than was granted to them."""

    PASSWORD = "password-change"
    SECOND_FACTOR = "second-factor"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who has shown who they are. `actor` never changes ("token:<uuid>"), `name` is for people.

    `grants` are those that hold now; `withheld` says why they are fewer than were granted. `user_id`: the person
    behind it, if there is one. `session_id`: the browser session, when that is what was shown; `authenticated_ms`
    is then when the person last proved who they are.
    """

    actor: str
    name: str
    grants: tuple[Grant, ...]
    user_id: bytes | None = None
    session_id: bytes | None = None
    authenticated_ms: int | None = None
    withheld: Withheld | None = None

    def roots(self, right: Right) -> frozenset[bytes] | None:
        """The areas at whose tops the right begins; None when it holds everywhere."""
        holding = [grant for grant in self.grants if right in RIGHTS[grant.role]]
        if any(grant.area_id is None for grant in holding):
            return None
        return frozenset(grant.area_id for grant in holding if grant.area_id is not None)

    def has(self, right: Right) -> bool:
        """Whether the right holds anywhere."""
        return self.roots(right) != frozenset()

    def may(self, right: Right, path: Collection[bytes]) -> bool:
        """Whether the right holds in an area, whose `path` is its own id and those of all above it.

        An empty path means the whole city: only a right that holds everywhere reaches it.
        """
        roots = self.roots(right)
        return roots is None or not roots.isdisjoint(path)

    def may_in_all(self, right: Right, paths: Iterable[Collection[bytes]]) -> bool:
        """Whether the right holds in every one of these areas."""
        return all(self.may(right, path) for path in paths)

    def covers(self, grant: Grant, path: Collection[bytes]) -> bool:
        """Whether everything that the grant gives holds here too. `path` is its area's, empty for everywhere."""
        return all(self.may(right, path) for right in RIGHTS[grant.role])


def held(
    grants: tuple[Grant, ...], *, second_factor: bool, must_change_password: bool
) -> tuple[tuple[Grant, ...], Withheld | None]:
    """What a browser session has of its user's grants, and why it is less.

    With a one-time password, nothing. Without a second factor, a user to whom one role is granted that needs it is
    a viewer wherever they are anything.
    """
    if must_change_password:
        return (), Withheld.PASSWORD
    if second_factor or not any(grant.role in SECOND_FACTOR for grant in grants):
        return grants, None
    return tuple(dict.fromkeys(Grant(Role.VIEWER, grant.area_id) for grant in grants)), Withheld.SECOND_FACTOR
