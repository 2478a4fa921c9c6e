"""Merging, splitting and dissolving areas: the steps that are asked for, and the plan that they make. Values only.

An area that exists is named by its identifier; one that the plan opens by a key of its own, a text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.records import Area, AreaRight, Broadcast, ChangeKind, Endpoint, Enrolment
from loa.model import id_text

MAX_STEPS = 500
MAX_LISTED = 20_000
"""Areas and devices that one plan's steps may name."""

Ref = bytes | str


@dataclass(frozen=True, slots=True)
class NewArea:
    """An area to be opened. `parent` None: a top."""

    key: str
    parent: Ref | None
    name: str
    level: str
    code: str | None = None
    position: Position | None = None
    outline: Outline | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """`sources` close, and all that stands in them goes into one area: a new one, or one that is there."""

    sources: tuple[bytes, ...]
    into: NewArea | Ref


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of a split area becomes, and the children and devices that are named to go there."""

    into: NewArea | Ref
    areas: tuple[bytes, ...] = ()
    devices: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """`source` is divided among `parts`.

    A child or device that no part names goes into the first part in whose outline it stands (a child: its
    position), when `by_outline`. What is left then stays where it is if `source` goes on (`keep`), else it goes
    into the part number `rest`. The rights and codes that were for `source` go there too.
    """

    source: bytes
    parts: tuple[Part, ...]
    rest: int = 0
    by_outline: bool = False
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Dissolve:
    """`areas` close, and all that stands in them goes into the area above each.

    Rights that held in one of them end, so that nobody comes to more than they had; `rights_follow` widens them to
    the area above instead.
    """

    areas: tuple[bytes, ...]
    rights_follow: bool = False


Step = Merge | Split | Dissolve


@dataclass(frozen=True, slots=True)
class Closing:
    """An area that closes, and what it becomes."""

    area: Area
    heirs: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Rehanging:
    """An area that goes on, below another parent."""

    area: Area
    parent: Ref | None


@dataclass(frozen=True, slots=True)
class Move:
    """A device that comes to stand in another area."""

    endpoint: Endpoint
    to: Ref


@dataclass(frozen=True, slots=True)
class Following:
    """A right whose area closes: it holds in `to` from then on; None: it ends."""

    right: AreaRight
    to: Ref | None


@dataclass(frozen=True, slots=True)
class CodeFollowing:
    """An enrolment code whose area closes: its device will stand in `to`."""

    enrolment: Enrolment
    to: Ref


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the steps come to. Nothing else changes.

    `replaced`: devices that stay in their area while what is above it changes; they get a new placement.
    `gives`: areas that go on and give a part away, and to whom.
    `broadcasts`: those preparing or on air whose targets name an area that closes or gives a part away. They keep
    their targets and their listeners; what starts later must name the new areas.
    `touched`: the areas in which the change is made; None stands for the top of the tree.
    `fingerprint`: the same as long as nothing has changed of what the plan rests on. Broadcasts are no part of it.
    """

    kind: ChangeKind
    at_ms: int | None
    decree: str
    opened: tuple[NewArea, ...]
    closed: tuple[Closing, ...]
    gives: Mapping[bytes, tuple[Ref, ...]]
    rehung: tuple[Rehanging, ...]
    moved: tuple[Move, ...]
    replaced: tuple[Endpoint, ...]
    following: tuple[Following, ...]
    codes: tuple[CodeFollowing, ...]
    broadcasts: tuple[Broadcast, ...]
    warnings: tuple[str, ...]
    touched: frozenset[bytes | None]
    effect_ms: int
    """When it takes effect if it is applied at the instant for which it was made."""

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits."""
        text = json.dumps(self._rests_on(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _rests_on(self) -> dict[str, Any]:
        return {
            "at_ms": self.at_ms,
            "decree": self.decree,
            "opened": [_new(each) for each in self.opened],
            "closed": [[*_seen(each.area), [_ref(heir) for heir in each.heirs]] for each in self.closed],
            "gives": [[_ref(area), [_ref(heir) for heir in heirs]] for area, heirs in sorted(self.gives.items())],
            "rehung": [[*_seen(each.area), _ref(each.parent)] for each in self.rehung],
            "moved": [[*_seen(each.endpoint), _ref(each.to)] for each in self.moved],
            "replaced": [_seen(each) for each in self.replaced],
            "following": [[*_held(each.right), _ref(each.to)] for each in self.following],
            "codes": [[_ref(each.enrolment.id), _ref(each.to)] for each in self.codes],
        }

    @property
    def counts(self) -> dict[str, int]:
        """How much of each there is."""
        return {
            "opened": len(self.opened),
            "closed": len(self.closed),
            "rehung": len(self.rehung),
            "moved": len(self.moved),
            "replaced": len(self.replaced),
            "rights_following": sum(each.to is not None for each in self.following),
            "rights_ending": sum(each.to is None for each in self.following),
            "codes": len(self.codes),
            "broadcasts": len(self.broadcasts),
        }


def _seen(thing: Area | Endpoint) -> list[Any]:
    return [id_text(thing.id), thing.version]


def _held(right: AreaRight) -> list[Any]:
    return [right.kind, id_text(right.id), str(right.role), id_text(right.area_id)]


def _ref(ref: Ref | None) -> str | None:
    return id_text(ref) if isinstance(ref, bytes) else ref


def _new(new: NewArea) -> list[Any]:
    position = new.position and [new.position.lat, new.position.lon]
    return [new.key, _ref(new.parent), new.name, new.level, new.code, position, new.outline and new.outline.text]
