"""What merging, splitting and dissolving comes to: steps and the world as it is, to a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.names import clean, clean_code, clean_level
from loa.broadcast.records import Area, AreaRight, Broadcast, ChangeKind, Endpoint, Enrolment
from loa.broadcast.registry.effect import takes_effect
from loa.broadcast.registry.reorganisation import (
    MAX_LISTED,
    MAX_STEPS,
    Closing,
    CodeFollowing,
    Dissolve,
    Following,
    Merge,
    Move,
    NewArea,
    Part,
    Plan,
    Ref,
    Rehanging,
    Split,
    Step,
)
from loa.broadcast.registry.tree import Tree
from loa.errors import Conflict, NotFound, PlaceError
from loa.model import id_text

There = TypeVar("There", bytes, Ref)

_KINDS = {Merge: ChangeKind.MERGE, Split: ChangeKind.SPLIT, Dissolve: ChangeKind.DISSOLVE}


@dataclass(frozen=True, slots=True)
class World:
    """What a plan rests on.

    `areas`: all open ones. `ends_ms`: for those named by the steps, the earliest instant at which each could end.
    `since_ms`: for all, since when each has been what it is. `devices`: those that are not revoked and stand in or
    below an area that the steps name; `stands_ms`: since when. `rights`, `codes`: rights and waiting enrolment
    codes in the areas named. `on_air`: all that is preparing or on air.
    """

    areas: Mapping[bytes, Area]
    since_ms: Mapping[bytes, int]
    ends_ms: Mapping[bytes, int]
    devices: Mapping[bytes, Endpoint]
    stands_ms: Mapping[bytes, int]
    rights: Sequence[AreaRight] = ()
    codes: Sequence[Enrolment] = ()
    on_air: Sequence[Broadcast] = ()


def named_areas(steps: Iterable[Step]) -> set[bytes]:
    """The areas whose content the steps divide, merge or dissolve."""
    found: set[bytes] = set()
    for step in steps:
        match step:
            case Merge():
                found |= set(step.sources)
            case Split():
                found.add(step.source)
            case Dissolve():
                found |= set(step.areas)
    return found


def make_plan(world: World, steps: Sequence[Step], *, now_ms: int, at_ms: int | None, decree: str = "") -> Plan:
    """The plan of the steps, one after the other, to take effect at `at_ms` (None: now).

    NotFound for what the steps name and is not open or not there; Conflict for what cannot be: an area merged into
    itself or into what is below it, a loop, a tree too deep, a code in use, an instant before the last change of
    what is touched; PlaceError for too much at once and for an instant in the future.
    """
    if not 1 <= len(steps) <= MAX_STEPS:
        raise PlaceError(f"a reorganisation has 1 to {MAX_STEPS} steps")
    draft = _Draft(world)
    for step in steps:
        match step:
            case Merge():
                draft.merge(step)
            case Split():
                draft.split(step)
            case Dissolve():
                draft.dissolve(step)
    kinds = {_KINDS[type(step)] for step in steps}
    kind = kinds.pop() if len(kinds) == 1 else ChangeKind.REORGANISE
    return draft.plan(kind, now_ms, at_ms, decree)


class _Draft:
    """The world while the steps are gone through."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._parents: dict[Ref, Ref | None] = {area.id: area.parent_id for area in world.areas.values()}
        self._children: dict[Ref | None, set[Ref]] = {}
        for area, parent in self._parents.items():
            self._children.setdefault(parent, set()).add(area)
        self._stands: dict[bytes, Ref] = {device.id: device.area_id for device in world.devices.values()}
        self._standing: dict[Ref, set[bytes]] = {}
        for device, area in self._stands.items():
            self._standing.setdefault(area, set()).add(device)
        self._new: dict[str, NewArea] = {}
        self._heirs: dict[bytes, dict[Ref, None]] = {}
        self._rights_to: dict[bytes, Ref | None] = {}
        self._codes_to: dict[bytes, Ref] = {}
        self._listed = 0

    # --- the steps --------------------------------------------------------------------------------------------

    def merge(self, step: Merge) -> None:
        sources = self._open_areas(step.sources)
        if not sources:
            raise PlaceError("a merge has at least one source")
        into = self._target(step.into)
        if not sources.isdisjoint(self._above(into)):
            raise Conflict(f"an area cannot be merged into itself or into what is below it: {self._name(into)}")
        for source in sources:
            for child in self._children.get(source, set()) - sources:
                self._hang(child, into)
            for device in list(self._standing.get(source, ())):
                self._stand(device, into)
        for source in sources:
            self._close(source, [into], rights_to=into, codes_to=into)

    def split(self, step: Split) -> None:
        (source,) = self._open_areas([step.source])
        if not step.parts:
            raise PlaceError("a split has at least one part")
        if not 0 <= step.rest < len(step.parts):
            raise PlaceError("`rest` is the number of a part")
        into = [self._target(part.into) for part in step.parts]
        if source in into:
            raise Conflict("a part of an area cannot be the area itself; let it be kept")
        if not step.keep and any(source in self._above(part) for part in into):
            raise Conflict(f"the parts of {self._name(source)} stand below it, and it closes")
        children = self._children.get(source, set()) - set(into)
        of_child = self._shares(source, step, [part.areas for part in step.parts], children)
        devices = self._standing.get(source, set())
        of_device = self._shares(source, step, [part.devices for part in step.parts], devices)
        for ref, part in of_child.items():
            self._hang(ref, into[part])
        for device_id, part in of_device.items():
            self._stand(device_id, into[part])
        if step.keep:
            self._heirs.setdefault(source, {}).update(dict.fromkeys(into))
        else:
            rest = into[step.rest]
            self._close(source, into, rights_to=rest, codes_to=rest)

    def _shares(
        self, source: bytes, step: Split, named: Sequence[Sequence[There]], there: Iterable[There]
    ) -> dict[There, int]:
        """To which part each of what stands `there` in the source goes; what is not in the answer stays.

        `named`: for each part, what the step says goes there.
        """
        left = set(there)
        shares: dict[There, int] = {}
        for number, some in enumerate(named):
            self._count(len(some))
            for each in some:
                if each in shares:
                    raise PlaceError(f"{_text(each)} is named for two parts")
                if each not in left:
                    raise NotFound(f"{_text(each)} does not stand directly in {self._name(source)}")
                shares[each] = number
        left -= set(shares)
        if step.by_outline:
            outlines = [self._outline(part) for part in step.parts]
            for each in left:
                position = self._position(each)
                if position is None:
                    continue
                for number, outline in enumerate(outlines):
                    if outline is not None and outline.holds(position):
                        shares[each] = number
                        break
        if not step.keep:
            for each in left:
                shares.setdefault(each, step.rest)
        return shares

    def _outline(self, part: Part) -> Outline | None:
        new = part.into if isinstance(part.into, NewArea) else None
        if isinstance(part.into, str):
            new = self._new[part.into]
        return None if new is None else new.outline

    def _position(self, ref: Ref) -> Position | None:
        if isinstance(ref, str):
            return self._new[ref].position
        area = self._world.areas.get(ref)
        return area.position if area is not None else self._world.devices[ref].position

    def dissolve(self, step: Dissolve) -> None:
        areas = self._open_areas(step.areas)
        if not areas:
            raise PlaceError("name at least one area to dissolve")
        # From below, so that what stands in one reaches the first above that stays.
        for area in sorted(areas, key=lambda each: (-len(self._above(each)), each)):
            above = self._parents[area]
            if above is None:
                raise Conflict(f"{self._name(area)} stands at the top, so there is nothing to dissolve it into")
            for child in list(self._children.get(area, ())):
                self._hang(child, above)
            for device in list(self._standing.get(area, ())):
                self._stand(device, above)
            self._close(area, [above], rights_to=above if step.rights_follow else None, codes_to=above)

    # --- what they are made of --------------------------------------------------------------------------------

    def _count(self, named: int) -> None:
        self._listed += named
        if self._listed > MAX_LISTED:
            raise PlaceError(f"a reorganisation names at most {MAX_LISTED} areas and devices")

    def _open_areas(self, area_ids: Sequence[bytes]) -> set[bytes]:
        self._count(len(area_ids))
        for area_id in area_ids:
            if area_id not in self._parents:
                raise NotFound(f"no open area {id_text(area_id)}")
        return set(area_ids)

    def _target(self, into: NewArea | Ref) -> Ref:
        if isinstance(into, NewArea):
            if into.key in self._new:
                raise PlaceError(f"two new areas have the key {into.key!r}")
            if into.parent is not None:
                self._require_open(into.parent)
            self._new[into.key] = _cleaned(into)
            self._parents[into.key] = into.parent
            self._children.setdefault(into.parent, set()).add(into.key)
            return into.key
        self._require_open(into)
        return into

    def _require_open(self, ref: Ref) -> None:
        if ref not in self._parents:
            raise NotFound(f"no open area {_text(ref)}")

    def _above(self, ref: Ref) -> list[Ref]:
        return Tree.chain(ref, self._parents)

    def _hang(self, ref: Ref, parent: Ref) -> None:
        self._children[self._parents[ref]].discard(ref)
        self._parents[ref] = parent
        self._children.setdefault(parent, set()).add(ref)

    def _stand(self, device: bytes, area: Ref) -> None:
        self._standing[self._stands[device]].discard(device)
        self._stands[device] = area
        self._standing.setdefault(area, set()).add(device)

    def _close(self, area: bytes, heirs: Iterable[Ref], *, rights_to: Ref | None, codes_to: Ref) -> None:
        self._children[self._parents.pop(area)].discard(area)
        self._heirs.setdefault(area, {}).update(dict.fromkeys(heirs))
        self._rights_to[area] = rights_to
        self._codes_to[area] = codes_to

    def _name(self, ref: Ref) -> str:
        return self._new[ref].name if isinstance(ref, str) else self._world.areas[ref].name

    # --- the plan ---------------------------------------------------------------------------------------------

    def plan(self, kind: ChangeKind, now_ms: int, at_ms: int | None, decree: str) -> Plan:
        world = self._world
        Tree(self._parents).check()
        self._check_codes()
        closed = [area for area_id, area in sorted(world.areas.items()) if area_id not in self._parents]
        rehung = [
            Rehanging(area, self._parents[area_id])
            for area_id, area in sorted(world.areas.items())
            if area_id in self._parents and self._parents[area_id] != area.parent_id
        ]
        moved = [
            Move(device, self._stands[device_id])
            for device_id, device in sorted(world.devices.items())
            if self._stands[device_id] != device.area_id
        ]
        gone = {area.id for area in closed}
        given = {area for area in self._heirs if area not in gone}
        return Plan(
            kind=kind,
            at_ms=at_ms,
            decree=decree,
            opened=tuple(self._in_order()),
            closed=tuple(Closing(area, tuple(self._heirs[area.id])) for area in closed),
            gives={area: tuple(self._heirs[area]) for area in sorted(given)},
            rehung=tuple(rehung),
            moved=tuple(moved),
            replaced=tuple(self._replaced({move.endpoint.id for move in moved})),
            following=tuple(
                Following(right, self._last_right(right.area_id)) for right in world.rights if right.area_id in gone
            ),
            codes=tuple(
                CodeFollowing(code, self._last_code(code.area_id)) for code in world.codes if code.area_id in gone
            ),
            broadcasts=tuple(
                broadcast for broadcast in world.on_air if not (gone | given).isdisjoint(broadcast.areas)
            ),
            warnings=tuple(self._warnings(rehung)),
            touched=self._touched(closed, rehung, moved),
            effect_ms=takes_effect(at_ms, now_ms, self._since_ms(closed, rehung, moved)),
        )

    def _check_codes(self) -> None:
        held: dict[str, Ref] = {
            area.code: area.id for area in self._world.areas.values() if area.code and area.id in self._parents
        }
        for key, new in self._new.items():
            if key not in self._parents:
                raise Conflict(f"{new.name} would be opened and closed at once")
            if new.code is not None and held.setdefault(new.code, key) != key:
                raise Conflict(f"the code {new.code} of {new.name} is also that of {self._name(held[new.code])}")

    def _in_order(self) -> Iterable[NewArea]:
        """The new areas, a parent before its children."""
        return sorted(self._new.values(), key=lambda new: (len(self._above(new.key)), new.key))

    def _replaced(self, moved: set[bytes]) -> Iterable[Endpoint]:
        """The devices that stay where they are while what is above changes."""
        before = {area.id: area.parent_id for area in self._world.areas.values()}
        changed: dict[bytes, bool] = {}
        for device_id, device in sorted(self._world.devices.items()):
            if device_id in moved:
                continue
            area_id = device.area_id
            if area_id not in changed:
                changed[area_id] = self._above(area_id) != Tree.chain(area_id, before)
            if changed[area_id]:
                yield device

    def _last_right(self, area: bytes) -> Ref | None:
        at: Ref | None = area
        while isinstance(at, bytes) and at in self._rights_to:
            at = self._rights_to[at]
        return at

    def _last_code(self, area: bytes) -> Ref:
        at: Ref = area
        while isinstance(at, bytes) and at in self._codes_to:
            at = self._codes_to[at]
        return at

    def _touched(
        self, closed: Iterable[Area], rehung: Iterable[Rehanging], moved: Iterable[Move]
    ) -> frozenset[bytes | None]:
        touched: set[Ref | None] = {*(area.parent_id for area in closed), *(area.id for area in closed)}
        touched |= {new.parent for new in self._new.values()} | set(self._heirs)
        touched |= {heir for heirs in self._heirs.values() for heir in heirs}
        touched |= {each.area.parent_id for each in rehung} | {each.parent for each in rehung}
        touched |= {move.to for move in moved}
        return frozenset(each for each in touched if not isinstance(each, str))

    def _since_ms(
        self, closed: Iterable[Area], rehung: Iterable[Rehanging], moved: Iterable[Move]
    ) -> Iterable[int]:
        world = self._world
        yield from (world.ends_ms[area.id] for area in closed)
        yield from (world.since_ms[each.area.id] for each in rehung)
        yield from (world.stands_ms[move.endpoint.id] for move in moved)
        # What goes on must have been there already to take something in.
        taking: set[Ref | None] = set()
        taking.update(move.to for move in moved)
        taking.update(each.parent for each in rehung)
        taking |= {new.parent for new in self._new.values()}
        taking |= {heir for heirs in self._heirs.values() for heir in heirs}
        yield from (
            world.areas[ref].valid_from_ms for ref in taking if isinstance(ref, bytes) and ref in world.areas
        )

    def _warnings(self, rehung: Iterable[Rehanging]) -> Iterable[str]:
        """Names that come to stand beside the same name."""
        places: set[Ref | None] = {each.parent for each in rehung}
        places.update(new.parent for new in self._new.values())
        for place in sorted(places, key=str):
            names: dict[str, int] = {}
            for child in self._children.get(place, ()):
                names[self._name(child)] = names.get(self._name(child), 0) + 1
            where = "at the top" if place is None else f"in {self._name(place)}"
            for name in sorted(name for name, count in names.items() if count > 1):
                yield f"{names[name]} areas {where} are called {name}"


def _text(ref: Ref) -> str:
    return id_text(ref) if isinstance(ref, bytes) else repr(ref)


def _cleaned(new: NewArea) -> NewArea:
    return replace(new, name=clean(new.name, "the name"), level=clean_level(new.level), code=clean_code(new.code))
