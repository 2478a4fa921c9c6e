"""What importing a list of areas comes to: its rows and the tree as it is, to a plan. Pure, and it never removes.

A row is the area that has its code, or, where no code tells, the one of its name in its place; else it is a new
area. What a row does not say stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from loa.broadcast.geometry import Outline, Position
from loa.broadcast.names import fold
from loa.broadcast.records import Area
from loa.broadcast.registry.lists.rows import AreaList, AreaRow, RowError
from loa.codecs.statement_wire import MAX_DEPTH_OF_AREAS
from loa.errors import PlaceError
from loa.model import id_text

Ref = bytes | int
"""An area that is there, by its id; one that is new, by its row's line."""
_SAME_NAMES = 100
"""Areas of one name that are looked at; more of them cannot be told apart by it anyway."""


class Action(StrEnum):
    """What becomes of a row."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class PlannedArea:
    """What a row comes to. `changes` names what differs; `parent` is where the area will stand, None for a top."""

    line: int
    action: Action
    area: Area | None
    name: str
    level: str
    code: str | None
    parent: Ref | None
    position: Position | None
    outline: Outline | None
    valid_from_ms: int
    changes: tuple[str, ...] = ()

    @property
    def ref(self) -> Ref:
        """The area itself, as others name it as their parent."""
        return self.line if self.area is None else self.area.id


@dataclass(frozen=True, slots=True)
class AreaImportPlan:
    """What all rows come to, a parent before its children. It can be applied when there are no errors."""

    areas: tuple[PlannedArea, ...]
    errors: tuple[RowError, ...]
    warnings: tuple[RowError, ...]

    def of(self, action: Action) -> list[PlannedArea]:
        """The rows of which this becomes."""
        return [each for each in self.areas if each.action is action]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each."""
        found = {str(action): len(self.of(action)) for action in Action}
        return {**found, "errors": len(self.errors), "warnings": len(self.warnings)}

    @property
    def touched(self) -> frozenset[bytes | None]:
        """The areas in which something is made or changed; None stands for the top of the tree."""
        found: set[bytes | None] = set()
        for each in self.areas:
            if each.action is Action.UNCHANGED:
                continue
            if each.area is not None:
                found |= {each.area.id, each.area.parent_id}
            if not isinstance(each.parent, int):
                found.add(each.parent)
        return frozenset(found)

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits: the same as long as the list and what it touches are the same."""
        said = [[_said(each) for each in self.areas], [[each.line, each.message] for each in self.errors]]
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _said(planned: PlannedArea) -> list[Any]:
    position, parent = planned.position, planned.parent
    return [
        planned.action,
        planned.area and [id_text(planned.area.id), planned.area.version],
        planned.name,
        planned.level,
        planned.code,
        id_text(parent) if isinstance(parent, bytes) else parent,
        position and [position.lat, position.lon],
        planned.outline and planned.outline.digest.hex(),
    ]


def plan_areas(
    given: AreaList,
    tree: Mapping[bytes, Area],
    outlines: Mapping[bytes, bytes],
    *,
    under: bytes | None,
    now_ms: int,
) -> AreaImportPlan:
    """The plan of a list. `tree`: all open areas; `outlines`: the digests of theirs; `under`: where the list is
    put.

    PlaceError when `under` is no open area.
    """
    if under is not None and under not in tree:
        raise PlaceError("the list cannot be put under an area that is closed or not there")
    return _Planner(given, tree, outlines, under, now_ms).plan()


class _RowProblem(Exception):
    """A row that comes to nothing."""


class _Planner:
    def __init__(
        self,
        given: AreaList,
        tree: Mapping[bytes, Area],
        outlines: Mapping[bytes, bytes],
        under: bytes | None,
        now_ms: int,
    ) -> None:
        self._tree = tree
        self._outlines = outlines
        self._under = under
        self._now_ms = now_ms
        self._errors = list(given.errors)
        self._warnings: list[RowError] = []
        self._rows = {row.line: row for row in given.rows}
        self._line_of_code: dict[str, int] = {}
        self._lines_of_name: dict[str, list[int]] = {}
        self._by_code = {area.code: area for area in tree.values() if area.code is not None}
        self._by_name: dict[str, list[Area]] = {}
        self._by_place: dict[tuple[Ref | None, str], list[Area]] = {}
        for area in tree.values():
            self._by_name.setdefault(fold(area.name), []).append(area)
            self._by_place.setdefault((area.parent_id, area.name), []).append(area)
        self._found: dict[int, PlannedArea | None] = {}
        self._asking: set[int] = set()
        self._claimed: dict[bytes, int] = {}

    def plan(self) -> AreaImportPlan:
        for line, row in list(self._rows.items()):
            first = line if row.code is None else self._line_of_code.setdefault(row.code, line)
            if first != line:
                self._errors.append(RowError(line, f"the code {row.code} stands on line {first} too"))
                del self._rows[line]
            else:
                self._lines_of_name.setdefault(fold(row.name), []).append(line)
        for line in self._rows:
            self._resolve(line)
        planned = [each for each in self._found.values() if each is not None]
        planned = self._check_shape(planned)
        self._check_names(planned)
        return AreaImportPlan(
            tuple(planned),
            tuple(sorted(self._errors, key=lambda each: each.line)),
            tuple(sorted(self._warnings, key=lambda each: each.line)),
        )

    # --- one row ----------------------------------------------------------------------------------------------

    def _resolve(self, first: int) -> None:
        """What this row comes to, and before it all rows above it. However deep, without recursion."""
        waiting = [first]
        while waiting:
            line = waiting[-1]
            if line in self._found:
                waiting.pop()
                continue
            try:
                parent = self._parent(self._rows[line])
                if isinstance(parent, int) and parent not in self._found:
                    if parent in self._asking or parent == line:
                        raise _RowProblem("it stands below itself")
                    self._asking.add(line)
                    waiting.append(parent)
                    continue
                if isinstance(parent, int) and self._found[parent] is None:
                    raise _RowProblem(f"line {parent}, on which its parent stands, is wrong")
                self._found[line] = self._planned(self._rows[line], parent)
            except _RowProblem as problem:
                self._errors.append(RowError(line, str(problem)))
                self._found[line] = None
            waiting.pop()
            self._asking.discard(line)

    def _parent(self, row: AreaRow) -> Ref | None:
        """Where the row says it stands: a line, or an area that no line is about; or where the list is put."""
        if row.parent is None:
            return self._under
        if row.parent in self._line_of_code:
            return self._line_of_code[row.parent]
        if row.parent in self._by_code:
            return self._by_code[row.parent].id
        folded = fold(row.parent)
        if folded == fold(row.name):
            raise _RowProblem("it is called as its parent is: name its parent by a code")
        lines = self._lines_of_name.get(folded, [])[:_SAME_NAMES]
        areas = [
            area for area in self._by_name.get(folded, [])[:_SAME_NAMES] if area.code not in self._line_of_code
        ]
        for exact in (True, False):
            found: set[Ref] = {line for line in lines if not exact or self._rows[line].name == row.parent}
            if not found:
                # A line that is about an area that is there is found once: as the line.
                found.update(area.id for area in areas if not exact or area.name == row.parent)
            if len(found) == 1:
                return found.pop()
            if found:
                raise _RowProblem(f"there are {len(found)} areas called {row.parent}: name its parent by a code")
        raise _RowProblem(f"no area has the code or the name {row.parent}")

    def _planned(self, row: AreaRow, parent: Ref | None) -> PlannedArea:
        place: Ref | None = parent
        if isinstance(parent, int):
            above = self._found[parent]
            assert above is not None
            place = above.area.id if above.area is not None else parent
        area = self._area(row, place)
        if area is None:
            return self._new(row, place)
        first = self._claimed.setdefault(area.id, row.line)
        if first != row.line:
            raise _RowProblem(f"line {first} is about the same area, {area.name}")
        return self._changed(row, area, place if row.parent is not None else area.parent_id)

    def _area(self, row: AreaRow, place: Ref | None) -> Area | None:
        """The area that the row is about, when it is there."""
        if row.code is not None and row.code in self._by_code:
            return self._by_code[row.code]
        if isinstance(place, int):
            return None
        # A code that no area has may be given to one of that name that has none.
        there = self._by_place.get((place, row.name), [])[:_SAME_NAMES]
        same = [each for each in there if row.code is None or each.code is None]
        if len(same) > 1:
            raise _RowProblem(f"there are {len(same)} areas called {row.name} there: name it by a code")
        return same[0] if same else None

    def _new(self, row: AreaRow, place: Ref | None) -> PlannedArea:
        if row.level is None:
            raise _RowProblem("a new area has a level")
        valid_from_ms = self._now_ms if row.valid_from_ms is None else row.valid_from_ms
        if valid_from_ms > self._now_ms:
            raise _RowProblem("an area is valid from now on or from an earlier day")
        parent_from_ms = self._valid_from_ms(place)
        if valid_from_ms < parent_from_ms:
            self._warnings.append(RowError(row.line, "it begins when its parent does, which is later"))
            valid_from_ms = parent_from_ms
        return PlannedArea(
            line=row.line,
            action=Action.CREATE,
            area=None,
            name=row.name,
            level=row.level,
            code=row.code,
            parent=place,
            position=row.position,
            outline=row.outline,
            valid_from_ms=valid_from_ms,
        )

    def _valid_from_ms(self, place: Ref | None) -> int:
        if isinstance(place, int):
            above = self._found[place]
            assert above is not None
            return above.valid_from_ms
        return 0 if place is None else self._tree[place].valid_from_ms

    def _changed(self, row: AreaRow, area: Area, place: Ref | None) -> PlannedArea:
        planned = PlannedArea(
            line=row.line,
            action=Action.UPDATE,
            area=area,
            name=row.name,
            level=area.level if row.level is None else row.level,
            code=area.code if row.code is None else row.code,
            parent=place,
            position=area.position if row.position is None else row.position,
            outline=row.outline,
            valid_from_ms=area.valid_from_ms,
        )
        said = ("name", "level", "code", "position")
        changes = [name for name in said if getattr(planned, name) != getattr(area, name)]
        if planned.parent != area.parent_id:
            changes.append("parent")
        if row.outline is not None and row.outline.digest != self._outlines.get(area.id):
            changes.append("outline")
        action = Action.UPDATE if changes else Action.UNCHANGED
        return replace(planned, action=action, changes=tuple(changes))

    # --- all rows together ------------------------------------------------------------------------------------

    def _check_shape(self, planned: list[PlannedArea]) -> list[PlannedArea]:
        """Those rows that stand below a top, not too deep and not below themselves; a parent before its
        children."""
        parents: dict[Ref, Ref | None] = {area.id: area.parent_id for area in self._tree.values()}
        for each in planned:
            parents[each.ref] = each.parent
        children: dict[Ref | None, list[Ref]] = {}
        for node, parent in parents.items():
            children.setdefault(parent, []).append(node)
        depth_of: dict[Ref, int] = {}
        level, depth = children.get(None, []), 1
        while level:
            depth_of.update(dict.fromkeys(level, depth))
            level = [child for node in level for child in children.get(node, [])]
            depth += 1
        good: list[PlannedArea] = []
        for each in planned:
            at = depth_of.get(each.ref)
            if at is None:
                self._errors.append(RowError(each.line, "it stands below itself"))
            elif at > MAX_DEPTH_OF_AREAS:
                self._errors.append(RowError(each.line, f"the tree is at most {MAX_DEPTH_OF_AREAS} levels deep"))
            else:
                good.append(each)
        above = _above((ref for ref, at in depth_of.items() if at > MAX_DEPTH_OF_AREAS), parents)
        for each in good:
            if each.area is not None and "parent" in each.changes and each.area.id in above:
                self._errors.append(RowError(each.line, "what stands below it would stand too deep"))
        return sorted(good, key=lambda each: (depth_of[each.ref], each.line))

    def _check_names(self, planned: Iterable[PlannedArea]) -> None:
        """A new area beside one of its name: an error when no code tells them apart, else a warning."""
        seen: dict[tuple[Ref | None, str], PlannedArea] = {}
        for each in planned:
            if each.action is not Action.CREATE:
                continue
            place = (each.parent, each.name)
            first = seen.setdefault(place, each)
            if first is not each and None in (first.code, each.code):
                message = f"line {first.line} is about the same name in the same place"
                self._errors.append(RowError(each.line, message))
            elif first is not each or place in self._by_place:
                self._warnings.append(RowError(each.line, f"there is another {each.name} in the same place"))


def _above(refs: Iterable[Ref], parents: Mapping[Ref, Ref | None]) -> set[Ref]:
    """These and all above them."""
    found: set[Ref] = set()
    for ref in refs:
        at: Ref | None = ref
        while at is not None and at not in found:
            found.add(at)
            at = parents.get(at)
    return found
